"""Likeness to retraining: margins, one rule, and the words for its verdicts.

The rule locates a gap to retraining (:mod:`remibench.analysis.gaps`): above the margin, below it,
or within it. :func:`judge_gaps` applies it to every metric, and :func:`judge_methods` concludes
from four of them which methods leak, over-forget, lose utility, or are like retraining. Both are
in docs/statistics.md, and say the same of the same quantity.

The rule, stated before the run of all methods (``docs/results/all_methods``). Four
quantities of every method are compared with retraining's, paired over seeds: white-box MIA rate on
the forget set, and accuracy on forget set, retain set and test images. With a margin m the mean
difference lies above +m, below −m, or within ±m. Only the one of these statements that the sample
mean lies in is tested:

- above, below: one-sided t-test against the margin, p doubled, so that p < .05 exactly where the
  whole 95 % t-interval lies beyond it;
- within the margin: two one-sided t-tests (TOST), p < .05 exactly where the 90 % t-interval lies
  inside.

Holm's correction is over everything said of a cell (dataset × architecture × forget ratio) in these
four quantities by all methods, and of any other metric over all methods. What is not below .05
after it is *not decided*, and so is all with fewer than two seeds. Of the four, a share of n images
is taken to vary by no less than 1/n between seeds.

Membership, from the MIA rate: above *leaks*, below *over-forgets* (the Streisand effect: forgotten
images stand out by looking less like members than they should), within the margin *as retraining*.
Utility, from retain and test images: any below *loses utility*, none of them *not decided*
otherwise *keeps utility*. *Equivalent*: all four within the margin.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import special

from remibench.analysis.gaps import (
    LOG_EFFICACY,
    NO_REFERENCE,
    QUANTITY,
    REFERENCE,
    pair,
    quantities,
    summarise,
)
from remibench.analysis.quantities import quantity
from remibench.analysis.results import BY_METHOD, CELL, in_order
from remibench.analysis.statistics import DECIMALS, LEVEL, holm, standard_error, t_interval
from remibench.components.registry import controls

NOT_RUN, NOT_MEASURABLE = "not run", "not measurable"
NOT_DECIDED, WITHIN = "not decided", "within the margin"
ABOVE, BELOW = "above", "below"
LEAKS, OVER_FORGETS, AS_RETRAINING = "leaks", "over-forgets", "as retraining"
LOSES, KEEPS = "loses utility", "keeps utility"
EQUIVALENT = "equivalent"
MEMBERSHIP = {ABOVE: LEAKS, BELOW: OVER_FORGETS, WITHIN: AS_RETRAINING, NOT_DECIDED: NOT_DECIDED}
MOVES, STAYS = "moves", "stays"
TAKEN, TOLD_APART = "taken for retraining", "told apart"
UNSEEN = "nor is the target told apart"
NO_SPREAD = "all differences are equal: an interval of no width, no verdict"
MARGINS = {  # how a metric's name ends → greatest difference that counts as none
    "accuracy": 0.02,
    "_rate": 0.05,
    "_auc": 0.05,
    "_advantage": 0.05,
    "_worst_decile": 0.05,
    "_tpr_at_1pct": 0.01,
    "_tpr_at_0.1pct": 0.01,
    "_tpr_at_5pct": 0.05,  # at these false-positive rates a TPR is a rate like any other
    "_tpr_at_10pct": 0.05,
    "_tpr_at_paper": 0.05,
    LOG_EFFICACY: np.log10(2),
    "tow": 0.05,
    "tow_mia_whitebox": 0.05,
    "tow_mia_blackbox": 0.05,
}


JUDGED = {  # name in columns → quantity
    "mia": quantity("mia_whitebox_rate", "forget"),
    "forget": quantity("accuracy", "forget"),
    "retain": quantity("accuracy", "retain"),
    "test": quantity("accuracy", "test"),
}
PLACED = ("gap", "low", "high", "p_holm", "place")  # what is said of each of JUDGED


def margin(metric: str) -> float:
    """Look up the greatest difference that counts as none; NaN for a metric without a margin."""
    return next((width for end, width in MARGINS.items() if metric.endswith(end)), np.nan)


def judge_gaps(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Judge every method's gap to retraining in every metric.

    Args:
        evaluation: The rows of ``evaluation.csv``.

    Returns:
        The columns of :func:`remibench.analysis.gaps.summarise`, with ``verdict`` before
        ``remark``: ``above``, ``below``, ``within the margin``, ``not decided``, or "" with fewer
        than two seeds and for a metric without a margin; a cell's quantities together.
    """
    pairs = pair(quantities(evaluation))
    table = summarise(pairs, margin=margin)  # sorted by first appearance:
    table = table.sort_values(QUANTITY, key=lambda axis: pd.factorize(axis)[0], ignore_index=True)
    unpaired = table["remark"] == NO_REFERENCE
    unmeasured = table["mean"].isna() | (table["retraining"].isna() & ~unpaired)
    judged = _judged(evaluation)
    for end in ("low", "high"):  # of equal differences they have the width of one image
        ends = [judged.get(key, {}).get(end, np.nan) for key in _keys(table)]
        table[end] = pd.Series(ends, index=table.index).fillna(table[end])
    flat = (table["high"] - table["low"]).abs() < 10.0**-DECIMALS
    remarks = zip(flat.map({True: NO_SPREAD, False: ""}), table["remark"], strict=True)
    joined = ["; ".join(filter(None, each)) for each in remarks]
    table["remark"] = pd.Series(joined, index=table.index, dtype=object).mask(
        unmeasured, NOT_MEASURABLE
    )
    verdicts = [
        judged[key]["place"] if key in judged else place
        for key, place in zip(_keys(table), _places(table, pairs), strict=True)
    ]
    known = table["gap"].notna() & np.isfinite(table["gap"]) & (table["n"] > 1)
    column = pd.Series(verdicts, index=table.index, dtype=object).where(known, "")
    table.insert(table.columns.get_loc("remark"), "verdict", column)
    return table


def _places(table: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Where the gap of every row lies, "" where nothing tests it.

    Holm's correction is over the methods of a quantity.
    """
    known = pairs[pairs["difference"].notna()]
    groups = known.groupby([*QUANTITY, "method"], sort=False)["difference"]
    differences = {key: group.to_numpy() for key, group in groups}
    located = [
        locate(differences.get(key, ()), width, 0.0)
        for key, width in zip(_keys(table), table["margin"], strict=True)
    ]
    p = pd.Series([where["p"] for where in located], index=table.index)
    family = [*(table[axis] for axis in QUANTITY), table["method"].isin(controls())]
    adjusted = p.groupby(family, sort=False).transform(lambda each: holm(each.to_numpy()))
    return [
        "" if np.isnan(p) else where["place"] if p < LEVEL else NOT_DECIDED
        for where, p in zip(located, adjusted, strict=True)
    ]


def _judged(evaluation: pd.DataFrame) -> dict[tuple, dict[str, float | str]]:
    """What :func:`judge_methods` says of the quantities that it judges, by quantity and method."""
    return {
        (*(getattr(row, axis) for axis in CELL), quantity.subset, quantity.metric, row.method): {
            key: getattr(row, f"{name}_{key}") for key in PLACED
        }
        for row in judge_methods(evaluation).itertuples()
        for name, quantity in JUDGED.items()
    }


def _keys(table: pd.DataFrame) -> list[tuple]:
    return list(table[[*QUANTITY, "method"]].itertuples(index=False, name=None))


def locate(differences: np.ndarray, width: float, resolution: float) -> dict[str, float | str]:
    """Locate a mean difference: above +width, below −width or within; one statement and its p.

    Args:
        differences: Differences of pairs, as shares.
        width: The margin, > 0.
        resolution: Least standard deviation that is believed, one image of the share's.

    Returns:
        ``gap`` (mean), ``low`` and ``high`` (95 % t-interval), ``place`` (the statement that the
        mean makes), ``p`` of its test (NaN without spread), ``n``; NaN for fewer than two pairs.
    """
    differences = np.round(np.asarray(differences, float), DECIMALS)
    n, mean = len(differences), float(differences.mean()) if len(differences) else np.nan
    place = ABOVE if mean > width else BELOW if mean < -width else WITHIN
    low, high = t_interval(differences, least=resolution)
    spread = len(differences) > 1 and (np.ptp(differences) > 0 or resolution > 0)
    error = standard_error(differences, resolution) if spread else 0.0
    tail = float(special.stdtr(n - 1, -abs(abs(mean) - width) / error)) if error > 0 else np.nan
    p = tail if place == WITHIN else float(np.minimum(1, 2 * tail))
    return {"n": n, "gap": mean, "low": low, "high": high, "place": place, "p": p}


def conclude(places: dict[str, str]) -> tuple[str, str, str]:
    """Conclude on membership, on utility, and on both, from where the four quantities lie.

    Args:
        places: ``above``, ``below``, ``within the margin`` or ``not decided``, by the names of
            JUDGED.
    """
    membership = MEMBERSHIP[places["mia"]]
    kept = [places["retain"], places["test"]]
    utility = LOSES if BELOW in kept else NOT_DECIDED if NOT_DECIDED in kept else KEEPS
    if set(places.values()) == {WITHIN}:
        return membership, utility, EQUIVALENT
    words = [word for word in (membership, utility) if word != NOT_DECIDED]
    return membership, utility, ", ".join(words) or NOT_DECIDED


def judge_methods(evaluation: pd.DataFrame, rate: str = JUDGED["mia"].metric) -> pd.DataFrame:
    """Judge every method other than retraining, cell by cell, in the order of display.

    Args:
        evaluation: The rows of ``evaluation.csv``.
        rate: The metric that stands for membership, the rate of an attack on the forget set.

    Returns:
        ``dataset``, ``architecture``, ``forget_ratio``, ``method``, ``n`` (least number of pairs);
        of every quantity (``mia``, ``forget``, ``retain``, ``test``) ``…_gap`` (mean of
        method − retraining, shares) with its 95 % t-interval ``…_low``, ``…_high``, ``…_p_holm``
        and ``…_place``; ``membership``, ``utility``, ``verdict``. NaN and *not decided* where
        a quantity was not measured.
    """
    judged = JUDGED | {"mia": replace(JUDGED["mia"], metric=rate)}
    keys = [(quantity.metric, quantity.subset) for quantity in judged.values()]
    images = [("images", quantity.subset) for quantity in judged.values()]
    rows = evaluation.set_index(["metric", "subset"])
    rows = rows[rows.index.isin([*keys, *images])].reset_index()
    methods = [method for method in in_order(rows["method"]) if method != REFERENCE]
    controlled = set(controls())
    families = [
        [method for method in methods if (method in controlled) == control]
        for control in (False, True)
    ]
    sizes = rows[rows["metric"] == "images"].groupby([*CELL, "subset"])["value"].min()
    pairs = pair(rows).dropna(subset=["difference"])
    differences = dict(
        list(pairs.groupby([*CELL, "method", "metric", "subset"], sort=False)["difference"])
    )
    records = []
    for cell in rows[CELL].drop_duplicates().itertuples(index=False, name=None):
        tests = {
            (method, name): locate(
                differences.get((*cell, method, quantity.metric, quantity.subset), ()),
                margin(quantity.metric),
                1 / sizes.get((*cell, quantity.subset), np.nan),
            )
            for name, quantity in judged.items()
            for method in methods
        }
        own = dict(zip(CELL, cell, strict=True))
        for family in families:
            records += _judge_cell(tests, own, family)
    columns = [f"{name}_{column}" for name in JUDGED for column in PLACED]
    return pd.DataFrame(
        records, columns=[*BY_METHOD, "n", *columns, "membership", "utility", "verdict"]
    )


def _judge_cell(tests: dict[tuple[str, str], dict], cell: dict, methods: list[str]) -> list[dict]:
    """Correct all p-values of these methods for their number, and conclude on each of them."""
    family = [where for (method, _), where in tests.items() if method in methods]
    adjusted = holm(np.array([where["p"] for where in family]))
    for where, p in zip(family, adjusted, strict=True):
        where["p_holm"] = p
        if not p < LEVEL:
            where["place"] = NOT_DECIDED
    records = []
    for method in methods:
        of_method = {name: tests[method, name] for name in JUDGED}
        conclusions = conclude({name: where["place"] for name, where in of_method.items()})
        record = {
            f"{name}_{key}": where[key] for name, where in of_method.items() for key in PLACED
        }
        record |= dict(zip(("membership", "utility", "verdict"), conclusions, strict=True))
        n = min(where["n"] for where in of_method.values())
        records.append({**cell, "method": method, "n": n, **record})
    return records
