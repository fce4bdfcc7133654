"""Every method against retraining, paired over seeds: differences, tests, efficacy distributions.

What is tested, in which family, and what a p-value here does not say: docs/statistics.md.
"""

from __future__ import annotations

import pandas as pd

from remibench.analysis.gaps import (
    LOG_EFFICACY,
    QUANTITY,
    REFERENCE,
    pair,
    summarise,
    take_logarithms,
)
from remibench.analysis.results import CELL, Results
from remibench.analysis.statistics import binomial_interval, holm, ks_efficacy
from remibench.reporting.html_page import ABSENT
from remibench.reporting.render import ALL, readable

TITLE = "Every method against retraining"
QUANTITIES = [  # metric, subset
    ("mia_whitebox_rate", "forget"),
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
    (LOG_EFFICACY, "forget"),
]
COLUMNS = [
    *CELL,
    *("metric", "subset", "method", "pairs", "n", "difference", "low", "high"),
    *("p", "p_holm", "ks", "ks_p", "ks_p_holm", "remark"),
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
    rows = take_logarithms(results.evaluation.fillna({"subset": ""}))
    keys = pd.MultiIndex.from_frame(rows[["metric", "subset"]])
    rows = rows[keys.isin(QUANTITIES)]
    pairs = pair(rows)
    tables = [_with_ks(summarise(pairs), pairs).assign(pairs="seeds")]
    means = rows.groupby([*QUANTITY, "method"], sort=False)["value"].mean().reset_index()
    over = ["forget_ratio", "subset", "metric"]
    cells = means.groupby(CELL[:2]).ngroup().groupby([means[axis] for axis in over])
    if len(several := means[cells.transform("nunique") > 1]):
        over_cells = summarise(pair(several), by=over)
        tables.append(over_cells.assign(dataset=ALL, architecture=ALL, pairs="cells"))
    table = pd.concat(tables, ignore_index=True).rename(columns={"gap": "difference"})
    places = [QUANTITIES.index(key) for key in zip(table["metric"], table["subset"], strict=True)]
    table = table.assign(place=places).sort_values("place", kind="stable", ignore_index=True)
    return table.reindex(columns=COLUMNS)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """The comparisons under readable labels."""
    labels = {"low": "95 % from", "high": "to", "p_holm": "p (Holm)"}
    labels |= {"ks": "KS", "ks_p": "KS p", "ks_p_holm": "KS p (Holm)"}
    return readable(table.assign(remark=table["remark"].replace("", ABSENT)), **labels)


def explain(remarks: str) -> str:
    """Explanation of the page for its readers."""
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


def _with_ks(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Compare the distributions of efficacy, too; Holm's family is the methods of a cell."""
    scores = {
        key: rows.to_numpy()
        for key, rows in pairs[pairs["metric"] == LOG_EFFICACY].groupby([*CELL, "method"])["value"]
    }
    efficacy = table[table["metric"] == LOG_EFFICACY]
    tests = [
        ks_efficacy(scores[(*cell, method)], scores.get((*cell, REFERENCE), ()))
        for *cell, method in efficacy[[*CELL, "method"]].itertuples(index=False)
    ]
    compared = pd.DataFrame(tests, columns=["ks", "ks_p"], index=efficacy.index, dtype=float)
    families = compared["ks_p"].groupby([efficacy[axis] for axis in CELL], sort=False)
    compared["ks_p_holm"] = families.transform(lambda p: holm(p.to_numpy()))
    return table.join(compared)
