"""Beyond the paper: attacks across seeds, KLOM and forgetting quality, method by method.

Image by image, on the forget set, which is the same for all n seeds. A line per method; the
black line from top to bottom is retraining: .5 for the two attacks, which then tell nothing, and
the noise floor of KLOM and forgetting quality, one half of the retrained models against the other
half. Methods are measured in the same way, on halves of the seeds. Bars are 95 % t-intervals over
held-out seeds, of the attacks alone, cut off at 0 and 1. They are too narrow, since held-out seeds
share the models that an attack is fitted on: as a simulation of equal models shows, U-LiRA's
contain .5 in 81 to 89 % of runs, not in 95 %. To the right of retraining an attack finds the
unlearned model, and KLOM a difference; for forgetting quality it is the left that is worse. RMIA
left of .5 is a leak as well: forget images look less like members than under a retrained model. For
the other three, points beyond retraining on the better side are chance.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.across_seeds import compare_across_seeds
from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import CELL, Results, in_order, percent
from remibench.analysis.verdicts import NOT_MEASURABLE
from remibench.reporting.panels import PAGE, legend, say_not_run
from remibench.reporting.style import COLORS, METHODS, cell_label, dodge, ratio_marker, retraining

TITLE = "Image by image, across seeds"
INPUTS = ("across_seeds",)

PANELS = {  # metric on the forget set → its label, and the level of no difference or the floor
    "ulira_auc": ("U-LiRA: AUC\nworse →", 0.5),
    "rmia_auc": ("RMIA: AUC\n← worse   worse →", 0.5),
    "klom_halves": ("KLOM (nats)\nworse →", "klom_floor"),
    "forgetting_quality_halves": ("forgetting quality\n← worse", "forgetting_quality_floor"),
}
LINE = 0.22  # inches of a method's line, and of a forget ratio in it


def draw(results: Results) -> Figure:
    """One row of panels per dataset and architecture, one line per method, one point per ratio.

    Points are on the forget set; bars are 95 % t-intervals over held-out seeds, of attacks alone,
    cut off at 0 and 1.
    A line from top to bottom is where retraining lies: .5 for attacks, else its noise floor.
    """
    table = compare_across_seeds(results)
    cells = list(dict.fromkeys(table[CELL[:2]].itertuples(index=False, name=None)))
    ratios = sorted(table["forget_ratio"].unique())
    shown = in_order(set(table["method"]) - {REFERENCE})
    height = 0.35 + LINE * len(shown) * (1 + 0.4 * (len(ratios) - 1))
    size = (PAGE, 0.45 + height * len(cells))
    figure, axes = plt.subplots(len(cells), len(PANELS), figsize=size, squeeze=False, sharey=True)
    known = table.set_index(["metric", "method", "forget_ratio"])
    for line, (dataset, architecture) in enumerate(cells):
        of_cell = (known["dataset"] == dataset) & (known["architecture"] == architecture)
        rows = known[of_cell & (known["subset"] == "forget")].sort_index()
        for axis, (metric, (label, level)) in zip(axes[line], PANELS.items(), strict=True):
            _panel(axis, rows, metric, level, shown, ratios)
            if line == len(cells) - 1:
                axis.set_xlabel(label)
        axes[line, 0].set_yticks(range(len(shown)), [METHODS[method] for method in shown])
        count = rows["models"].iloc[0]
        axes[line, 0].set_title(f"{cell_label(dataset, architecture)} (n = {count})", loc="left")
    handles = [
        plt.Line2D([], [], color="0.3", marker=ratio_marker(place), ms=4, linewidth=1)
        for place in range(len(ratios))
    ]
    handles.append(plt.Line2D([], [], **retraining()))
    labels = [f"{percent(ratio)} forgotten" for ratio in ratios]
    legend(figure, handles, [*labels, "retraining (halves: its noise floor)"])
    return figure


def _panel(
    axis: plt.Axes,
    rows: pd.DataFrame,
    metric: str,
    level: float | str,
    methods: list[str],
    ratios: list[float],
) -> None:
    axis.set_ylim(len(methods) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False)
    axis.margins(x=0.12)
    if metric not in rows.index:
        say_not_run(axis)
        axis.set_xticks([])
        return
    style = retraining(zorder=1)
    if isinstance(level, float):
        axis.axvline(level, **style)
    drawn = False
    for place, ratio in enumerate(ratios):
        if isinstance(level, str) and (level, REFERENCE, ratio) in rows.index:
            floor = rows.loc[(level, REFERENCE, ratio), "value"].item()
            if np.isfinite(floor):
                axis.axvline(floor, **style)
        for number, method in enumerate(methods):
            if (metric, method, ratio) not in rows.index:
                continue
            row = rows.loc[(metric, method, ratio)].squeeze()
            if pd.isna(row["value"]):
                continue
            at = number + dodge(place, len(ratios), 0.8)
            if pd.notna(row["low"]):
                ends = np.clip([row["low"], row["high"]], 0, 1)  # attacks alone have them
                axis.hlines(at, *ends, color=COLORS[method], linewidth=1)
            point = {"color": COLORS[method], "ms": 4, "clip_on": False}
            axis.plot(row["value"], at, ratio_marker(place), **point)
            drawn = True
    if not drawn:
        say_not_run(axis, NOT_MEASURABLE)
        axis.set_xticks([])
