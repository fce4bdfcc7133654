"""Every method against retraining, paired over seeds: differences, tests, efficacy distributions.

What is tested, in which family, and what a p-value here does not say: docs/statistics.md.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from remibench.analysis.results import CELL, METHODS, Results
from remibench.analysis.statistics import binomial_interval, holm, ks_efficacy, wilcoxon_holm
from remibench.reporting.interactive import ABSENT
from remibench.reporting.render import readable

TITLE = "Every method against retraining"
REFERENCE = "retrain"
QUANTITIES = [  # metric, subset
    ("mia_whitebox_rate", "forget"),
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
    ("efficacy", "forget"),
]
LOG_EFFICACY = "log10_efficacy"  # scores span orders of magnitude: their logarithms are compared
ALL = "all"  # dataset and architecture of the rows over the whole grid
COLUMNS = [
    *CELL,
    "metric",
    "subset",
    "method",
    "pairs",
    "n",
    "difference",
    "low",
    "high",
    "p",
    "p_holm",
    "ks",
    "ks_p",
    "ks_p_holm",
    "remark",
]


def build(results: Results) -> pd.DataFrame:
    """Every method's paired difference to retraining, per cell and over all cells of a ratio.

    Returns:
        dataset, architecture, forget_ratio, metric, subset, method, ``pairs`` (``seeds``; or
        ``cells``, each the mean of its seeds, where the grid has several), ``n`` of them,
        ``difference`` (mean of method − retraining) with its 95 % t-interval ``low``, ``high``,
        ``p`` of the signed-rank test and ``p_holm``, and for efficacy ``ks``, ``ks_p`` and
        ``ks_p_holm``. Holm's family is the methods of the same cell, metric and subset. ``remark``
        says why an interval or a test is missing. Shares in [0, 1]; efficacy as log10.
    """
    parts = []
    for metric, subset in QUANTITIES:
        values = results.metric(metric)
        values = values[values["subset"] == subset]
        axes = {"metric": metric, "subset": subset}
        if metric == "efficacy":
            axes["metric"] = LOG_EFFICACY
            with np.errstate(divide="ignore"):
                values = values.assign(value=np.log10(values["value"]))
        for cell, rows in values.groupby(CELL, sort=False):
            wide = _widen(rows, ["seed"])
            table = wilcoxon_holm(wide, REFERENCE)
            if metric == "efficacy":
                table = _with_ks(table, wide)
            named = dict(zip(CELL, cell, strict=True))
            parts.append(table.assign(**named, **axes, pairs="seeds"))
        for ratio, rows in values.groupby("forget_ratio", sort=False):
            if len(rows[CELL].drop_duplicates()) > 1:
                table = wilcoxon_holm(_widen(rows, ["dataset", "architecture"]), REFERENCE)
                named = {"dataset": ALL, "architecture": ALL, "forget_ratio": ratio}
                parts.append(table.assign(**named, **axes, pairs="cells"))
    return pd.concat(parts, ignore_index=True).reindex(columns=COLUMNS)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons under readable labels."""
    labels = {"low": "95 % from", "high": "to", "p_holm": "p (Holm)"}
    labels |= {"ks": "KS", "ks_p": "KS p", "ks_p_holm": "KS p (Holm)"}
    return readable(table.assign(remark=table["remark"].replace("", ABSENT)), **labels)


def explain(remarks: str) -> str:
    """How to read the page."""
    return (
        "Difference: method − retraining, mean over pairs with its 95 % t-interval; p of the "
        "signed-rank test, with Holm's correction over the methods of a cell and metric; of "
        f"efficacy the Kolmogorov–Smirnov statistic, too. “{ABSENT}”: not tested, see the remark. "
        f"From comparisons.csv. {remarks}"
    )


def build_rates(results: Results) -> pd.DataFrame:
    """Every single model's white-box MIA rate with its exact binomial interval over images.

    Returns:
        dataset, architecture, seed, method, forget_ratio, subset, ``images`` n, ``members`` k,
        ``rate``, and the Clopper–Pearson 95 % interval ``low``, ``high``: of one model, over the
        drawing of images. Intervals over seeds are another thing (docs/statistics.md).
    """
    keys = ["dataset", "architecture", "seed", "method", "forget_ratio", "subset"]
    rates = results.metric("mia_whitebox_rate").rename(columns={"value": "rate"})
    images = results.metric("images").rename(columns={"value": "images"})
    table = rates.merge(images, on=keys, validate="one_to_one")
    table["images"] = table["images"].astype(int)
    table["members"] = (table["rate"] * table["images"]).round().astype(int)
    table["low"], table["high"] = binomial_interval(table["members"], table["images"])
    return table[[*keys, "images", "members", "rate", "low", "high"]]


def _widen(rows: pd.DataFrame, pair: list[str]) -> pd.DataFrame:
    """A row per pair, a column per method in the order of display; several values are averaged."""
    wide = rows.pivot_table(index=pair, columns="method", values="value")
    return wide[[method for method in METHODS if method in wide]]


def _with_ks(table: pd.DataFrame, wide: pd.DataFrame) -> pd.DataFrame:
    reference = wide.get(REFERENCE, pd.Series(dtype=float))
    tests = [ks_efficacy(wide[method], reference) for method in table["method"]]
    statistic, p = zip(*tests, strict=True) if tests else ((), ())
    return table.assign(ks=statistic, ks_p=p, ks_p_holm=holm(p))
