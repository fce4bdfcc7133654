"""Beyond the paper: ROC curves of the white-box attack on the forget set, both axes logarithmic.

Share of the forget set that the attacker finds (TPR) against the share of unseen test images that
it takes for members by mistake (FPR; where a kind of image is forgotten, of those of that kind),
at every threshold; means over n seeds. Thick black is
retraining, and grey around it the seeds of retraining from the least to the greatest. The dashed
diagonal is guessing. A curve begins at the least FPR that so many test images can show. One dataset
and architecture have a panel per forget ratio, several a panel each at the ratio nearest to 10 %.

The curve to reach is retraining's. Where it lies *below* the diagonal, the forget set was hard for
the model from the start: images that no model has seen are called members less often than test
images are. A method whose curve lies on the diagonal, or at a rate of 0, has then not reached it.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import CELL, Results, in_order
from remibench.components.registry import controls
from remibench.reporting.panels import (
    label_axes,
    legend,
    panel_title,
    ratio_or_cell_page,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import CHANCE, COLORS, MARKERS, METHODS, point, retraining

TITLE = "ROC curves of the white-box attack"
INPUTS = ("curves",)

SCORE = "mia_whitebox"
SEEDS = {"color": "0.8", "linewidth": 0, "zorder": 0}  # the area of retraining's seeds


def data(results: Results) -> pd.DataFrame:
    """The points of the curves, of :func:`remibench.analysis.curves.gather_curves`."""
    rows = results.curves
    rows = rows[(rows["curve"] == "roc") & (rows["score"] == SCORE)]
    return rows.dropna(subset=["mean"])


def draw(results: Results) -> Figure:
    """A panel per forget ratio of one cell, or per cell at one ratio; a curve per method."""
    table = data(results)
    if table.empty:
        return sentence_figure("Not run: the white-box attack, with scores of single images.")
    figure, panels, common = ratio_or_cell_page(results, 2.0, sharex=True, sharey=True)
    methods = in_order(table["method"])
    groups = dict(list(table.groupby(CELL)))
    controlled = controls()
    for axis, cell, title in panels:
        axis.set(xscale="log", yscale="log", xlim=(1e-3, 1), ylim=(1e-3, 1.2))
        axis.grid(visible=False)
        axis.plot([1e-3, 1], [1e-3, 1], **CHANCE)
        rows = groups.get(cell)
        panel_title(axis, title, [] if rows is None else [round(rows["seeds"].max())])
        if rows is None:
            say_not_run(axis)
            continue
        for method in methods:
            curve = rows[(rows["method"] == method) & (rows["mean"] > 0)]
            if method == REFERENCE:
                axis.fill_between(curve["x"], curve["low"].clip(1e-3), curve["high"], **SEEDS)
                axis.plot(curve["x"], curve["mean"], **retraining(linewidth=2.2))
            else:
                line = {"color": COLORS[method], "linewidth": 1.0, "marker": MARKERS[method]}
                line |= {"linestyle": "--" if method in controlled else "-", "ms": 2.6, "mew": 0.3}
                axis.plot(curve["x"], curve["mean"], markevery=5, **line)
    label_axes(
        figure,
        f"False-positive rate on test images ({common})",
        "True-positive rate on $D_f$,\nwhite-box MIA",
    )
    handles = [
        plt.Line2D([], [], **retraining(linewidth=2.2))
        if method == REFERENCE
        else plt.Line2D([], [], **point(method) | {"linestyle": "-", "color": COLORS[method]})
        for method in methods
    ]
    handles += [plt.Rectangle((0, 0), 1, 1, **SEEDS), plt.Line2D([], [], **CHANCE)]
    words = [*(METHODS[method] for method in methods), "seeds of retraining", "guessing"]
    legend(figure, handles, words)
    return figure
