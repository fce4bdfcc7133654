"""Method − retraining, paired by seed: one tidy table, and the one summary of it.

Tables, figures, verdicts, searches and studies select from these; none subtracts for itself. Which
differences count as none, and the words for that, are in :mod:`remibench.analysis.verdicts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from remibench.analysis.quantities import LOG_EFFICACY
from remibench.analysis.results import CELL, METHODS
from remibench.analysis.statistics import PairedTest, compare_pairs, holm
from remibench.components.registry import controls

REFERENCE = "retrain"
NO_REFERENCE = f"{REFERENCE} was not run"
QUANTITY = [*CELL, "subset", "metric"]
NO_GAP = (  # no results, but remarks on others or what they were measured at
    "images",
    "relearn_capped",
    "calibration_temperature",
    "calibration_factor",
    "paper_rate",
)
INTERVAL_ENDS = ("_low", "_high")
TUGS_OF_WAR = {  # metric → whose difference on the forget set is one of its three factors
    "tow": "accuracy",
    "tow_mia_whitebox": "mia_whitebox_rate",
    "tow_mia_blackbox": "mia_blackbox_rate",
}


def pair(rows: pd.DataFrame) -> pd.DataFrame:
    """Put retraining's value beside every value of the same cell, quantity and seed.

    Args:
        rows: Tidy values: ``method``, ``value``, and the columns that make a pair: the cell,
            ``subset``, ``metric`` and, unless the values are means over them, ``seed``.

    Returns:
        ``rows`` in their order with ``reference`` (retraining's value, NaN where it was not run)
        and ``difference`` (``value`` − ``reference``). Retraining's rows are among them.
    """
    rows = rows.fillna({"subset": ""})
    on = [column for column in rows if column not in ("method", "value")]
    reference = rows.loc[rows["method"] == REFERENCE, [*on, "value"]]
    reference = reference.rename(columns={"value": "reference"})
    paired = rows.merge(reference, how="left", on=on, validate="many_to_one")
    with np.errstate(invalid="ignore"):  # infinite efficacies
        return paired.assign(difference=paired["value"] - paired["reference"])


def summarise(
    pairs: pd.DataFrame,
    by: Sequence[str] = tuple(QUANTITY),
    margin: Callable[[str], float] = lambda metric: np.nan,
) -> pd.DataFrame:
    """Summarise the pairs of every method: mean difference, its interval and its tests.

    The tests are those of :func:`remibench.analysis.statistics.compare_pairs`. Holm's family is
    all methods of the same ``by``.

    Args:
        pairs: Rows of :func:`pair`.
        by: Columns that name what is compared, ``metric`` among them.
        margin: The greatest difference that counts as none, by metric; NaN for no such test.

    Returns:
        A row per ``by`` and method other than retraining, in the order of first appearance, methods
        in the order of display: ``by``, ``method``, ``mean`` and ``retraining`` (means of all
        values of either), ``gap`` (mean difference) with its 95 % t-interval ``low``, ``high``,
        ``n`` (pairs), ``p`` (signed-rank test), ``p_holm``, ``margin``, ``p_equivalence`` (TOST)
        and ``remark``: why something of it is missing.
    """
    by = list(by)
    codes = pairs.groupby([*by, "method"], sort=False).ngroup().to_numpy()
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    table = pairs.iloc[order[starts]][[*by, "method"]].reset_index(drop=True)
    values, references = (
        np.split(pairs[side].to_numpy(float)[order], starts[1:])[: len(starts)]
        for side in ("value", "reference")
    )
    table["family"] = table.groupby(by, sort=False).ngroup()
    table["margin"] = table["metric"].map(margin)
    table["mean"] = [_mean(series) for series in values]
    retrained = table[table["method"] == REFERENCE].set_index("family")["mean"]
    table["retraining"] = table["family"].map(retrained)
    tests = [
        compare_pairs(*sides, width)
        for *sides, width in zip(values, references, table["margin"], strict=True)
    ]
    table = table.join(pd.DataFrame(tests, columns=PairedTest._fields))
    unpaired = ~table["family"].isin(retrained.index)
    table["remark"] = table["remark"].mask(unpaired, NO_REFERENCE)
    table = table[table["method"] != REFERENCE]
    place = {method: number for number, method in enumerate(METHODS)}
    table = table.assign(place=table["method"].map(place))
    table = table.sort_values(["family", "place"], kind="stable", ignore_index=True)
    # Controls are tests of the measurement: to list one does not raise what a method has to show.
    families = table.groupby(["family", table["method"].isin(controls())], sort=False)["p"]
    table["p_holm"] = families.transform(lambda p: holm(p.to_numpy()))
    numbers = ["mean", "retraining", "gap", "low", "high", "n", "p", "p_holm"]
    return table[[*by, "method", *numbers, "margin", "p_equivalence", "remark"]]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    with np.errstate(invalid="ignore"):  # infinities of both signs
        # One seed after the other: a pairwise sum differs in its last digit from published means.
        return float(np.add.accumulate(known)[-1] / len(known)) if len(known) else np.nan


def quantities(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Choose and derive the metrics that a gap is taken of.

    These are all of ``evaluation`` but counts and the ends of single models' intervals, efficacy as
    its logarithm, and ToW.
    """
    rows = evaluation.fillna({"subset": ""})
    rows = rows[~rows["metric"].isin(NO_GAP) & ~rows["metric"].str.endswith(INTERVAL_ENDS)]
    rows = take_logarithms(rows)
    tugs = (tug_of_war(rows, metric, name) for name, metric in TUGS_OF_WAR.items())
    return pd.concat([rows, *(part for part in tugs if len(part))], ignore_index=True)


def take_logarithms(rows: pd.DataFrame) -> pd.DataFrame:
    """Replace efficacy scores by their decimal logarithms, under the name of those."""
    scores = rows["metric"] == "efficacy"
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = np.log10(rows["value"].where(scores))
    return rows.assign(
        value=rows["value"].mask(scores, logarithms),
        metric=rows["metric"].mask(scores, LOG_EFFICACY),
    )


def tug_of_war(rows: pd.DataFrame, forget_metric: str, name: str) -> pd.DataFrame:
    """Tug of War (Zhao et al. 2024): Π (1 − |difference to retraining|) of every model.

    ToW is of the accuracies on D_f, D_r and test; ToW-MIA has the attack's rate on D_f in place of
    the accuracy. In [0, 1], 1 for retraining itself.

    Args:
        rows: Tidy metrics: axes, ``method``, ``seed``, ``subset``, ``metric``, ``value``.
        forget_metric: Whose difference is taken on ``forget``.
        name: Name of the new metric.

    Returns:
        Rows of the new metric, with subset ""; none of what retraining was not run for.
    """
    used = {"forget": forget_metric, "retain": "accuracy", "test": "accuracy"}
    rows = rows[rows["metric"] == rows["subset"].map(used)].drop(columns="metric")
    factors = pair(rows).sort_values("subset", kind="stable")
    models = (1 - factors["difference"].abs()).groupby(
        [factors[axis] for axis in (*CELL, "seed", "method")]
    )
    products = models.prod().where(models.count() == len(used)).dropna().rename("value")
    return products.reset_index().assign(subset="", metric=name)
