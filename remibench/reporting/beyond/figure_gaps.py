"""Beyond the paper: the gap of every method to retraining, metric by metric, at one ratio.

A gap is method − retraining on the same target and forget set, mean over n seeds; of accuracies in
points. A panel per metric, a line per method; the black line is retraining, and grey is the margin
within which a gap counts as none (accuracy 2 points, TPR .01, others .05). With one dataset and
architecture, lines are 95 % t-intervals of the paired differences; an arrow's head says that one
goes on. With several, a point is one of them, and the black tick is the median of them all. Open
points: not decided whether the gap lies beyond the margin or within it. *Before* is the target that
has forgotten nothing.

Above every panel stands which side is worse. Mostly both: right of 0 an attack finds more of the
forget set than in a retrained model, left of 0 fewer, and both tell which images were forgotten.
*Two models* has the model before and after; a gap left of 0 means that the outputs changed less on
the forget set than retraining changes them. AUC, TPR, worst decile and advantage are the white-box
attack's.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.quantities import Quantity, choose, mathematical
from remibench.analysis.results import CELL, Results, count_seeds, displayed, percent
from remibench.analysis.verdicts import NOT_DECIDED, NOT_MEASURABLE, NOT_RUN, judge_gaps, margin
from remibench.reporting.panels import (
    interval,
    label_axes,
    legend,
    name_missing,
    page,
    say_below,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import COLORS, MARGIN, METHODS, cell_label, point, retraining

TITLE = "Gaps to retraining"

ROWS = choose(
    ("mia_whitebox_rate", "forget"),
    ("mia_blackbox_rate", "forget"),
    ("mia_whitebox_auc", "forget"),
    ("mia_whitebox_tpr_at_1pct", "forget"),
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
    ("tow_mia_whitebox", ""),
    ("mia_whitebox_worst_decile", "forget"),
    ("mia_whitebox_advantage", "retain"),
    ("two_models_distance_vs_test_auc", "forget"),
    ("tow", ""),
)
COLUMNS = 4
MEDIAN = {"color": "0.5", "mew": 1.6}  # of a method's cells, behind their points
WORSE = {"both": "← worse\N{EM SPACE}\N{EM SPACE}worse →", "below": "← worse", "above": "worse →"}


def data(results: Results, ratio: float) -> pd.DataFrame:
    """The gaps that are drawn, of :func:`remibench.analysis.verdicts.judge_gaps`."""
    at = results.evaluation[results.evaluation["forget_ratio"] == ratio]
    shown = {(each.metric, each.subset) for each in ROWS}
    names = {metric for metric, _ in shown} | {"accuracy"}
    at = at[at["metric"].isin(names)]
    if at.empty:
        return pd.DataFrame(columns=[*CELL, "metric", "subset", "method", "gap", "low", "high"])
    table = judge_gaps(at)
    return table[[key in shown for key in zip(table["metric"], table["subset"], strict=True)]]


def draw(results: Results, ratio: float | None = None) -> Figure:
    """One panel per metric, one line per method: means of method − retraining.

    Metrics that nothing was measured of are named below the panels.
    """
    ratio = results.main_ratio if ratio is None else ratio
    table = data(results, ratio)
    if table["gap"].isna().all():
        return sentence_figure(
            f"Not run: retraining and another method at {percent(ratio)} forgotten."
        )
    shown = [method for method in displayed(results.methods) if method != REFERENCE]
    run = [method for method in shown if method in set(table["method"])]
    groups = {key: rows for key, rows in table.groupby(["metric", "subset"]) if len(rows)}
    quantities = [each for each in ROWS if (each.metric, each.subset) in groups]
    lines = -(-len(quantities) // COLUMNS)
    figure, axes = page(lines, COLUMNS, 0.55 + 0.16 * len(run), sharey=True)
    for axis, each in zip(axes.flat, quantities, strict=False):
        _panel(axis, groups[each.metric, each.subset], each, run)
    for axis in axes.flat[len(quantities) :]:
        axis.set_axis_off()
    cells = table[CELL[:2]].drop_duplicates()
    seeds = count_seeds(table.loc[table["gap"].notna(), "n"])
    what = f"{cell_label(*cells.iloc[0])}, n = {seeds}" if len(cells) == 1 else f"n = {seeds}"
    label_axes(figure, f"Gap to retraining, {percent(ratio)} forgotten ({what})")
    handles = [
        plt.Line2D([], [], **retraining()),
        plt.Rectangle((0, 0), 1, 1, color=MARGIN),
        plt.Line2D([], [], marker="o", ms=4, linestyle="", color="0.4"),
        plt.Line2D([], [], marker="o", ms=4, linestyle="", mec="0.4", mfc="white"),
    ]
    words = ["retraining", "margin of equivalence", "beyond or within the margin", NOT_DECIDED]
    if len(cells) > 1:
        handles.append(plt.Line2D([], [], marker="|", ms=9, linestyle="", **MEDIAN))
        words.append("median of all cells")
    legend(figure, handles, words)
    missing = [each for each in ROWS if each not in quantities]
    sentences = [
        name_missing([METHODS[m] for m in shown], [METHODS[m] for m in run]),
        mathematical(f"Not measured: {', '.join(each.label for each in missing)}.")
        if missing
        else "",
    ]
    say_below(figure, " ".join(filter(None, sentences)))
    return figure


def _panel(axis: plt.Axes, rows: pd.DataFrame, shown: Quantity, run: list[str]) -> None:
    axis.set_yticks(range(len(run)), [METHODS[method] for method in run])
    axis.set_ylim(len(run) - 0.5, -0.5)
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False)
    axis.set_title(f"{mathematical(shown.title)}\n{WORSE[shown.worse]}", fontsize=7.5)
    if rows["gap"].isna().all():
        lost = (rows["remark"] == NOT_MEASURABLE).all()
        say_not_run(axis, NOT_MEASURABLE if lost else NOT_RUN)
        axis.set_xticks([])
        return
    width = shown.scale * margin(shown.metric)
    rows = rows.assign(**{end: shown.scale * rows[end] for end in ("gap", "low", "high")})
    low, high = min(rows["gap"].min(), -width), max(rows["gap"].max(), width)
    room = 0.15 * (high - low)
    axis.set_xlim(low - room, high + room)
    axis.xaxis.set_major_locator(MaxNLocator(3))
    axis.axvspan(-width, width, color=MARGIN, zorder=0, linewidth=0)
    axis.axvline(0, **retraining(zorder=1))
    several = len(rows.groupby(CELL[:2])) > 1
    for place, method in enumerate(run):
        of_method = rows[(rows["method"] == method) & rows["gap"].notna()]
        for row in of_method.itertuples():
            decided = row.verdict not in ("", NOT_DECIDED)
            if not several:
                line = {"color": COLORS[method], "linewidth": 1.0}
                interval(axis, place, row.low, row.high, **line)
            axis.plot(row.gap, place, **point(method, filled=decided, size=3 if several else 4.5))
        if several and len(of_method):
            middle = np.median(of_method["gap"])
            axis.plot(middle, place, marker="|", ms=9, zorder=1.5, **MEDIAN)
