"""Figures 6 and 14–16: MF on the forget set during unlearning, white-box against black-box."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.reporting.figure05_mf_during_unlearning import COLUMNS
from remibench.reporting.panels import Curve, draw_curves
from remibench.reporting.results import COLORS, METHODS, Results, percent

CURVES = [
    Curve("remi_whitebox", METHODS["remi_whitebox"], COLORS["remi_whitebox"]),
    Curve("remi_blackbox", METHODS["remi_blackbox"], COLORS["remi_blackbox"], "--"),
]


def data(results: Results, ratio: float = 0.25) -> pd.DataFrame:
    """Rates of each run's own guide after every epoch at one ratio; ``curve`` is the method."""
    methods = [curve.key for curve in CURVES]
    rows = results.histories
    rows = rows[rows["method"].isin(methods) & (rows["forget_ratio"] == ratio)]
    return rows.assign(curve=rows["method"]).reindex(columns=COLUMNS)


def draw(results: Results, ratio: float = 0.25) -> Figure:
    """One panel per dataset and architecture, one curve per guide."""
    return draw_curves(
        data(results, ratio),
        CURVES,
        results.names,
        results.architectures,
        ylabel="The guide's MF accuracy on $D_f$\n(share called members)",
        xlabel=f"Epoch of ReMI (passes over $D_f$, {percent(ratio)} of the training set)",
    )
