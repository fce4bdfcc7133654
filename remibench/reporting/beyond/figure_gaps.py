"""Beyond the paper: the gap of every method to retraining, metric by metric, at one ratio.

A gap is method − retraining on the same target and forget set, mean over n seeds with the 95 %
t-interval of the paired differences, for shares in [0, 1]. The line at 0 is retraining. Grey is the
margin within which a gap counts as none (accuracy and TPR: .02 and .01, others .05). *Before* is
the target that has forgotten nothing.

Right of 0 an attack finds more of the forget set than in a retrained model, left of 0 fewer: both
tell which images were forgotten. *Two models* has the model before and after; a gap left of 0 means
that the outputs changed less on the forget set than retraining changes them. AUC, TPR, worst decile
and advantage are the white-box attack's.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import CELL, COLORS, METHODS, Results, displayed, percent
from remibench.analysis.verdicts import NOT_MEASURABLE, NOT_RUN, judge_gaps, margin
from remibench.reporting.panels import (
    cell_page,
    cell_title,
    label_axes,
    labels_of,
    legend,
    say_not_run,
)

TITLE = "Gaps to retraining"

ROWS = {  # metric, subset → label; all of them shares
    ("accuracy", "forget"): "accuracy $D_f$",
    ("accuracy", "retain"): "accuracy $D_r$",
    ("accuracy", "test"): "accuracy test",
    ("mia_whitebox_rate", "forget"): "MIA $D_f$, white-box",
    ("mia_blackbox_rate", "forget"): "MIA $D_f$, black-box",
    ("mia_whitebox_auc", "forget"): "AUC $D_f$",
    ("mia_whitebox_tpr_at_1pct", "forget"): "TPR $D_f$ at 1% FPR",
    ("mia_whitebox_worst_decile", "forget"): "worst decile $D_f$",
    ("mia_whitebox_advantage", "retain"): "advantage $D_r$",
    ("two_models_distance_vs_test_auc", "forget"): "two models $D_f$",
    ("tow", ""): "ToW",
    ("tow_mia_whitebox", ""): "ToW-MIA",
}
BAND = 0.8  # of a row's height, that its methods share


def data(results: Results, ratio: float) -> pd.DataFrame:
    """The gaps that are drawn, of :func:`remibench.analysis.verdicts.judge_gaps`."""
    at = results.evaluation[results.evaluation["forget_ratio"] == ratio]
    names = {metric for metric, _ in ROWS} | {"accuracy"}
    at = at[at["metric"].isin(names)]
    if at.empty:
        return pd.DataFrame(columns=[*CELL, "metric", "subset", "method", "gap", "low", "high"])
    table = judge_gaps(at)
    return table[[key in ROWS for key in zip(table["metric"], table["subset"], strict=True)]]


def draw(results: Results, ratio: float | None = None) -> Figure:
    """One panel per dataset and architecture, one line per metric, one point per method.

    Points are means of method − retraining with their 95 % t-intervals; grey is the margin of
    equivalence.
    """
    ratio = results.main_ratio if ratio is None else ratio
    table = data(results, ratio)
    shown = [method for method in displayed(results.methods) if method != REFERENCE]
    run = [method for method in shown if method in set(table["method"])]
    heights = (0.24 * len(ROWS), 0.19 * len(ROWS))
    figure, panels = cell_page(results.names, results.architectures, heights)
    cells = dict(list(table.groupby(CELL[:2])))
    limit = _limit(table)
    for axis, dataset, architecture in panels:
        axis.set_xlim(-limit, limit)
        axis.set_ylim(len(ROWS) - 0.5, -0.5)
        axis.set_yticks(range(len(ROWS)), ROWS.values(), fontsize=6.5)
        axis.tick_params(length=0)
        axis.grid(visible=False)
        cell = cells.get((dataset, architecture), table.head(0))
        counts = [] if cell.empty else cell.loc[cell["gap"].notna(), "n"].unique()
        cell_title(axis, dataset, architecture, counts)
        if cell.empty:
            say_not_run(axis)
            continue
        _rows(axis, cell, run, limit)
    label_axes(figure, f"Gap to retraining, {percent(ratio)} forgotten (share)")
    if table.empty:  # the panels say so, and there is nothing to explain
        return figure
    style = {"marker": "o", "ms": 4, "linewidth": 1}
    handles = [plt.Line2D([], [], color=COLORS[method], **style) for method in shown]
    handles.append(plt.Rectangle((0, 0), 1, 1, color="0.9"))
    labels = labels_of({method: METHODS[method] for method in shown}, run)
    legend(figure, handles, [*labels, "margin of equivalence"])
    return figure


def _limit(table: pd.DataFrame) -> float:
    """Half the width of all panels: every point lies in it, an interval may go on."""
    gaps = table["gap"].abs().max()
    return 0.2 if not np.isfinite(gaps) else float(max(0.2, min(1.15 * gaps, 1.05)))


def _rows(axis: plt.Axes, cell: pd.DataFrame, run: list[str], limit: float) -> None:
    step = BAND / max(len(run), 1)
    for place, (metric, subset) in enumerate(ROWS):
        width = min(margin(metric), limit)
        axis.barh(place, 2 * width, 0.9, left=-width, color="0.9", zorder=0)
        gaps = cell[(cell["metric"] == metric) & (cell["subset"] == subset)].set_index("method")
        if gaps["gap"].isna().all():
            lost = len(gaps) and (gaps["remark"] == NOT_MEASURABLE).all()
            word = NOT_MEASURABLE if lost else NOT_RUN
            style = {"ha": "right", "va": "center", "color": "0.35", "fontsize": "x-small"}
            axis.text(0.98 * limit, place, word, **style)
            continue
        for position, method in enumerate(run):
            if method not in gaps.index or pd.isna(gaps.loc[method, "gap"]):
                continue
            row, at = gaps.loc[method], place + (position - (len(run) - 1) / 2) * step
            if pd.notna(row["low"]):
                axis.hlines(at, row["low"], row["high"], color=COLORS[method], linewidth=0.9)
            axis.plot(row["gap"], at, "o", color=COLORS[method], ms=2.8, clip_on=False)
    axis.axvline(0, color="0.2", linewidth=0.8, zorder=1)
