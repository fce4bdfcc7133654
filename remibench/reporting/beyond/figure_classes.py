"""Beyond the paper: accuracy by class, on the forget set and on test images.

A line per class, a point per method, means over n seeds; the black line joins retraining's values.
Of the first dataset and architecture, at the forget ratio nearest to 10 %. A class without a
forgotten image has no point on the left.

Right of the black line a method still knows images of a class that a retrained model gets wrong;
left of it on the right-hand panel, the class has paid for the forgetting.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import Results, in_order, percent
from remibench.reporting.panels import PAGE, label_axes, legend, sentence_figure
from remibench.reporting.style import METHODS, cell_label, dodge, point, retraining

TITLE = "Accuracy by class"
INPUTS = ("curves",)

PANELS = {"forget": "on the forget set", "test": "on test images"}
LETTERS = 18  # of a class's name
LINE = 0.27  # inches of a class's line


def data(results: Results) -> pd.DataFrame:
    """Accuracy (%) by class, of the first dataset and architecture at the main ratio."""
    rows = results.curves
    rows = rows[(rows["curve"] == "classes") & rows["subset"].isin(PANELS)]
    if rows.empty:
        return rows
    first = rows[["dataset", "architecture"]].iloc[0]
    rows = rows[(rows[["dataset", "architecture"]] == first).all(axis=1)]
    rows = rows[rows["forget_ratio"] == results.main_ratio].dropna(subset=["mean"])
    return rows.assign(accuracy=100 * rows["mean"])


def draw(results: Results) -> Figure:
    """Two panels, forget set and test images; a line per class, a point per method."""
    table = data(results)
    if table.empty:
        return sentence_figure("Not run: the evaluation, with scores of single images.")
    methods = in_order(table["method"])
    names = table.drop_duplicates("x").sort_values("x")
    places = {x: place for place, x in enumerate(names["x"])}
    labels = [name if len(name) <= LETTERS else f"{name[:LETTERS]}…" for name in names["label"]]
    size = (PAGE, 0.6 + LINE * len(labels))
    figure, axes = plt.subplots(1, len(PANELS), figsize=size, sharey=True, squeeze=False)
    for axis, (subset, title) in zip(axes.flat, PANELS.items(), strict=True):
        axis.set_title(title)
        axis.set_yticks(range(len(labels)), labels)
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.tick_params(axis="y", length=0)
        rows = table[table["subset"] == subset]
        for number, method in enumerate(methods):
            of_method = rows[rows["method"] == method].sort_values("x")
            at = of_method["x"].map(places)
            if method == REFERENCE:
                axis.plot(of_method["accuracy"], at, **retraining(zorder=1))
            else:  # beside each other: controls decide as the target does
                at = at + dodge(number, len(methods), 0.7)
            axis.plot(of_method["accuracy"], at, **point(method), zorder=3)
    cell = cell_label(*table[["dataset", "architecture"]].iloc[0])
    common = f"{cell}, {percent(results.main_ratio)} forgotten"
    label_axes(figure, f"Accuracy (%; {common}, n = {table['seeds'].max():.0f})")
    handles = [plt.Line2D([], [], **point(method)) for method in methods]
    legend(figure, handles, [METHODS[method] for method in methods])
    return figure
