"""The paper's numbers (``paper/numbers.csv``) beside ours, and the rule of the scorecard.

The rule, and why it is this one, is in docs/scorecard.md; in short, first that applies:

- *not judged*: a setting, not a result (Table II); seconds of another machine (Table V); a number
  whose dataset and architecture the paper does not name (Table VI).
- *not run*: we have no such cell.
- *other data*: we have it, but on fewer images or of another size than the paper's.
- *reproduced*: the paper's number lies in our 95 % interval, widened by the paper's rounding, and
  half that interval is no wider than the tolerance (or it would agree with anything).
- *within ±*: it does not, but the difference is at most the tolerance.
- *inconclusive*: it lies in our interval, but that is too wide, and the difference too large.
- *not reproduced*: none of these.

With one seed there is no interval, and the verdict is at best *within ±*. Numbers of images are
exact: equal is *reproduced*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from remibench.analysis.effectiveness import effectiveness
from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import CELL, Results
from remibench.analysis.statistics import summarise
from remibench.analysis.verdicts import NOT_RUN

REPRODUCED, WITHIN, INCONCLUSIVE = "reproduced", "within ±", "inconclusive"
NOT_REPRODUCED, OTHER_DATA = "not reproduced", "other data"
NOT_JUDGED = "not judged"
IMAGE_SIZE = 64  # pixels, the paper's
AXES = [*CELL, "method", "subset", "metric"]  # what names a number of the paper
WHOLE = 0.0  # forget ratio of what has none, since groups lose NaN
KEY = ["table", *CELL, "quantity"]
COLUMNS = [
    *KEY,
    *("unit", "published", "paper", "ours", "low", "high", "difference"),
    *("tolerance", "seeds", "source", "verdict"),
]
EFFECTIVENESS = "proportional_effectiveness"
QUANTITIES = {  # metric → how the scorecard calls it
    "images": "images, {part}",
    "learning_rate": "learning rate of ReMI",
    "lambda2": "λ2 of ReMI",
    "accuracy": "accuracy on {subset}, {phase}",
    "mia_whitebox_rate": "white-box MIA rate on {subset}, {phase}",
    "mf_whitebox_rate": "white-box MF rate, {phase} ReMI by black-box",
    "mf_blackbox_rate": "black-box MF rate, {phase} ReMI by white-box",
    "seconds": "{seconds}",
    "seconds_attack_loss": "share of L_G in ReMI's time",
    EFFECTIVENESS: "proportional effectiveness of ReMI",
}


@dataclass(frozen=True)
class Kind:
    """Rule by which numbers of a kind are compared.

    Attributes:
        unit: Unit of the compared numbers.
        tolerance: Greatest difference of *within ±*. With ``log`` a factor. NaN: the number of
            classes, since every class is rounded up.
        log: True if numbers are compared by their ratio; means are geometric.
        exact: True if the numbers are the same for all seeds: equal or not.
        judged: True if there can be a verdict.
    """

    unit: str
    tolerance: float = np.nan
    log: bool = False
    exact: bool = False
    judged: bool = True


KINDS = {
    "accuracy": Kind("%", tolerance=2),
    "rate": Kind("share", tolerance=0.05),
    "effectiveness": Kind("%", tolerance=5),
    "images": Kind("images", exact=True),
    "ratio": Kind("×", tolerance=2, log=True),
    "seconds": Kind("s", judged=False),
    "cross_method": Kind("%", judged=False),
    "setting": Kind("", judged=False),
}
KIND_OF = {
    "Table I": "images",
    "Table II": "setting",
    "Table III": "accuracy",
    "Table IV": "rate",
    "Table V": "ratio",  # seconds are of one machine
    "Table VI": "cross_method",
    "Figure 1": "accuracy",
    "Figure 3": "effectiveness",
}


def beside_paper(
    table: pd.DataFrame, name: str, published: pd.DataFrame, names: pd.Series
) -> pd.DataFrame:
    """Put a table's numbers in the paper beside our rows.

    Args:
        table: Rows with the columns of AXES that name the paper's numbers there; an axis that the
            paper leaves open is not compared, so that its number stands beside all values of it.
        name: The paper's table or figure, ``Table III``.
        published: The rows of ``paper/numbers.csv``.
        names: The paper's name of each dataset, by ours (:attr:`Results.paper_names`).

    Returns:
        ``table`` with ``paper``, NaN where the paper has no such number, and ``difference``
        (``mean`` − ``paper``) if it has a ``mean``.
    """
    numbers = published[published["table"] == name].rename(columns={"value": "paper"})
    named = [axis for axis in AXES if axis in table and not _open(numbers[axis]).all()]
    if table.empty:
        table = table.assign(paper=np.nan)
    else:
        keyed = table.assign(dataset=table["dataset"].map(names))
        keyed = keyed.astype({axis: numbers[axis].dtype for axis in named})
        joined = keyed.merge(numbers[[*named, "paper"]], how="left", on=named, validate="m:1")
        table = table.assign(paper=joined["paper"].to_numpy())
    return table.assign(difference=table["mean"] - table["paper"]) if "mean" in table else table


def _open(values: pd.Series) -> pd.Series:
    """Tell whether the paper leaves an axis of its number open."""
    return values.isna() | (values == "")


def judge(
    paper: float,
    ours: float,
    low: float,
    high: float,
    *,
    tolerance: float,
    rounding: float = 0.0,
    exact: bool = False,
) -> str:
    """The verdict on a number that was run on the paper's data.

    Args:
        paper, ours: The published number and our mean.
        low, high: Our 95 % interval; NaN for one seed.
        tolerance: Greatest difference of *within ±*.
        rounding: Half a unit of the last digit that the paper prints.
        exact: The number does not vary.
    """
    slack = rounding + 1e-9  # our own numbers are floats
    if exact and abs(ours - paper) <= slack:
        return REPRODUCED
    covered = not exact and low - slack <= paper <= high + slack  # False for NaN
    if covered and (high - low) / 2 <= tolerance:
        return REPRODUCED
    if abs(ours - paper) <= tolerance + 1e-9:
        return WITHIN
    return INCONCLUSIVE if covered else NOT_REPRODUCED


def compare_with_paper(results: Results) -> pd.DataFrame:
    """Judge every published number: one row for each, exactly once.

    Returns:
        ``table``, ``dataset`` and ``architecture`` (the paper's names; "" where it names none or
        means all), ``forget_ratio``, ``quantity``, ``unit``, ``published`` (as printed), ``paper``
        (the same, or for Table V the ratio that is compared), ``ours`` (mean over seeds; geometric
        for ratios), ``low``, ``high`` (95 % t-interval), ``difference`` (ours − paper),
        ``tolerance``, ``seeds``, ``source`` (our dataset), ``verdict``.
    """
    chosen = choose_datasets(results)
    numbers = results.published
    table = numbers.rename(columns={"value": "published"})
    table = table.assign(
        quantity=_name_quantities(numbers),
        kind=_kinds(numbers),
        paper=_relative(numbers),
        forget_ratio=numbers["forget_ratio"].fillna(WHOLE),
    )
    ours = _our_values(_translate(results, chosen), numbers).dropna(subset="value")
    ours["value"] = ours["value"].mask(_is_log(ours), np.log2(ours["value"].where(_is_log(ours))))
    table = table.merge(summarise(ours, KEY), on=KEY, how="left", validate="one_to_one")
    table = table.merge(chosen, on="dataset", how="left", validate="many_to_one")
    table["same"] = table["same"].eq(True)  # false where there is none of ours
    table["tolerance"] = [
        row.classes if KINDS[row.kind].exact else KINDS[row.kind].tolerance
        for row in table.itertuples()
    ]
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    for column in ("mean", "low", "high"):
        table[column] = table[column].mask(_is_log(table), 2.0 ** table[column])
    return table.assign(
        forget_ratio=table["forget_ratio"].replace(WHOLE, np.nan),
        unit=table["kind"].map(lambda kind: KINDS[kind].unit),
        ours=table["mean"],
        difference=(table["mean"] - table["paper"]).where(table["kind"] != "seconds"),
        seeds=table["seeds"].fillna(0).astype(int),
        source=table["source"].where(table["mean"].notna(), "").fillna(""),
    )[COLUMNS]


def _our_values(results: Results, numbers: pd.DataFrame) -> pd.DataFrame:
    """Our values of the paper's numbers, one per seed: KEY, ``kind`` and ``value``.

    Where the paper leaves an axis open, ours is the mean over all that were run.
    """
    rows = _rows(results)
    parts = []
    openness = [_open(numbers[axis]) for axis in AXES]
    for key, cells in numbers.groupby([numbers["table"], *openness], sort=False):
        named = [axis for axis, left_open in zip(AXES, key[1:], strict=True) if not left_open]
        scale = 100 if cells["unit"].iloc[0] == "%" else 1
        wanted = cells.drop(columns=["value"])
        values = rows[["seed", "value", *named]].assign(value=rows["value"] * scale)
        joined = values.merge(wanted, on=named).fillna({"forget_ratio": WHOLE})
        parts.append(joined.groupby(["table", *AXES, "seed"], sort=False)["value"].mean())
    ours = pd.concat([part.reset_index() for part in parts], ignore_index=True)
    return ours.assign(quantity=_name_quantities(ours), kind=_kinds(ours), value=_relative(ours))[
        [*KEY, "kind", "value"]
    ]


def _rows(results: Results) -> pd.DataFrame:
    """Our results that the paper has numbers of, in its vocabulary: AXES, seed, value."""
    evaluation = results.evaluation.fillna({"subset": ""})
    axes = {"architecture": "", "method": "", "metric": "images", "seed": 0}
    sizes = results.datasets.melt("dataset", ["target_train", "target_test"], "subset")
    settings = results.hyperparameters.rename(columns={"parameter": "metric"})
    settings = settings[settings["metric"].isin(QUANTITIES)].assign(subset="", seed=0)
    settings["value"] = settings["value"].astype(float)
    others = [sizes.assign(**axes), settings, _effectiveness(results)]
    return pd.concat([evaluation, *(rows for rows in others if len(rows))], ignore_index=True)


def _effectiveness(results: Results) -> pd.DataFrame:
    """Means over the paper's architectures; seeds that lack a run of one of them do not count."""
    numbers = results.published
    architectures = numbers.loc[numbers["table"] == "Table IV", "architecture"].unique()
    rows = results.metric("mia_whitebox_rate")
    rows = rows[(rows["subset"] == "forget") & rows["architecture"].isin(architectures)]
    rows = rows[rows["method"].isin(["original", "fisher", "remi_whitebox"])]
    axes = {"architecture": "", "method": "remi_whitebox", "subset": "forget"}
    parts = [pd.DataFrame()]
    for ratio, cells in rows.groupby("forget_ratio"):
        runs = cells.groupby(["dataset", "seed"])["value"].transform("size")
        complete = effectiveness(cells[runs == 3 * len(architectures)])
        parts.append(complete.assign(**axes, forget_ratio=ratio, metric=EFFECTIVENESS))
    return pd.concat(parts)


def _relative(rows: pd.DataFrame) -> pd.Series:
    """The values that are compared: ReMI's seconds relative to those of the same machine.

    Its speed-up over retraining, and the share of its membership loss in its time; all other values
    as they are.
    """
    on = [axis for axis in (*CELL, "seed") if axis in rows]
    remi, value = rows["method"] == "remi_whitebox", rows["value"]
    seconds = rows[rows["metric"] == "seconds"]
    retraining, total = (
        rows[on].join(seconds[seconds["method"] == method].set_index(on)["value"], on=on)["value"]
        for method in (REFERENCE, "remi_whitebox")
    )
    value = value.mask(remi & (rows["metric"] == "seconds"), retraining / value)
    return value.mask(rows["metric"] == "seconds_attack_loss", value / total)


def _kinds(numbers: pd.DataFrame) -> pd.Series:
    retraining = (numbers["table"] == "Table V") & (numbers["method"] == REFERENCE)
    return numbers["table"].map(KIND_OF).mask(retraining, "seconds")


def _name_quantities(numbers: pd.DataFrame) -> list[str]:
    return [
        QUANTITIES[row.metric].format(
            subset=row.subset,
            part=row.subset.removeprefix("target_"),
            phase="before" if row.method == "original" else "after",
            seconds="seconds of retraining"
            if row.method == REFERENCE
            else "speed-up of ReMI over retraining",
        )
        for row in numbers.itertuples()
    ]


def choose_datasets(results: Results) -> pd.DataFrame:
    """Our dataset for each of the paper's: the one that is the same experiment, else the first.

    Returns:
        ``dataset`` (the paper's name), ``source`` (ours), ``same`` (as many training images of the
        same size as in the paper: not a subset, a stand-in or a small copy), ``classes``.
    """
    numbers = results.published
    published = numbers[numbers["subset"] == "target_train"].set_index("dataset")["value"]
    rows = results.datasets.assign(paper_dataset=results.paper_names.to_numpy())
    rows = rows[rows["paper_dataset"] != ""]
    rows = rows.astype({"paper_dataset": object})  # of no rows, pandas reads floats
    same = rows["target_train"] == rows["paper_dataset"].map(published)
    rows = rows.assign(same=same & (rows["image_size"] == IMAGE_SIZE))
    rows = rows.sort_values("same", ascending=False, kind="stable").drop_duplicates("paper_dataset")
    rows = rows.rename(columns={"dataset": "source", "paper_dataset": "dataset"})
    return rows[["dataset", "source", "same", "classes"]].reset_index(drop=True)


def _translate(results: Results, chosen: pd.DataFrame) -> Results:
    """The results of the chosen datasets, under the paper's names of them."""
    names = chosen.set_index("source")["dataset"]

    def rename(table: pd.DataFrame) -> pd.DataFrame:
        table = table[table["dataset"].isin(names.index)]
        return table.assign(dataset=table["dataset"].map(names).astype(object))

    return replace(
        results,
        evaluation=rename(results.evaluation),
        datasets=rename(results.datasets),
        hyperparameters=rename(results.hyperparameters),
    )


def _verdict(row) -> str:
    kind = KINDS[row.kind]
    if not kind.judged:
        return NOT_JUDGED
    if pd.isna(row.mean):
        return NOT_RUN
    if not row.same:
        return OTHER_DATA
    tolerance, paper = row.tolerance, row.paper
    rounding = 0.0 if kind.exact else 0.5 * 10.0**-row.decimals
    if kind.log:  # row.mean, low and high are logarithms; seconds are rounded by less than 1e-4
        tolerance, paper, rounding = np.log2(tolerance), np.log2(paper), 0.0
    return judge(
        paper, row.mean, row.low, row.high, tolerance=tolerance, rounding=rounding, exact=kind.exact
    )


def _is_log(table: pd.DataFrame) -> pd.Series:
    return table["kind"].map(lambda kind: KINDS[kind].log).astype(bool)
