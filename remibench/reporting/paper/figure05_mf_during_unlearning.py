"""Figure 5: white-box membership fingerprinting on the forget set during ReMI.

MF rate, the share of the forget set that the defender's model calls members, after every epoch, by
forget ratio. Thick lines are means over n seeds, in which a run that has stopped keeps its
last value. Up to five seeds, thin lines are seeds, and their dots are where ReMI stopped; above,
bands are the middle half of the seeds, and the dot is where half of them had stopped. Dotted lines:
the same share of the out-of-sample images. ReMI stops when the former falls to the latter, or at
the configured number of passes.

The horizontal axis counts steps of the optimiser (logarithmic above 1), since an epoch is a pass
over the forget set, unless the config says otherwise, and a pass over a small forget set is fewer
steps than one over a large set.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import Results, percent
from remibench.reporting.panels import CURVE_COLUMNS, Curve, draw_curves
from remibench.reporting.style import ratio_colors, ratio_marker

TITLE = "MF during ReMI"
INPUTS = ("hyperparameters",)


def data(results: Results) -> pd.DataFrame:
    """MF rates after every epoch of every white-box-guided run; ``curve`` is the forget ratio."""
    rows = results.histories[results.histories["method"] == "remi_whitebox"]
    rows = results.with_steps(rows)
    return rows.assign(curve=rows["forget_ratio"]).reindex(columns=CURVE_COLUMNS)


def draw(results: Results) -> Figure:
    """One panel per dataset and architecture, one curve per forget ratio."""
    ratios = results.ratios
    colors = ratio_colors(len(ratios))
    return draw_curves(
        data(results),
        [
            Curve(ratio, f"{percent(ratio)} forgotten", color, marker=ratio_marker(place))
            for place, (ratio, color) in enumerate(zip(ratios, colors, strict=True))
        ],
        results.names,
        results.architectures,
        ylabel="White-box MF rate on $D_f$\n(share called members)",
        xlabel=" of white-box ReMI",
    )
