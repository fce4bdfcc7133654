"""The report's training curves: loss of target and shadow models after every epoch."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import COLORS
from remibench.reporting.panels import (
    FEW_SEEDS,
    GROUP,
    carry_forward,
    cell_page,
    cell_title,
    label_axes,
    legend,
)

MODELS = {"target": COLORS["original"], "shadow": COLORS["fisher"]}
STALLED = "#d55e00"


def draw(curves: pd.DataFrame) -> Figure:
    """One panel per dataset and architecture; a line per model, its seeds behind it.

    Args:
        curves: Joined histories of trainings (:func:`remibench.analysis.gather.join`).
    """
    datasets, architectures = (list(dict.fromkeys(curves[axis])) for axis in GROUP)
    figure, panels = cell_page(datasets, architectures)
    cells = dict(list(curves.groupby(GROUP)))
    for axis, dataset, architecture in panels:
        axis.set_yscale("log")
        cell = cells[dataset, architecture]
        counts = cell.groupby("model")["seed"].nunique()
        cell_title(axis, dataset, architecture, counts)
        for model, color in MODELS.items():
            _draw_model(axis, cell[cell["model"] == model].assign(curve=model), color)
    label_axes(figure, "Epoch", "Training loss (log scale)")
    colors = MODELS | ({"stalled": STALLED} if (curves["stalled"] > 0).any() else {})
    handles = [plt.Line2D([], [], color=color, linewidth=1.5) for color in colors.values()]
    legend(figure, handles, list(colors))
    return figure


def _draw_model(axis: plt.Axes, rows: pd.DataFrame, color: str) -> None:
    mean = carry_forward(rows, ["loss"])
    ended = rows.sort_values("epoch").groupby("seed")["stalled"].last()
    for seed, run in rows.sort_values("epoch").groupby("seed"):
        if ended[seed]:
            axis.plot(run["epoch"], run["loss"], color=STALLED, linewidth=1.0)
        elif len(ended) <= FEW_SEEDS:
            axis.plot(run["epoch"], run["loss"], color=color, linewidth=0.6, alpha=0.6)
    if len(ended) > FEW_SEEDS:
        band = (mean["loss_low"], mean["loss_high"])
        axis.fill_between(mean["epoch"], *band, color=color, alpha=0.18, linewidth=0)
    axis.plot(mean["epoch"], mean["loss"], color=color, linewidth=1.5)
