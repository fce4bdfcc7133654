"""Figure 5: white-box membership fingerprinting on the forget set during ReMI.

Share of the forget set that the defender's model calls members, after every pass over the forget
set, by forget ratio. Thick lines are means over n seeds, in which a run that has stopped keeps its
last value. Up to five seeds, thin lines are seeds, and their dots are where ReMI stopped; above,
bands are the middle half of the seeds, and the dot is where half of them had stopped. Dotted lines:
the same share of the out-of-sample images. ReMI stops when the former falls to the latter, or at
the configured number of passes.

An epoch is a pass over the forget set, unless the config says otherwise. A pass over a small forget
set is fewer steps than one over a large set: epochs are not time (Table V).
"""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import Results, percent
from remibench.reporting.panels import CURVE_COLUMNS, Curve, draw_curves

TITLE = "MF during ReMI"


def data(results: Results) -> pd.DataFrame:
    """MF rates after every epoch of every white-box-guided run; ``curve`` is the forget ratio."""
    rows = results.histories[results.histories["method"] == "remi_whitebox"]
    return rows.assign(curve=rows["forget_ratio"]).reindex(columns=CURVE_COLUMNS)


def draw(results: Results) -> Figure:
    """One panel per dataset and architecture, one curve per forget ratio."""
    ratios = results.ratios
    # Nine of viridis's colors: without yellow, which white swallows.
    colors = mpl.colormaps["viridis"](np.linspace(0, 1, 12)[1:-2])
    places = [round(8 * k / max(len(ratios) - 1, 1)) for k in range(len(ratios))]
    return draw_curves(
        data(results),
        [
            Curve(ratio, f"{percent(ratio)} forgotten", mpl.colors.to_hex(colors[place]))
            for ratio, place in zip(ratios, places, strict=True)
        ],
        results.names,
        results.architectures,
        ylabel="White-box MF accuracy on $D_f$\n(share called members)",
        xlabel="Epoch",
    )
