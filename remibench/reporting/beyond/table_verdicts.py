"""Beyond the paper: which methods leak, over-forget, lose utility, or are like retraining.

Verdicts follow from a method's gaps to retraining on the same target and forget set (method −
retraining, mean over seeds ± the half-width of the 95 % t-interval, paired): white-box MIA rate on
the forget set, accuracy on forget set, retain set and test images.

*Leaks* and *over-forgets*: the MIA rate is more than .05 above or below retraining's. *Loses
utility*: accuracy on retain or test images is more than 2 points below. *As retraining*, *keeps
utility*: shown to be within these margins (or above, for utility); *equivalent*: all four within.
Each statement holds at the 5 % level after Holm's correction over all methods and quantities of a
cell. *Not decided*: these seeds show none of them, which is no proof of sameness.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from remibench.analysis.results import BY_METHOD, CELL, METHODS, Results, count_seeds, percent
from remibench.analysis.statistics import LEVEL, holm, standard_error, t_interval
from remibench.reporting.beyond.comparisons import REFERENCE
from remibench.reporting.beyond.table_gaps import margin
from remibench.reporting.render import readable, spread

# The rule, stated before the run of all methods (``docs/results/all_methods``). Four quantities of
# every method are compared with retraining's, paired over seeds: white-box MIA rate on the forget
# set, and accuracy on forget set, retain set and test images. With a margin m
# (``table_gaps.MARGINS``) the mean difference lies above +m, below −m, or within ±m. Only the one
# of these statements that the sample mean lies in is tested:
#
# - above, below: one-sided t-test against the margin, p doubled, so that p < .05 exactly where the
#   whole 95 % t-interval lies beyond it;
# - within: two one-sided t-tests (TOST), p < .05 exactly where the 90 % t-interval lies inside.
#
# Holm's correction is over everything said of a cell (dataset × architecture × forget ratio): all
# methods and all four quantities. What is not below .05 after it is *not decided*, and so is all
# with fewer than two seeds. A share of n images is taken to vary by no less than 1/n between
# seeds.
#
# Membership, from the MIA rate: above *leaks*, below *over-forgets* (the Streisand effect:
# forgotten images stand out by looking less like members than they should), within *as
# retraining*. Utility, from retain and test images: any below *loses utility*, none of them *not
# decided* otherwise *keeps utility*. *Equivalent*: all four within.

TITLE = "Verdicts on every method"
QUANTITIES = {  # name in columns → metric, subset
    "mia": ("mia_whitebox_rate", "forget"),
    "forget": ("accuracy", "forget"),
    "retain": ("accuracy", "retain"),
    "test": ("accuracy", "test"),
}
ABOVE, BELOW, ALIKE, UNDECIDED = "above", "below", "within", "not decided"
LEAKS, OVER_FORGETS, AS_RETRAINING = "leaks", "over-forgets", "as retraining"
LOSES, KEEPS = "loses utility", "keeps utility"
EQUIVALENT = "equivalent"
MEMBERSHIP = {ABOVE: LEAKS, BELOW: OVER_FORGETS, ALIKE: AS_RETRAINING, UNDECIDED: UNDECIDED}
LABELS = {
    "mia": "MIA rate D_f",
    "forget": "accuracy D_f",
    "retain": "accuracy D_r",
    "test": "accuracy test",
}
SCALES = {"mia": (1, 3), "forget": (100, 1), "retain": (100, 1), "test": (100, 1)}
_OF_QUANTITY = ("gap", "low", "high", "p_holm", "place")
COLUMNS = [
    *BY_METHOD,
    "n",
    *(f"{quantity}_{name}" for quantity in QUANTITIES for name in _OF_QUANTITY),
    "membership",
    "utility",
    "verdict",
]


def locate(differences: np.ndarray, width: float, resolution: float) -> dict[str, float | str]:
    """Where a mean difference lies: above +width, below −width or within; one statement, its p.

    Args:
        differences: Of pairs, shares.
        width: The margin, > 0.
        resolution: Least standard deviation that is believed, one image of the share's.

    Returns:
        ``gap`` (mean), ``low`` and ``high`` (95 % t-interval), ``place`` (the statement that the
        mean makes), ``p`` of its test (NaN without spread), ``n``; NaN for fewer than two pairs.
    """
    differences = np.asarray(differences, float)
    n, mean = len(differences), float(differences.mean()) if len(differences) else np.nan
    place = ABOVE if mean > width else BELOW if mean < -width else ALIKE
    low, high = t_interval(differences, least=resolution)
    error = standard_error(differences, resolution)
    tail = float(stats.t.sf(abs(abs(mean) - width) / error, n - 1)) if error > 0 else np.nan
    p = tail if place == ALIKE else float(np.minimum(1, 2 * tail))
    return {"n": n, "gap": mean, "low": low, "high": high, "place": place, "p": p}


def conclude(places: dict[str, str]) -> tuple[str, str, str]:
    """Membership, utility, and both in one, from where the four quantities lie.

    Args:
        places: ``above``, ``below``, ``within`` or ``not decided``, by the names of QUANTITIES.
    """
    membership = MEMBERSHIP[places["mia"]]
    kept = [places["retain"], places["test"]]
    utility = LOSES if BELOW in kept else UNDECIDED if UNDECIDED in kept else KEEPS
    if set(places.values()) == {ALIKE}:
        return membership, utility, EQUIVALENT
    said = [word for word in (membership, utility) if word != UNDECIDED]
    return membership, utility, ", ".join(said) or UNDECIDED


def build(results: Results) -> pd.DataFrame:
    """One row per cell and method other than retraining, in the order of display.

    Returns:
        ``dataset``, ``architecture``, ``forget_ratio``, ``method``, ``n`` (least number of pairs);
        of every quantity (``mia``, ``forget``, ``retain``, ``test``) ``…_gap`` (mean of
        method − retraining, shares) with its 95 % t-interval ``…_low``, ``…_high``, ``…_p_holm``
        and ``…_place``; ``membership``, ``utility``, ``verdict``. NaN and *not decided* where
        a quantity was not measured.
    """
    wanted = [
        *QUANTITIES.values(),
        *(("images", subset) for subset in ("forget", "retain", "test")),
    ]
    rows = results.evaluation.set_index(["metric", "subset"])
    rows = rows[rows.index.isin(wanted)].reset_index()
    wide = rows.pivot_table(
        index=[*CELL, "metric", "subset", "seed"], columns="method", values="value", sort=False
    )
    methods = [method for method in METHODS if method in wide and method != REFERENCE]
    wide = wide.reindex(columns=[*methods, REFERENCE])
    records = []
    for cell, values in wide.groupby(level=CELL, sort=False):
        named = dict(zip(CELL, cell, strict=True))
        records += _judge(values.droplevel(CELL), methods, named)
    return pd.DataFrame(records, columns=COLUMNS)


def _judge(values: pd.DataFrame, methods: list[str], cell: dict) -> list[dict]:
    """All methods of one cell: ``values`` has a row per metric, subset and seed."""
    found: dict[tuple[str, str], dict] = {}
    for quantity, (metric, subset) in QUANTITIES.items():
        rows = _of(values, metric, subset)
        images = _of(values, "images", subset).to_numpy()
        resolution = 1 / np.nanmin(images) if np.isfinite(images).any() else np.nan
        for method in methods:
            pairs = rows[[method, REFERENCE]].dropna()
            differences = (pairs[method] - pairs[REFERENCE]).to_numpy()
            found[method, quantity] = locate(differences, margin(metric), resolution)
    adjusted = holm(np.array([where["p"] for where in found.values()]))
    for where, p in zip(found.values(), adjusted, strict=True):
        where["p_holm"] = p
        if not p < LEVEL:
            where["place"] = UNDECIDED
    records = []
    for method in methods:
        of_quantity = {quantity: found[method, quantity] for quantity in QUANTITIES}
        said = conclude({quantity: where["place"] for quantity, where in of_quantity.items()})
        record = {
            f"{quantity}_{name}": where[name]
            for quantity, where in of_quantity.items()
            for name in _OF_QUANTITY
        }
        record |= dict(zip(("membership", "utility", "verdict"), said, strict=True))
        n = min(where["n"] for where in of_quantity.values())
        records.append({**cell, "method": method, "n": n, **record})
    return records


def _of(values: pd.DataFrame, metric: str, subset: str) -> pd.DataFrame:
    key = (metric, subset)
    return values.loc[key] if key in values.index.droplevel("seed") else values.head(0)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and method: the four gaps with their intervals, and what they say."""
    text = table[BY_METHOD].copy()
    for quantity, label in LABELS.items():
        scale, decimals = SCALES[quantity]
        text[label] = [
            gap_text(*row, scale, decimals)
            for row in table[[f"{quantity}_{name}" for name in ("gap", "low", "high")]].to_numpy()
        ]
    text[["membership", "utility"]] = table[["membership", "utility"]]
    text["verdict"] = table["verdict"]
    return readable(text)


def matrix(table: pd.DataFrame) -> pd.DataFrame:
    """One line per method and cell, a column per forget ratio: verdict and two main gaps."""
    lines = []
    for row in table.to_dict("records"):
        mia = gap_text(row["mia_gap"], row["mia_low"], row["mia_high"], *SCALES["mia"])
        test = gap_text(row["test_gap"], row["test_low"], row["test_high"], *SCALES["test"])
        lines.append(f"{row['verdict']}; MIA {mia}; test {test}")
    text = table[BY_METHOD].assign(text=lines)
    ratios = sorted(table["forget_ratio"].unique())
    wide = spread(text, ["dataset", "architecture", "method"], "forget_ratio", ratios)
    wide["method"] = wide["method"].map(METHODS)
    return wide.rename(columns={ratio: percent(ratio) for ratio in ratios})


def gap_text(gap: float, low: float, high: float, scale: float, decimals: int) -> str:
    """``+.62 ± .05``: mean, half-width of its interval; "not run" for NaN."""
    if pd.isna(gap):
        return "not run"
    text = f"{gap * scale:+.{decimals}f}".replace("-", "−")
    return text if pd.isna(low) else f"{text} ± {(high - low) / 2 * scale:.{decimals}f}"


def explain(table: pd.DataFrame, remarks: str) -> str:
    """How to read the formatted table."""
    seeds = count_seeds(table.loc[table["n"] > 0, "n"])
    interval = "no interval" if seeds == "1 seed" else "± half-width of the 95 % t-interval, paired"
    return (
        f"Method − retraining, mean over {seeds} ({interval}): white-box MIA rate on the forget "
        "set as a share, accuracies in points. Leaks, over-forgets: the MIA rate lies above, below "
        "retraining's by more than .05; loses utility: accuracy on retain or test images lies "
        "below it by more than 2 points; as retraining, keeps utility: shown to lie within these "
        "margins (or above, for utility); equivalent: all four within. Every statement at "
        "the 5 % level after Holm's correction over all methods and quantities of a cell; not "
        f"decided: these seeds show none of them. {remarks}"
    )
