"""Beyond the paper: every method's leak against its loss of utility, a panel per cell and ratio.

Every method's white-box MIA rate on the forget set and its accuracy on test images, both as method
− retraining, mean over n seeds with 95 % t-intervals. Retraining is the origin; the grey bands are
the margins within which a difference counts as none (.05; 2 points). Above them a method leaks,
below them it over-forgets, left of them it loses utility. Open points: not decided, by the rule of
the table of verdicts.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import CELL, COLORS, METHODS, Results, displayed, percent
from remibench.analysis.verdicts import JUDGED, NOT_DECIDED, judge_methods, margin
from remibench.reporting.panels import label_axes, labels_of, legend, page, say_not_run

TITLE = "Leak against utility"

X, Y = "test", "mia"  # names of JUDGED
LEAST = {X: 0.1, Y: 0.15}  # of either half of a panel's width and height
WORDS = {"va": "center", "color": "0.45", "fontsize": 6}


def draw(results: Results) -> Figure:
    """A row of panels per dataset and architecture, a column per forget ratio.

    Right of the grey square a method keeps more accuracy on test images than retraining, left of
    it less; above it leaks, below it over-forgets. Points are means over seeds of
    method − retraining, lines their 95 % t-intervals; open points have no verdict
    (:mod:`remibench.analysis.verdicts`).
    """
    table = judge_methods(results.evaluation)
    datasets, architectures, ratios = results.names, results.architectures, results.ratios
    cells = [(dataset, architecture) for dataset in datasets for architecture in architectures]
    shown = [method for method in displayed(results.methods) if method != REFERENCE]
    run = [method for method in shown if method in set(table["method"])]
    figure, axes = page(len(cells), max(len(ratios), 1), 2.1, sharex=True, sharey=True)
    limits = [_limits(table, X), _limits(table, Y)]
    groups = dict(list(table.groupby(CELL)))
    for line, cell in enumerate(cells):
        axes[line, 0].set_ylabel("MIA rate on $D_f$,\nmethod − retraining")
        for column, ratio in enumerate(ratios):
            axis = axes[line, column]
            axis.set(xlim=limits[0], ylim=limits[1])
            axis.grid(visible=False)
            verdicts = groups.get((*cell, ratio), table.head(0))
            title = f"{percent(ratio)} forgotten"
            if len(cells) > 1:
                title = f"{cell[0]}, {cell[1]}\n{title}"
            counts = sorted(set(verdicts["n"]))
            if counts:
                title += f" (n = {'–'.join(map(str, counts))})"
            axis.set_title(title, fontsize=7.5)
            if verdicts["mia_gap"].isna().all():
                say_not_run(axis)
                continue
            _panel(axis, verdicts)
    label_axes(figure, "Accuracy on test images, method − retraining (points)")
    if table.empty:
        return figure
    style = {"marker": "o", "ms": 4, "linestyle": ""}
    handles = [plt.Line2D([], [], color=COLORS[method], **style) for method in shown]
    handles.append(plt.Line2D([], [], color="0.4", mfc="white", **style))
    handles.append(plt.Rectangle((0, 0), 1, 1, color="0.88"))
    labels = labels_of({method: METHODS[method] for method in shown}, run)
    legend(figure, handles, [*labels, NOT_DECIDED, "margins"])
    return figure


def _limits(table: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """Every point lies within, an interval may go on."""
    gaps = table[f"{quantity}_gap"].dropna()
    scale = 100 if quantity == X else 1
    low, high = (min(gaps.min(), 0), max(gaps.max(), 0)) if len(gaps) else (0, 0)
    least = LEAST[quantity]
    room = 0.12 * max(high - low, least)
    return scale * min(low - room, -least), scale * max(high + room, least)


def _panel(axis: plt.Axes, rows: pd.DataFrame) -> None:
    width, height = (margin(JUDGED[name].metric) for name in (X, Y))
    axis.axvspan(-100 * width, 100 * width, color="0.95", zorder=0, linewidth=0)
    axis.axhspan(-height, height, color="0.95", zorder=0, linewidth=0)
    box = plt.Rectangle((-100 * width, -height), 200 * width, 2 * height, color="0.85", zorder=0.5)
    axis.add_patch(box)
    right = axis.get_xlim()[0] + 0.04 * np.ptp(axis.get_xlim())
    bottom, top = axis.get_ylim()
    axis.text(right, top - 0.06 * (top - bottom), "leaks ↑", **WORDS)
    axis.text(right, bottom + 0.04 * (top - bottom), "over-forgets ↓", **WORDS)
    for row in rows.to_dict("records"):
        if pd.isna(row["mia_gap"]) or pd.isna(row["test_gap"]):
            continue
        color = COLORS[row["method"]]
        x, y = 100 * row["test_gap"], row["mia_gap"]
        line = {"color": color, "linewidth": 0.8, "alpha": 0.7, "zorder": 2}
        if pd.notna(row["test_low"]):
            axis.hlines(y, 100 * row["test_low"], 100 * row["test_high"], **line)
        if pd.notna(row["mia_low"]):
            axis.vlines(x, row["mia_low"], row["mia_high"], **line)
        decided = row["verdict"] != NOT_DECIDED
        face = {"mfc": color if decided else "white", "mec": color, "mew": 1.0}
        axis.plot(x, y, "o", ms=4, zorder=3, **face)
