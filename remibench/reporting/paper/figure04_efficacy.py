"""Figure 4: distribution of efficacy scores on the forget set, by method and forget ratio.

The efficacy score is 1 / mean ‖∇ log p(y|x)‖², by method, share of the training set forgotten,
architecture and dataset. Up to five seeds, points are seeds and the line among them is their
median. Above, a box holds the middle half of the seeds, its line is their median, and points are
those beyond the whiskers (1.5 box lengths). n is the number of seeds. The black line through a
group is the median of retraining. The paper shows distributions and gives no numbers.

The paper reads a lower score as less leakage. The score is largest for a model that memorised the
images (their gradients vanish), and a method can make it arbitrarily low by destroying the model:
the score to reach is that of *Retraining*.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import BY_METHOD, Results, displayed, percent
from remibench.reporting.panels import (
    FEW_SEEDS,
    cell_page,
    cell_title,
    label_axes,
    legend,
    name_missing,
    say_below,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import COLORS, METHODS, WORDS, point, retraining

TITLE = "Efficacy scores"

NOT_MEASURED = "Not measured: `metrics` has no efficacy."
AXES = [*BY_METHOD, "seed"]


def data(results: Results) -> pd.DataFrame:
    """One efficacy score per cell, method and seed."""
    return results.metric("efficacy")[[*AXES, "value"]]


def draw(results: Results) -> Figure:
    """One panel per dataset and architecture; a box of every method's seeds at every ratio."""
    table = data(results)
    if table.empty:
        return sentence_figure(NOT_MEASURED)
    ratios = results.ratios
    figure, panels = cell_page(results.names, results.architectures)
    groups = dict(list(table.groupby(AXES[:2])))
    for axis, dataset, architecture in panels:
        axis.set_yscale("log")
        axis.set_xticks(range(len(ratios)), [percent(ratio) for ratio in ratios])
        axis.set_xlim(-0.5, len(ratios) - 0.5)
        cell = groups.get((dataset, architecture))
        if cell is None:
            cell_title(axis, dataset, architecture, [])
            say_not_run(axis)
            continue
        counts = cell.groupby(AXES[:-1])["seed"].nunique()
        cell_title(axis, dataset, architecture, counts)
        for place in range(1, len(ratios)):
            axis.axvline(place - 0.5, color="0.88", linewidth=0.6, zorder=0)
        _boxes(axis, cell, ratios, results.methods)
    label_axes(figure, f"Share of {results.whole} forgotten", "Efficacy score on $D_f$ (log scale)")
    shown = displayed(results.methods)
    run = [method for method in shown if method in results.methods]
    handles = [plt.Line2D([], [], **point(method, size=5)) for method in run]
    handles.append(plt.Line2D([], [], **retraining()))
    legend(figure, handles, [*(METHODS[method] for method in run), "median of retraining"])
    say_below(figure, name_missing([METHODS[m] for m in shown], [METHODS[m] for m in run]))
    return figure


def _boxes(axis: plt.Axes, cell: pd.DataFrame, ratios: list[float], methods: list[str]) -> None:
    width = 0.84 / len(methods)
    scores = dict(list(cell.groupby(["forget_ratio", "method"])["value"]))
    for place, ratio in enumerate(ratios):
        reference = scores.get((ratio, REFERENCE), pd.Series(dtype=float)).median()
        if 0 < reference < np.inf:
            axis.hlines(reference, place - 0.46, place + 0.46, **retraining(zorder=1))
        for position, method in enumerate(methods):
            at = place + (position - (len(methods) - 1) / 2) * width
            values = scores.get((ratio, method), pd.Series(dtype=float))
            drawn = np.isfinite(values) & (values > 0)
            word = "" if drawn.all() else f"{(~drawn).sum()} of {len(values)} are 0 or infinite"
            values = values[drawn]
            if word or not len(values):
                axis.text(
                    at, 0.03, word or "not run", transform=axis.get_xaxis_transform(),
                    rotation=90, ha="center", va="bottom", color=WORDS, fontsize="x-small",
                )  # fmt: skip
            if len(values) > FEW_SEEDS:
                _box(axis, at, width, values, COLORS[method])
            elif len(values):
                ends = (at - 0.35 * width, at + 0.35 * width)
                axis.hlines(values.median(), *ends, color=COLORS[method], linewidth=1.4)
                axis.plot([at] * len(values), values, **point(method, size=2.8))


def _box(axis: plt.Axes, at: float, width: float, values: pd.Series, color: str) -> None:
    line = {"color": color, "linewidth": 0.8}
    axis.boxplot(
        values,
        positions=[at],
        widths=0.75 * width,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": f"{color}40", **line},
        medianprops={"color": color, "linewidth": 1.4},
        whiskerprops=line,
        capprops=line,
        flierprops={"marker": ".", "ms": 2, "mec": color, "mfc": color},
    )
