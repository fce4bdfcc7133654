"""Beyond the paper: where models that have forgotten nothing lie between target and retraining.

A line per metric, on a scale of its own: 1 is the target, 0 the model retrained without the forget
set. Means over seeds. Controls are the target with a change that is no forgetting. *Shift* and
*rescaling* keep every prediction: off the line at 1, a metric reads something else than
predictions. *Temperature* keeps every decision: at 0, in the grey margin, the metric takes it for
retraining, and cannot show by itself that a method has forgotten. Open: these seeds do not decide
where the control lies. An arrow: further out. A metric for which target and retraining lie within
one margin has no scale and is left out.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.audit import SHOWN, audit
from remibench.analysis.quantities import mathematical
from remibench.analysis.results import CELL, Results, in_order, percent
from remibench.analysis.verdicts import NOT_DECIDED
from remibench.reporting.panels import PAGE, legend, sentence_figure
from remibench.reporting.style import COLORS, MARGIN, METHODS, cell_label, dodge, point, retraining

TITLE = "What each metric can be fooled by"
ALSO = ("across_seeds",)  # read where it is measured

LEAST, GREATEST = -0.6, 1.6  # of the scale that is drawn
LINE = 0.19  # inches of a metric's line


def data(results: Results) -> pd.DataFrame:
    """The audit's rows that are drawn, with where the control lies between retraining and target.

    Returns:
        Rows of :func:`remibench.analysis.audit.audit` at the main forget ratio, of the metrics of
        ``SHOWN`` that have a scale, in that order; ``label``, ``at`` ((control − retraining) /
        (target − retraining)) and ``half`` (the margin on this scale).
    """
    table = audit(results)
    labels = {(shown.metric, shown.subset): shown.label for shown in SHOWN}
    keys = list(zip(table["metric"], table["subset"], strict=True))
    table = table.assign(label=[labels.get(key) for key in keys])
    between = table["target"] - table["retraining"]
    drawn = table["label"].notna() & (table["forget_ratio"] == results.main_ratio)
    table = table[drawn & (between.abs() > table["margin"])]
    between = between[table.index]
    table = table.assign(
        at=(table["value"] - table["retraining"]) / between, half=table["margin"] / between.abs()
    )
    place = list(labels.values()).index
    return table.sort_values("label", kind="stable", key=lambda column: column.map(place))


def draw(results: Results) -> Figure:
    """One panel per dataset and architecture, one line per metric, one marker per control."""
    table = data(results)
    controls = in_order(table["control"])
    cells = list(dict.fromkeys(table[CELL[:2]].itertuples(index=False, name=None)))
    if not cells:
        return sentence_figure("Not run: retraining and a control, with a metric that has a scale.")
    known = [table[(table[CELL[:2]] == cell).all(axis=1)] for cell in cells]
    heights = [0.6 + LINE * rows["label"].nunique() for rows in known]
    figure, axes = plt.subplots(
        len(cells), 1, figsize=(PAGE, sum(heights)), squeeze=False, height_ratios=heights
    )
    for axis, rows, (dataset, architecture) in zip(axes[:, 0], known, cells, strict=True):
        _panel(axis, rows, controls)
        count = rows["n"].max()
        cell = cell_label(dataset, architecture)
        title = f"{cell}, {percent(results.main_ratio)} forgotten (n = {count})"
        axis.set_title(title, loc="left")
    axes[-1, 0].set_xlabel("0: retrained model, 1: target (each metric on its own scale)")
    handles = [plt.Line2D([], [], **point(control, size=5)) for control in controls]
    handles.append(plt.Line2D([], [], marker="o", ms=4, linestyle="", mec="0.4", mfc="white"))
    handles.append(plt.Rectangle((0, 0), 1, 1, color=MARGIN))
    words = [METHODS[control] for control in controls]
    legend(figure, handles, [*words, NOT_DECIDED, "margin of retraining"])
    return figure


def _panel(axis: plt.Axes, rows: pd.DataFrame, controls: list[str]) -> None:
    labels = list(dict.fromkeys(rows["label"]))
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_xlim(LEAST, GREATEST)
    axis.set_yticks(range(len(labels)), map(mathematical, labels))
    axis.tick_params(axis="y", length=0)
    axis.grid(visible=False, axis="y")
    axis.axvline(0, **retraining(linewidth=1.4, zorder=1))
    axis.axvline(1, color=COLORS["original"], linewidth=1.4, zorder=1)
    for place, label in enumerate(labels):
        of_metric = rows[rows["label"] == label]
        half = of_metric["half"].iloc[0]
        axis.barh(place, 2 * half, left=-half, height=0.8, color=MARGIN, zorder=0)
        for row in of_metric.itertuples():
            number = controls.index(row.control)
            at = place + dodge(number, len(controls), 0.6)
            inside = float(np.clip(row.at, LEAST + 0.04, GREATEST - 0.04))
            decided = row.verdict != NOT_DECIDED
            look = point(row.control, filled=decided, size=4.5)
            if inside != row.at:
                look |= {"marker": "<" if row.at < inside else ">", "ms": 4.5}
            axis.plot(inside, at, **look, zorder=3)
