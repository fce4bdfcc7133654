"""The report's training curves: loss and held-out accuracy of targets and shadows, by epoch."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from remibench.reporting.panels import (
    FEW_SEEDS,
    GROUP,
    carry_forward,
    cell_title,
    label_axes,
    legend,
    page,
)
from remibench.reporting.style import ROLES, STALLED, Look

MEASURED = {  # column → label of its axis, factor, scale
    "loss": ("Training loss", 1, "log"),
    "held_out_accuracy": ("Accuracy on\nheld-out images (%)", 100, "linear"),
}


def draw(curves: pd.DataFrame) -> Figure:
    """Two panels per dataset and architecture; a line per model, its seeds behind it.

    Args:
        curves: Joined histories of trainings (:func:`remibench.analysis.gather.join`). Without
            accuracies, as of models that were brought in, there are panels of losses alone.
    """
    datasets, architectures = (list(dict.fromkeys(curves[axis])) for axis in GROUP)
    measured = [column for column in MEASURED if column in curves and curves[column].notna().any()]
    height = 1.4 if len(architectures) > 1 else 1.7
    figure, axes = page(
        len(datasets) * len(measured), len(architectures), height, sharex=True, sharey="row"
    )
    cells = dict(list(curves.groupby(GROUP)))
    lines = [(dataset, column) for dataset in datasets for column in measured]
    for (dataset, column), row in zip(lines, axes, strict=True):
        label, factor, scale = MEASURED[column]
        row[0].set_ylabel(label)
        row[0].set_yscale(scale)
        for axis, architecture in zip(row, architectures, strict=True):
            cell = cells[dataset, architecture].dropna(subset=column)
            if column == measured[0]:
                counts = cell.groupby("model")["seed"].nunique()
                cell_title(axis, dataset, architecture, counts)
            for model, look in ROLES.items():
                rows = cell[cell["model"] == model]
                if len(rows):
                    value = factor * rows[column]
                    _draw_model(axis, rows.assign(curve=model, value=value), look)
            axis.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    label_axes(figure, "Epoch")
    looks = list(ROLES.values())
    ended = curves.sort_values("epoch").groupby([*GROUP, "model", "seed"])["stalled"].last()
    if (ended > 0).any():
        looks.append(Look("learned nothing", "0.2", STALLED))
    handles = [plt.Line2D([], [], color=look.color, linestyle=look.line) for look in looks]
    legend(figure, handles, [look.label for look in looks])
    return figure


def _draw_model(axis: plt.Axes, rows: pd.DataFrame, look: Look) -> None:
    """Draw the column ``value`` of a model's trainings."""
    mean = carry_forward(rows, ["value"])
    ended = rows.sort_values("epoch").groupby("seed")["stalled"].last()
    line = {"color": look.color, "linestyle": look.line}
    for seed, run in rows.sort_values("epoch").groupby("seed"):
        of_run = run["epoch"], run["value"]
        if ended[seed]:
            axis.plot(*of_run, color=look.color, linestyle=STALLED, linewidth=1.8)
        elif len(ended) <= FEW_SEEDS:
            axis.plot(*of_run, **line, linewidth=0.6, alpha=0.6)
    if len(ended) > FEW_SEEDS:
        band = (mean["value_low"], mean["value_high"])
        axis.fill_between(mean["epoch"], *band, color=look.color, alpha=0.18, linewidth=0)
    axis.plot(mean["epoch"], mean["value"], **line, linewidth=1.5)
