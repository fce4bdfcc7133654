"""Figures 6 and 14–16: MF on the forget set during unlearning, white-box against black-box.

Membership fingerprinting (MF) during ReMI, guided by white-box or by black-box MF, and during any
other method with a guide, at one forget ratio (below the axis). Lines are solid for the white-box
guide, dashed for the black-box one, dash-dotted for any other. Each curve is judged by its own
guide, so that they are not on one scale: a guide that hardly separates members from non-members
begins low and has little to lose. Thick lines are means over n seeds, in which a run that has
stopped keeps its last value; up to five seeds, thin lines are seeds, and their dots are where a run
ended; above, bands are the middle half of the seeds, and the dot is where half of them had ended.
Dotted lines: the same share of the out-of-sample images, where ReMI stops. The horizontal axis
counts steps of the optimiser, logarithmic above 1, or, where a method does not say how many steps
an epoch has, epochs.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import Results, percent
from remibench.reporting.panels import CURVE_COLUMNS, Curve, draw_curves
from remibench.reporting.style import COLORS, GUIDES, MARKERS, METHODS

TITLE = "MF by guide, {percent}"
INPUTS = ("hyperparameters",)
VARIANTS = {  # figure → options of draw
    "figure06_mf_by_guide": {"ratio": 0.25},
    "figure14_mf_by_guide": {"ratio": 0.01},
    "figure15_mf_by_guide": {"ratio": 0.1},
    "figure16_mf_by_guide": {"ratio": 0.5},
}
BY_RATIO = {"figure_mf_by_guide": {}}  # the same at other ratios than the paper's


def data(results: Results, ratio: float = 0.25) -> pd.DataFrame:
    """Rates of each run's own guide after every epoch at one ratio; ``curve`` is the method."""
    rows = results.histories
    rows = rows[rows["method"].isin(results.guides) & (rows["forget_ratio"] == ratio)]
    rows = results.with_steps(rows)
    rows = rows.assign(curve=rows["method"]).reindex(columns=CURVE_COLUMNS)
    return rows.dropna(subset=["mf_forget"])


def draw(results: Results, ratio: float = 0.25) -> Figure:
    """One panel per dataset and architecture, one curve per method that a guide leads."""
    return draw_curves(
        data(results, ratio),
        [
            Curve(method, METHODS[method], COLORS[method], GUIDES.get(guide, "-."), MARKERS[method])
            for method, guide in results.guides.items()
        ],
        results.names,
        results.architectures,
        ylabel="The guide's MF rate on $D_f$\n(share called members)",
        xlabel=f" ({percent(ratio)} of {results.whole} forgotten)",
    )
