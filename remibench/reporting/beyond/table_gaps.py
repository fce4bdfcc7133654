"""Beyond the paper: how far every method is from retraining, in every metric, paired over seeds.

A gap is method − retraining on the same target and forget set, mean over seeds ± the half-width of
the 95 % t-interval of the paired differences. The first column of numbers is retraining's mean.
Accuracies are in %, all other shares in [0, 1]; ToW and ToW-MIA are 1 for retraining, so that their
gap is never above 0.

0 is the aim, in every line: a gap *below* 0 in the lines of attacks is no success, but makes
forgotten images recognisable again (the Streisand effect). "*" marks a gap that lies beyond the
margin, "=" one that lies within it, both at the 5 % level after Holm's correction; no mark: these
seeds cannot tell. It is the rule of *Verdicts*, which concludes from four of these lines. "Not
measurable": fewer images than 1/FPR. The file table_gaps.csv has all metrics.
"""

from __future__ import annotations

import pandas as pd

from remibench.analysis.gaps import LOG_EFFICACY, REFERENCE
from remibench.analysis.quantities import Quantity, choose
from remibench.analysis.results import CELL, METHODS, Results, count_seeds, displayed, rows_by
from remibench.analysis.verdicts import ABOVE, BELOW, NOT_MEASURABLE, WITHIN, judge_gaps
from remibench.reporting.render import MINUS, format_gap, name_absence, spread

TITLE = "Gaps to retraining"
MARKS = {ABOVE: " *", BELOW: " *", WITHIN: " ="}
SHOWN = choose(
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
    ("mia_whitebox_rate", "forget"),
    ("mia_blackbox_rate", "forget"),
    ("mia_whitebox_auc", "forget"),
    ("mia_whitebox_tpr_at_1pct", "forget"),
    ("mia_whitebox_tpr_at_0.1pct", "forget"),
    ("mia_whitebox_worst_decile", "forget"),
    (LOG_EFFICACY, "forget"),
    ("relearn_steps", "forget"),
    ("mia_whitebox_auc", "retain"),
    ("mia_whitebox_advantage", "retain"),
    ("two_models_distance_vs_test_auc", "forget"),
    ("two_models_distance_vs_retain_auc", "forget"),
    ("tow", ""),
    ("tow_mia_whitebox", ""),
)


def build(results: Results) -> pd.DataFrame:
    """One row per cell, subset, metric and method, see :func:`verdicts.judge_gaps`."""
    return judge_gaps(results.evaluation)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and quantity of ``SHOWN``: retraining's mean, every method's gap to it."""
    axes = [list(dict.fromkeys(table[axis])) for axis in CELL]
    cells = rows_by(table, [*CELL, "metric", "subset", "method"])
    methods = displayed(table["method"])
    known = {key[:-1]: row for key, row in cells.items()}
    lines = []
    for cell in pd.MultiIndex.from_product(axes):
        for shown in SHOWN:
            key = (*cell, shown.metric, shown.subset)
            for method in methods:
                if method == REFERENCE:
                    text = _value(known.get(key), shown)
                else:
                    text = _gap(cells.get((*key, method)), shown)
                lines.append((*cell, shown.title, method, text))
    text = pd.DataFrame(lines, columns=[*CELL, "quantity", "method", "text"])
    order = [REFERENCE, *(method for method in methods if method != REFERENCE)]
    return spread(text, [*CELL, "quantity"], "method", order).rename(columns=METHODS)


def _value(row: tuple | None, shown: Quantity) -> str:
    if row is None or pd.isna(row.retraining):
        return name_absence(row, row.remark if row else "")
    return f"{row.retraining * shown.scale:.{shown.decimals}f}".replace("-", MINUS)


def _gap(row: tuple | None, shown: Quantity) -> str:
    if row is None or pd.isna(row.gap):
        return name_absence(row, row.remark if row else "")
    return format_gap(row.gap, row.low, row.high, shown) + MARKS.get(row.verdict, "")


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    seeds = count_seeds(table.loc[table["gap"].notna(), "n"])
    interval = "no interval" if seeds == "1 seed" else "± half-width of the 95 % t-interval, paired"
    return (
        f"Retraining: its mean. Others: method − retraining, mean over {seeds} ({interval}). "
        "Attacks are white-box where nothing else is said. "
        "“*”: the gap lies beyond the margin, “=”: within it, at the 5 % level after Holm's "
        "correction; no mark: not decided, or a metric without a margin. Margins: accuracy 2 "
        "points; rates, AUC, advantage, worst decile and ToW .05; TPR .01; efficacy a factor of "
        f"2. “{NOT_MEASURABLE}”: fewer images than 1/FPR. “not run”: no such model. "
        f"Accuracies in %, shares in [0, 1]. All metrics: table_gaps.csv. {remarks}"
    )
