"""Beyond the paper: how far every method is from retraining, in every metric, paired over seeds.

A gap is method − retraining on the same target and forget set, mean over seeds ± the half-width of
the 95 % t-interval of the paired differences. The first column of numbers is retraining's own mean.
Accuracies are in %, all other shares in [0, 1]; ToW and ToW-MIA are 1 for retraining, so that their
gap is never above 0.

0 is the aim, in every line: a gap *below* 0 in the lines of attacks is no success, but makes
forgotten images recognisable again (the Streisand effect). "=" marks a method that is
indistinguishable from retraining: 0 lies in the interval, and an equivalence test shows the gap to
be within the margin. "*" marks one that differs. No mark: these seeds cannot tell. "Not
measurable": fewer images than 1/FPR. The file table_gaps.csv has all metrics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from remibench.analysis.results import CELL, METHODS, Results, count_seeds, displayed
from remibench.analysis.statistics import (
    LEVEL,
    wilcoxon_holm,
)
from remibench.reporting.beyond.comparisons import LOG_EFFICACY, REFERENCE
from remibench.reporting.render import spread

TITLE = "Gaps to retraining"
QUANTITY = [*CELL, "subset", "metric"]
COLUMNS = [
    *QUANTITY,
    "method",
    "mean",
    "retraining",
    "gap",
    "low",
    "high",
    "n",
    "p",
    "p_holm",
    "margin",
    "p_equivalence",
    "verdict",
    "remark",
]
NO_GAP = ("images", "relearn_capped")  # the first is no result, the second a remark on one
INTERVAL_ENDS = ("_low", "_high")
NOT_MEASURABLE = "not measurable"
NO_SPREAD = "all differences are equal: an interval of no width, no verdict"
MARGINS = {  # how a metric's name ends → greatest difference that counts as none
    "accuracy": 0.02,
    "_rate": 0.05,
    "_auc": 0.05,
    "_advantage": 0.05,
    "_worst_decile": 0.05,
    "_tpr_at_1pct": 0.01,
    "_tpr_at_0.1pct": 0.01,
    LOG_EFFICACY: np.log10(2),
    "tow": 0.05,
    "tow_mia_whitebox": 0.05,
    "tow_mia_blackbox": 0.05,
}
INDISTINGUISHABLE, WITHIN, DIFFERENT = "indistinguishable", "within the margin", "different"
UNDECIDED = "undecided"
MARKS = {INDISTINGUISHABLE: " =", WITHIN: " *=", DIFFERENT: " *"}


@dataclass(frozen=True)
class Shown:
    """A quantity of the formatted table: all of them are in the CSV file."""

    metric: str
    subset: str
    label: str
    scale: float = 1.0
    decimals: int = 3


SHOWN = [
    Shown("accuracy", "forget", "accuracy D_f, %", 100, 1),
    Shown("accuracy", "retain", "accuracy D_r, %", 100, 1),
    Shown("accuracy", "test", "accuracy test, %", 100, 1),
    Shown("mia_whitebox_rate", "forget", "MIA rate D_f, white-box"),
    Shown("mia_blackbox_rate", "forget", "MIA rate D_f, black-box"),
    Shown("mia_whitebox_auc", "forget", "AUC D_f, white-box"),
    Shown("mia_whitebox_tpr_at_1pct", "forget", "TPR D_f at 1% FPR, white-box"),
    Shown("mia_whitebox_tpr_at_0.1pct", "forget", "TPR D_f at 0.1% FPR, white-box"),
    Shown("mia_whitebox_worst_decile", "forget", "worst decile of D_f, white-box"),
    Shown(LOG_EFFICACY, "forget", "log10 of efficacy", decimals=2),
    Shown("relearn_steps", "forget", "relearn steps", decimals=1),
    Shown("mia_whitebox_auc", "retain", "AUC D_r, white-box"),
    Shown("mia_whitebox_advantage", "retain", "advantage D_r, white-box"),
    Shown("two_models_distance_vs_test_auc", "forget", "two models, AUC D_f vs test"),
    Shown("two_models_distance_vs_retain_auc", "forget", "two models, AUC D_f vs D_r"),
    Shown("tow", "", "ToW"),
    Shown("tow_mia_whitebox", "", "ToW-MIA, white-box"),
]


def tug_of_war(rows: pd.DataFrame, forget_metric: str, name: str) -> pd.DataFrame:
    """Tug of War (Zhao et al. 2024): Π (1 − |difference to retraining|) of every model.

    ToW is of the accuracies on D_f, D_r and test; ToW-MIA has the attack's rate on D_f in place of
    the accuracy. In [0, 1], 1 for retraining itself.

    Args:
        rows: Tidy metrics: axes, ``method``, ``seed``, ``subset``, ``metric``, ``value``.
        forget_metric: Whose difference is taken on ``forget``.
        name: Of the new metric.

    Returns:
        Rows of the new metric, with subset ""; none of what retraining was not run for.
    """
    used = {"forget": forget_metric, "retain": "accuracy", "test": "accuracy"}
    rows = rows[rows["metric"] == rows["subset"].map(used)]
    axes = [*CELL, "seed"]
    wide = rows.pivot_table(index=[*axes, "subset"], columns="method", values="value")
    if REFERENCE not in wide:
        return rows.head(0)
    kept = 1 - wide.sub(wide[REFERENCE], axis=0).abs()
    whole = kept.groupby(level=axes).count() == len(used)
    product = kept.groupby(level=axes).prod().where(whole)
    long = product.melt(ignore_index=False, var_name="method").dropna().reset_index()
    return long.assign(subset="", metric=name)


def quantities(results: Results) -> pd.DataFrame:
    """Every metric that a gap is taken of: those of ``evaluation``, log10 of efficacy, and ToW.

    Without counts and without the ends of single models' intervals.
    """
    rows = results.evaluation.fillna({"subset": ""})
    rows = rows[~rows["metric"].isin(NO_GAP) & ~rows["metric"].str.endswith(INTERVAL_ENDS)]
    efficacy = rows["metric"] == "efficacy"
    with np.errstate(divide="ignore"):
        logarithm = np.log10(rows["value"].where(efficacy))
    rows = rows.assign(
        value=rows["value"].mask(efficacy, logarithm),
        metric=rows["metric"].mask(efficacy, LOG_EFFICACY),
    )
    tugs = {"tow": "accuracy", "tow_mia_whitebox": "mia_whitebox_rate"}
    tugs["tow_mia_blackbox"] = "mia_blackbox_rate"
    derived = (tug_of_war(rows, metric, name) for name, metric in tugs.items())
    return pd.concat([rows, *(part for part in derived if len(part))], ignore_index=True)


def margin(metric: str) -> float:
    """The greatest difference that counts as none; NaN for a metric that has no such margin."""
    return next((width for end, width in MARGINS.items() if metric.endswith(end)), np.nan)


def judge(low: float, high: float, p_equivalence: float) -> str:
    """The verdict on a gap from its 95 % interval and the p of its equivalence test.

    ``indistinguishable``: 0 lies in the interval, and the gap is shown to be within the margin;
    ``within the margin``: the latter alone; ``different``: 0 does not lie in the interval, and
    nothing shows that the gap is small; ``undecided``: neither; "" without an interval, or with
    one of no width.
    """
    if not low < high:
        return ""
    if p_equivalence < LEVEL:
        return INDISTINGUISHABLE if low <= 0 <= high else WITHIN
    return UNDECIDED if low <= 0 <= high else DIFFERENT


def build(results: Results) -> pd.DataFrame:
    """One row per cell, subset, metric and method other than retraining.

    Returns:
        ``dataset``, ``architecture``, ``forget_ratio``, ``subset``, ``metric``, ``method``;
        ``mean`` and ``retraining`` (means over the seeds of both); ``gap`` (mean of
        method − retraining over the ``n`` seeds that both have) with its 95 % t-interval ``low``,
        ``high``; ``p`` of the signed-rank test, ``p_holm`` over the methods of the same cell and
        metric; ``margin``, ``p_equivalence`` (two one-sided t-tests), ``verdict``
        (:func:`judge`); ``remark``: why something of it is missing.
    """
    rows = quantities(results)
    wide = rows.pivot_table(
        index=[*QUANTITY, "seed"], columns="method", values="value", dropna=False, observed=True,
        sort=False,
    )  # fmt: skip
    wide = wide.reindex(columns=[method for method in METHODS if method in wide])
    measured = set(rows[[*QUANTITY, "method"]].drop_duplicates().itertuples(index=False, name=None))
    parts = []
    group, keys = pd.factorize(wide.index.droplevel("seed"))
    plain = wide.reset_index(drop=True)  # of a large index every slice costs
    for number, values in plain.groupby(group, sort=False):
        key = keys[number]
        ran = [method for method in values if (*key, method) in measured]
        if ran:
            named = dict(zip(QUANTITY, key, strict=True))
            parts.append(_compare(values[ran], margin(named["metric"])).assign(**named))
    table = pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)
    return table.astype({"n": int, "verdict": object, "remark": object})


def _compare(values: pd.DataFrame, width: float) -> pd.DataFrame:
    """All methods of one cell and metric against retraining; a column of ``values`` each."""
    tests = wilcoxon_holm(values, REFERENCE, margin=width).rename(columns={"difference": "gap"})
    with np.errstate(invalid="ignore"):  # of infinite efficacies
        means = values.mean()
    missing = values.isna().all()  # all methods here were measured: NaN is a measured one
    ends = tests[["low", "high", "p_equivalence"]].itertuples(index=False)
    return tests.assign(
        mean=means[tests["method"]].to_numpy(),
        retraining=means.get(REFERENCE, np.nan),
        margin=width,
        verdict=[judge(*row) for row in ends],
        remark=[
            NOT_MEASURABLE
            if missing[row.method] or missing.get(REFERENCE, False)
            else "; ".join(filter(None, (NO_SPREAD if row.low == row.high else "", row.remark)))
            for row in tests.itertuples()
        ],
    )


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and quantity of ``SHOWN``: retraining's mean, every method's gap to it."""
    axes = [list(dict.fromkeys(table[axis])) for axis in CELL]
    cells = {
        (*key, row.method): row
        for key, group in table.groupby([*CELL, "metric", "subset"], sort=False)
        for row in group.itertuples()
    }
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
                lines.append((*cell, shown.label, method, text))
    text = pd.DataFrame(lines, columns=[*CELL, "quantity", "method", "text"])
    order = [REFERENCE, *(method for method in methods if method != REFERENCE)]
    return spread(text, [*CELL, "quantity"], "method", order).rename(columns=METHODS)


def _value(row: tuple | None, shown: Shown) -> str:
    if row is None or pd.isna(row.retraining):
        return NOT_MEASURABLE if row is not None and row.remark == NOT_MEASURABLE else "not run"
    return f"{row.retraining * shown.scale:.{shown.decimals}f}"


def _gap(row: tuple | None, shown: Shown) -> str:
    if row is None or pd.isna(row.gap):
        return NOT_MEASURABLE if row is not None and row.remark == NOT_MEASURABLE else "not run"
    text = f"{row.gap * shown.scale:+.{shown.decimals}f}".replace("-", "−")
    if pd.notna(row.low):
        text += f" ± {(row.high - row.low) / 2 * shown.scale:.{shown.decimals}f}"
    return text + MARKS.get(row.verdict, "")


def explain(table: pd.DataFrame, remarks: str) -> str:
    """How to read the formatted table."""
    seeds = count_seeds(table.loc[table["gap"].notna(), "n"])
    interval = "no interval" if seeds == "1 seed" else "± half-width of the 95 % t-interval, paired"
    return (
        f"Retraining: its mean. Others: method − retraining, mean over {seeds} ({interval}). "
        f"“=”: indistinguishable, 0 lies in the interval and the gap is within the margin "
        "(equivalence test, p < .05); “*”: different, 0 does not lie in the interval; “*=”: it "
        "does not, but the gap is within the margin; no mark: undecided. Margins: accuracy 2 "
        "points; rates, AUC, advantage, worst decile and ToW .05; TPR .01; efficacy a factor of "
        f"2. “{NOT_MEASURABLE}”: fewer images than 1/FPR. “not run”: not in `metrics`, or no such "
        f"model. Accuracies in %, shares in [0, 1]. All metrics: table_gaps.csv. {remarks}"
    )
