"""Figure 4: distribution of efficacy scores on the forget set, by method and forget ratio.

The efficacy score is 1 / mean ‖∇ log p(y|x)‖², by method, share of the training set forgotten,
architecture and dataset. A box holds the middle half of the seeds, its line is their median; points
are seeds, above five seeds only those beyond the whiskers (1.5 box lengths). n is the number of
seeds. The paper shows distributions and gives no numbers.

The paper reads a lower score as less leakage. The score is largest for a model that memorised the
images (their gradients vanish), and a method can make it arbitrarily low by destroying the model:
the score to reach is that of *Retraining*.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import BY_METHOD, COLORS, METHODS, Results, displayed, percent
from remibench.reporting.panels import (
    FEW_SEEDS,
    cell_page,
    cell_title,
    label_axes,
    labels_of,
    legend,
    say_not_run,
)

TITLE = "Efficacy scores"

NOT_MEASURED = "not measured\n(efficacy is not in metrics)"
AXES = [*BY_METHOD, "seed"]


def data(results: Results) -> pd.DataFrame:
    """One efficacy score per cell, method and seed."""
    return results.metric("efficacy")[[*AXES, "value"]]


def draw(results: Results) -> Figure:
    """One panel per dataset and architecture; a box of every method's seeds at every ratio."""
    table = data(results)
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
            say_not_run(axis, NOT_MEASURED if table.empty else "not run")
            continue
        counts = cell.groupby(AXES[:-1])["seed"].nunique()
        cell_title(axis, dataset, architecture, counts)
        for place in range(1, len(ratios)):
            axis.axvline(place - 0.5, color="0.88", linewidth=0.6, zorder=0)
        _boxes(axis, cell, ratios, results.methods)
    label_axes(figure, f"Share of {results.whole} forgotten", "Efficacy score on $D_f$ (log scale)")
    if table.empty:  # the panels say so, and there is nothing to explain
        return figure
    methods = {method: METHODS[method] for method in displayed(results.methods)}
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[method]) for method in methods]
    legend(figure, handles, labels_of(methods, results.methods))
    return figure


def _boxes(axis: plt.Axes, cell: pd.DataFrame, ratios: list[float], methods: list[str]) -> None:
    width = 0.84 / len(methods)
    scores = dict(list(cell.groupby(["forget_ratio", "method"])["value"]))
    for place, ratio in enumerate(ratios):
        for position, method in enumerate(methods):
            at = place + (position - (len(methods) - 1) / 2) * width
            values = scores.get((ratio, method), pd.Series(dtype=float))
            drawn = np.isfinite(values) & (values > 0)
            word = "" if drawn.all() else f"{(~drawn).sum()} of {len(values)} are 0 or infinite"
            values = values[drawn]
            if word or not len(values):
                axis.text(
                    at, 0.03, word or "not run", transform=axis.get_xaxis_transform(),
                    rotation=90, ha="center", va="bottom", color="0.35", fontsize="x-small",
                )  # fmt: skip
            if not len(values):
                continue
            color = {"color": COLORS[method], "linewidth": 0.8}
            axis.boxplot(
                values,
                positions=[at],
                widths=0.75 * width,
                manage_ticks=False,
                patch_artist=True,
                showfliers=len(values) > FEW_SEEDS,
                boxprops={"facecolor": f"{COLORS[method]}40", **color},
                medianprops={"color": COLORS[method], "linewidth": 1.4},
                whiskerprops=color,
                capprops=color,
                flierprops={"marker": ".", "ms": 2, "mec": COLORS[method], "mfc": COLORS[method]},
            )
            if len(values) <= FEW_SEEDS:
                axis.plot([at] * len(values), values, "o", color=COLORS[method], ms=2)
