"""The report's training curves: loss of target and shadow models after every epoch."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from remibench.reporting.panels import (
    FEW_SEEDS,
    GROUP,
    carry_forward,
    cell_page,
    cell_title,
    label_axes,
    legend,
)
from remibench.reporting.style import ROLES, STALLED, Look


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
        for model, look in ROLES.items():
            _draw_model(axis, cell[cell["model"] == model].assign(curve=model), look)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    label_axes(figure, "Epoch", "Training loss (log scale)")
    looks = list(ROLES.values())
    if (curves["stalled"] > 0).any():
        looks.append(Look("learned nothing", "0.2", STALLED))
    handles = [plt.Line2D([], [], color=look.color, linestyle=look.line) for look in looks]
    legend(figure, handles, [look.label for look in looks])
    return figure


def _draw_model(axis: plt.Axes, rows: pd.DataFrame, look: Look) -> None:
    mean = carry_forward(rows, ["loss"])
    ended = rows.sort_values("epoch").groupby("seed")["stalled"].last()
    line = {"color": look.color, "linestyle": look.line}
    for seed, run in rows.sort_values("epoch").groupby("seed"):
        if ended[seed]:
            axis.plot(run["epoch"], run["loss"], color=look.color, linestyle=STALLED, linewidth=1.8)
        elif len(ended) <= FEW_SEEDS:
            axis.plot(run["epoch"], run["loss"], **line, linewidth=0.6, alpha=0.6)
    if len(ended) > FEW_SEEDS:
        band = (mean["loss_low"], mean["loss_high"])
        axis.fill_between(mean["epoch"], *band, color=look.color, alpha=0.18, linewidth=0)
    axis.plot(mean["epoch"], mean["loss"], **line, linewidth=1.5)
