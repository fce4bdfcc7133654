"""Beyond the paper: every method's leak against its loss of utility.

Every method's white-box MIA rate on the forget set and its accuracy on test images, both as method
− retraining, mean over n seeds with 95 % t-intervals (an arrow's head where one goes on).
Retraining is the star at the origin; the grey bands are the margins within which a difference
counts as none (.05; 2 points). Above them a method leaks, below them it over-forgets, left of them
it loses utility. Open points: not decided, by the rule of the table of verdicts, which may rest on
the accuracy on retained images, too.

One dataset and architecture have a panel per forget ratio. Several have a panel each, at the ratio
nearest to 10 %; all ratios of them are in the overview of verdicts.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import CELL, Results, displayed
from remibench.analysis.verdicts import JUDGED, NOT_DECIDED, judge_methods, margin
from remibench.reporting.panels import (
    interval,
    label_axes,
    legend,
    name_missing,
    panel_title,
    ratio_or_cell_page,
    say_below,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import COLORS, MARGIN, METHODS, point

TITLE = "Leak against utility"

X, Y = "test", "mia"  # names of JUDGED
WIDE = 4 * "\N{EM SPACE}"  # what SVG does not take together
LEAST = {X: 0.1, Y: 0.15}  # of either half of a panel's width and height


def draw(results: Results) -> Figure:
    """A panel per forget ratio of one cell, or a panel per cell at one ratio.

    Points are means over seeds of method − retraining, lines their 95 % t-intervals; open points
    have no verdict (:mod:`remibench.analysis.verdicts`).
    """
    table = judge_methods(results.evaluation)
    if table[["mia_gap", "test_gap"]].isna().any(axis=1).all():
        return sentence_figure("Not run: retraining and another method, with accuracy and MIA.")
    figure, panels, common = ratio_or_cell_page(results, 2.0, sharex=True, sharey=True)
    table = table[table["forget_ratio"].isin([cell[2] for _, cell, _ in panels])]
    shown = [method for method in displayed(results.methods) if method != REFERENCE]
    run = [method for method in shown if method in set(table["method"])]
    limits = [_limits(table, X), _limits(table, Y)]
    groups = dict(list(table.groupby(CELL)))
    for axis, cell, title in panels:
        axis.set(xlim=limits[0], ylim=limits[1])
        axis.grid(visible=False)
        verdicts = groups.get(cell, table.head(0))
        panel_title(axis, title, verdicts["n"])
        if verdicts["mia_gap"].isna().all():
            say_not_run(axis)
            continue
        _panel(axis, verdicts)
    label_axes(
        figure,
        f"Accuracy on test images, method − retraining (points)\n← loses utility{WIDE}({common})",
        f"MIA rate on $D_f$, method − retraining\n← over-forgets{WIDE}leaks →",
    )
    handles = [plt.Line2D([], [], **point(method)) for method in [REFERENCE, *run]]
    handles.append(plt.Line2D([], [], color="0.4", mfc="white", marker="o", ms=4, linestyle=""))
    handles.append(plt.Rectangle((0, 0), 1, 1, color=MARGIN))
    legend(figure, handles, [*(METHODS[m] for m in [REFERENCE, *run]), NOT_DECIDED, "margins"])
    say_below(figure, name_missing([METHODS[m] for m in shown], [METHODS[m] for m in run]))
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
    axis.plot(0, 0, **point(REFERENCE), zorder=2.5)
    for row in rows.to_dict("records"):
        if pd.isna(row["mia_gap"]) or pd.isna(row["test_gap"]):
            continue
        x, y = 100 * row["test_gap"], row["mia_gap"]
        line = {"color": COLORS[row["method"]], "linewidth": 0.8, "alpha": 0.7, "zorder": 2}
        interval(axis, y, 100 * row["test_low"], 100 * row["test_high"], **line)
        interval(axis, x, row["mia_low"], row["mia_high"], vertical=True, **line)
        decided = row["verdict"] != NOT_DECIDED
        axis.plot(x, y, **point(row["method"], filled=decided), zorder=3)
