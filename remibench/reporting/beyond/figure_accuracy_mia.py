"""Beyond the paper: accuracy on test images against the white-box MIA rate on the forget set.

Absolute numbers, means over n seeds with 95 % t-intervals; the star is retraining, and the lines
through it are its two levels. One dataset and architecture have a panel per forget ratio, several a
panel each at the ratio nearest to 10 %.

Near the star is the aim. Left of it accuracy was lost, above it the forget set is still recognised,
below it the forget set stands out by being called members too rarely: the lower right corner is
worse than the star.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import BY_METHOD, CELL, Results, in_order
from remibench.reporting.panels import (
    interval,
    label_axes,
    legend,
    panel_title,
    ratio_or_cell_page,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import COLORS, METHODS, point, retraining

TITLE = "Accuracy against MIA rate"


def data(results: Results) -> pd.DataFrame:
    """Mean, interval and seeds of both quantities, per cell and method."""
    tables = []
    for metric, subset, scale in (("accuracy", "test", 100), ("mia_whitebox_rate", "forget", 1)):
        rows = results.summary(metric, scale)
        tables.append(rows[rows["subset"] == subset].drop(columns="subset"))
    return tables[0].merge(tables[1], on=BY_METHOD, suffixes=("_accuracy", "_mia"))


def draw(results: Results) -> Figure:
    """A panel per forget ratio of one cell, or per cell at one ratio; a point per method."""
    table = data(results)
    if table.empty:
        return sentence_figure("Not measured: accuracy, or the white-box MIA rate.")
    figure, panels, common = ratio_or_cell_page(results, 2.0, sharex=True, sharey=True)
    table = table[table["forget_ratio"].isin([cell[2] for _, cell, _ in panels])]
    low, high = table["mean_accuracy"].min(), table["mean_accuracy"].max()
    room = max(0.08 * (high - low), 1)
    methods = in_order(table["method"])
    groups = dict(list(table.groupby(CELL)))
    for axis, cell, title in panels:
        axis.set(xlim=(low - room, min(high + room, 101)), ylim=(-0.03, 1.03))
        axis.grid(visible=False)
        rows = groups.get(cell)
        panel_title(axis, title, [] if rows is None else [rows["seeds_mia"].max()])
        if rows is None:
            say_not_run(axis)
            continue
        rows = rows.set_index("method")
        if REFERENCE in rows.index:
            faint = retraining(linewidth=0.6, zorder=0.5)
            axis.axvline(rows.loc[REFERENCE, "mean_accuracy"], **faint)
            axis.axhline(rows.loc[REFERENCE, "mean_mia"], **faint)
        for method in [name for name in methods if name in rows.index]:
            row = rows.loc[method]
            line = {"color": COLORS[method], "linewidth": 0.8, "alpha": 0.7, "zorder": 2}
            x, y = row["mean_accuracy"], row["mean_mia"]
            interval(axis, y, row["low_accuracy"], row["high_accuracy"], **line)
            interval(axis, x, row["low_mia"], row["high_mia"], vertical=True, **line)
            axis.plot(x, y, **point(method), zorder=4 if method == REFERENCE else 3)
    label_axes(figure, f"Accuracy on test images (%; {common})", "White-box MIA rate on $D_f$")
    handles = [plt.Line2D([], [], **point(method)) for method in methods]
    legend(figure, handles, [METHODS[method] for method in methods])
    return figure
