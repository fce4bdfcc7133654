"""Figures 6 and 14–16: MF on the forget set during unlearning, white-box against black-box."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import COLORS, METHODS, Results, percent
from remibench.reporting.panels import Curve, draw_curves
from remibench.reporting.paper.figure05_mf_during_unlearning import COLUMNS

STYLES = {"whitebox": "-", "blackbox": "--"}  # by guide; all others are dash-dotted


def data(results: Results, ratio: float = 0.25) -> pd.DataFrame:
    """Rates of each run's own guide after every epoch at one ratio; ``curve`` is the method."""
    rows = results.histories
    rows = rows[rows["method"].isin(results.guides) & (rows["forget_ratio"] == ratio)]
    return rows.assign(curve=rows["method"]).reindex(columns=COLUMNS).dropna(subset=["mf_forget"])


def draw(results: Results, ratio: float = 0.25) -> Figure:
    """One panel per dataset and architecture, one curve per method that a guide leads."""
    return draw_curves(
        data(results, ratio),
        [
            Curve(method, METHODS[method], COLORS[method], STYLES.get(guide, "-."))
            for method, guide in results.guides.items()
        ],
        results.names,
        results.architectures,
        ylabel="The guide's MF accuracy on $D_f$\n(share called members)",
        xlabel=f"Epoch ({percent(ratio)} of the training set forgotten)",
    )
