"""The search for a method's parameters: accuracy and MIA rate against the first of them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import CELL, METHODS, percent
from remibench.analysis.search import value_text
from remibench.reporting import style
from remibench.reporting.panels import label_axes, legend, page, say_not_run

LINES = {  # column of the trials → label, colour, marker
    "mia_whitebox_rate_forget": ("MIA rate $D_f$", style.ATTACKS["mia"].color, "s"),
    "accuracy_forget": ("accuracy $D_f$", style.SUBSETS["forget"].color, "o"),
    "accuracy_retain": ("accuracy $D_r$", style.SUBSETS["retain"].color, "^"),
    "accuracy_test": ("accuracy test", style.SUBSETS["test"].color, "v"),
    "gap": ("gap", "0.35", "D"),
}

RING = {"linestyle": "", "marker": "o", "ms": 7, "mfc": "none", "mec": "0.2", "mew": 0.9}


def profile(
    trials: pd.DataFrame, candidates: pd.DataFrame, method: str
) -> tuple[str, pd.DataFrame]:
    """Trials by the parameter that a method's search names first, the others as in the winner.

    Args:
        trials: The outcome of :func:`remibench.analysis.search.judge_candidates`.
        candidates: See :func:`remibench.analysis.search.value_text`.
        method: Name of the method.

    Returns:
        The parameter's name ("" if its values are no numbers), and of every cell the trials that
        differ from its nearest one in that parameter alone, beside them its ``value`` and the
        ``others``; in the order of the values.
    """
    tried = trials[(trials["method"] == method) & (trials["candidate"] != "")]
    values = candidates[candidates["method"] == method]
    first = values.drop_duplicates("variant").set_index("variant")
    others = values[values.duplicated("variant")]
    numbers = pd.to_numeric(first["value"], errors="coerce")
    if len(set(first["parameter"])) != 1 or numbers.isna().any():
        return "", tried.head(0).assign(value=np.nan, others="")
    tried = tried.assign(
        value=tried["variant"].map(numbers),
        others=tried["variant"].map(value_text(others)).astype(object).fillna(""),
    )
    nearest = tried.sort_values("gap", kind="stable").drop_duplicates(CELL)
    line = tried.merge(nearest[[*CELL, "others"]], on=[*CELL, "others"])
    line = line.sort_values([*CELL, "value"], kind="stable", ignore_index=True)
    return first["parameter"].iloc[0], line


def draw(trials: pd.DataFrame, candidates: pd.DataFrame, method: str) -> Figure:
    """A row of panels per dataset and architecture, a column per forget ratio.

    Lines are means over the seeds of the search of candidate − retraining, the other parameters as
    in the cell's winner; dotted lines are the target's values. Grey diamonds are the gap that the
    search minimises, its least value ringed.
    """
    parameter, profiles = profile(trials, candidates, method)
    targets = trials[trials["method"] == "original"].set_index(CELL)
    rows = list(trials[CELL[:2]].drop_duplicates().itertuples(index=False, name=None))
    ratios = sorted(trials["forget_ratio"].unique())
    figure, axes = page(len(rows), max(len(ratios), 1), 1.9, sharex=True, sharey=True)
    for line, cell in enumerate(rows):
        for column, ratio in enumerate(ratios):
            axis, key = axes[line, column], (*cell, ratio)
            curve = profiles[(profiles[CELL] == list(key)).all(axis=1)]
            title = [style.cell_label(*cell)] if len(rows) > 1 else []
            title.append(f"{percent(ratio)} forgotten")
            title += [_written(others) for others in curve["others"].unique() if others]
            axis.set_title("\n".join(title))
            if curve.empty:
                say_not_run(axis, "not searched" if parameter else "no numbers to draw over")
                continue
            _panel(axis, curve, targets.loc[key] if key in targets.index else None)
    values = profiles["value"]
    if len(values) and values.min() > 0 and values.max() >= 10 * values.min():
        axes[0, 0].set_xscale("log")
    parameter = parameter.replace("_", " ")
    label_axes(figure, f"{METHODS[method]}: {parameter}", "Candidate − retraining (share)")
    handles = [
        plt.Line2D([], [], color=color, marker=marker, ms=3.5)
        for _, color, marker in LINES.values()
    ]
    handles.append(plt.Line2D([], [], **style.retraining()))
    handles.append(plt.Line2D([], [], color="0.4", linestyle=":"))
    handles.append(plt.Line2D([], [], **RING))
    words = [*(label for label, *_ in LINES.values()), "retraining", "target itself", "least gap"]
    legend(figure, handles, words)
    return figure


def _written(values: str) -> str:
    """``lambda2=0.9`` → ``λ2 = 0.9``."""
    return values.replace("_", " ").replace("=", " = ").replace("lambda", "λ")


def _panel(axis: plt.Axes, rows: pd.DataFrame, target: pd.Series | None) -> None:
    axis.axhline(0, **style.retraining(zorder=1))
    for column, (_, color, marker) in LINES.items():
        axis.plot(rows["value"], rows[column], marker=marker, color=color, ms=3, linewidth=1.1)
        if target is not None:
            axis.axhline(target[column], color=color, linestyle=":", linewidth=0.8, zorder=1)
    least = rows.loc[rows["gap"].idxmin()]
    axis.plot(least["value"], least["gap"], **RING)
