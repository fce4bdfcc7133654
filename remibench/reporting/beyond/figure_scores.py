"""Beyond the paper: distributions of attack scores and log-odds, before, after, and retrained.

Left, P(member) by the white-box attack; right, the log-odds of an image's true class, log p − log
(1 − p), beyond ±16 in the outermost bins. A line of panels per method: shares of the forget set, of
the retained images and of unseen test images in every bin, means over the seeds. Black is the
forget set of *retraining*, the same in every line: what the coloured outline of the forget set
should look like. Of the first dataset and architecture, at the forget ratio nearest to 10 %.

A method that moves the forget set's outline onto that of test images has not made it look like
retraining's, where the two differ; one that moves all three has moved the model as a whole.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import Results, in_order, percent
from remibench.reporting.panels import PAGE, label_axes, legend, sentence_figure
from remibench.reporting.style import METHODS, SUBSETS, cell_label, retraining

TITLE = "Distributions of scores"
INPUTS = ("curves",)

SCORES = {
    "mia_whitebox": "P(member), white-box attack",
    "log_odds": "Log-odds of the true class (outermost bins: beyond)",
}
SHOWN = ("forget", "retain", "test")


def data(results: Results) -> pd.DataFrame:
    """Shares in bins, of the first dataset and architecture at the main ratio."""
    rows = results.curves
    rows = rows[(rows["curve"] == "distribution") & rows["score"].isin(SCORES)]
    if rows.empty:
        return rows
    first = rows[["dataset", "architecture"]].iloc[0]
    rows = rows[(rows[["dataset", "architecture"]] == first).all(axis=1)]
    return rows[rows["forget_ratio"] == results.main_ratio]


def draw(results: Results) -> Figure:
    """A line of panels per method, a column per score; an outline per set of images."""
    table = data(results)
    if table.empty:
        return sentence_figure("Not run: the white-box attack, with scores of single images.")
    methods = in_order(table["method"])
    size = (PAGE, 0.5 + 0.78 * len(methods))
    figure, axes = plt.subplots(
        len(methods), len(SCORES), figsize=size, squeeze=False, sharex="col", sharey="col"
    )
    groups = dict(list(table.groupby(["method", "score", "subset"])))
    for line, method in zip(axes, methods, strict=True):
        for axis, score in zip(line, SCORES, strict=True):
            axis.grid(visible=False)
            axis.set_yticks([])
            for subset in SHOWN:
                look = {"color": SUBSETS[subset].color, "linestyle": SUBSETS[subset].line}
                _outline(axis, groups.get((method, score, subset)), linewidth=1.3, **look)
            _outline(axis, groups.get((REFERENCE, score, "forget")), **retraining())
        line[0].set_ylabel(METHODS[method], rotation=0, ha="right", va="center")
    for axis, label in zip(axes[-1], SCORES.values(), strict=True):
        axis.set_xlabel(label)
    cell = cell_label(*table[["dataset", "architecture"]].iloc[0])
    common = f"{cell}, {percent(results.main_ratio)} forgotten"
    label_axes(figure, f"{common}, n = {table['seeds'].max():.0f}", "Share of the images in a bin")
    handles = [
        plt.Line2D([], [], color=SUBSETS[subset].color, linestyle=SUBSETS[subset].line)
        for subset in SHOWN
    ]
    handles.append(plt.Line2D([], [], **retraining()))
    legend(figure, handles, [*(SUBSETS[subset].label for subset in SHOWN), "$D_f$ of retraining"])
    return figure


def _outline(axis: plt.Axes, rows: pd.DataFrame | None, **look: object) -> None:
    if rows is None:
        return
    left = rows["x"].to_numpy()
    edges = np.append(left, 2 * left[-1] - left[-2])
    axis.stairs(rows["mean"], edges, **look)
