"""Every published number, and our values of the same quantity, in one tidy form.

One function per table or figure of the paper gives both sides, so that they are named alike.
Datasets have the paper's names here.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from remibench.analysis.effectiveness import effectiveness
from remibench.analysis.results import CELL, Results

ARCHITECTURES = ("cnn", "resnet18", "xception", "vgg19")  # the paper's
WHOLE = 0.0  # forget ratio of what has none, since groups lose NaN
KEY = ["table", *CELL, "quantity"]
Sides = tuple[pd.DataFrame, pd.DataFrame]  # published numbers; our values, one per seed


def values_of(
    table: str, kind: str, rows: pd.DataFrame, quantity: str | pd.Series, value: pd.Series
) -> pd.DataFrame:
    """Our values of a quantity: the columns of KEY, and ``kind``, ``value``.

    A dataset or architecture that the paper does not name is ""; no forget ratio is ``WHOLE``.
    """
    empty = {"dataset": "", "architecture": "", "forget_ratio": WHOLE}
    axes = {name: rows.get(name, default) for name, default in empty.items()}
    filled = rows.assign(**axes, table=table, kind=kind, quantity=quantity, value=value)
    return filled[[*KEY, "kind", "value"]]


def numbers_of(*arguments: object, paper: pd.Series | None = None) -> pd.DataFrame:
    """Published numbers: as :func:`values_of`, and what is compared where it is not the number."""
    rows = values_of(*arguments).rename(columns={"value": "published"})
    return rows.assign(paper=rows["published"] if paper is None else paper)


def _phased(results: Results, metric: str, scale: float = 1.0) -> pd.DataFrame:
    """A metric of the target ("before") and of white-box ReMI's model ("after")."""
    rows = results.metric(metric, scale)
    phase = rows["method"].map({"original": "before", "remi_whitebox": "after"})
    return rows.assign(phase=phase.astype(object)).dropna(subset="phase")


def _table1(results: Results) -> Sides:
    def quantity(part: str) -> str:
        return f"images, {part}"

    paper = results.published["table1_dataset_statistics"]
    rows = results.metric("images")
    rows = rows[(rows["subset"] == "forget") & (rows["method"] == "original")]
    rows = rows.groupby(["dataset", "forget_ratio", "seed"], as_index=False)["value"].mean()
    parts = [("train", "target_train"), ("test", "target_test")]
    published = [numbers_of("Table I", "images", paper, quantity(p), paper[p]) for p, _ in parts]
    ours = [
        values_of("Table I", "images", results.datasets, quantity(part), results.datasets[role])
        for part, role in parts
    ]
    ours.append(values_of("Table I", "images", rows, quantity("forget"), rows["value"]))
    for column in paper.columns[paper.columns.str.startswith("forget_")]:
        ratio = paper.assign(forget_ratio=float(column.removeprefix("forget_")))
        published.append(numbers_of("Table I", "images", ratio, quantity("forget"), paper[column]))
    return pd.concat(published), pd.concat(ours)


def _table2(results: Results) -> Sides:
    paper, used = results.published["table2_hyperparameters"], results.hyperparameters
    published, ours = [], []
    for column, quantity in (
        ("learning_rate", "learning rate of ReMI"),
        ("lambda2", "lambda2 of ReMI"),
    ):
        published.append(numbers_of("Table II", "setting", paper, quantity, paper[column]))
        rows = used[(used["method"] == "remi_whitebox") & (used["parameter"] == column)]
        ours.append(values_of("Table II", "setting", rows, quantity, rows["value"].astype(float)))
    return pd.concat(published), pd.concat(ours)


def _table3(results: Results) -> Sides:
    def quantity(rows: pd.DataFrame) -> pd.Series:
        return "accuracy on " + rows["subset"] + ", " + rows["phase"]

    paper = results.published["table3_classification_accuracy"].assign(forget_ratio=0.1)
    rows = _phased(results, "accuracy", scale=100)
    return (
        numbers_of("Table III", "accuracy", paper, quantity(paper), paper["accuracy_pct"]),
        values_of("Table III", "accuracy", rows, quantity(rows), rows["value"]),
    )


def _table4(results: Results) -> Sides:
    def quantity(rows: pd.DataFrame) -> pd.Series:
        return "white-box MIA on forget, " + rows["phase"]

    paper = results.published["table4_whitebox_mia_accuracy"]
    rows = _phased(results, "mia_whitebox_rate")
    rows = rows[rows["subset"] == "forget"]
    return (
        numbers_of("Table IV", "rate", paper, quantity(paper), paper["mia_accuracy"]),
        values_of("Table IV", "rate", rows, quantity(rows), rows["value"]),
    )


def _table5(results: Results) -> Sides:
    """Seconds are of one machine; what is compared is their ratios."""
    paper = results.published["table5_latency_seconds"]
    seconds, attack = (
        results.metric(metric).pivot_table(index=[*CELL, "seed"], columns="method", values="value")
        for metric in ("seconds", "seconds_attack_loss")
    )
    seconds = seconds.reindex(columns=["retrain", "remi_whitebox"])
    attack = attack.reindex(index=seconds.index, columns=["remi_whitebox"])["remi_whitebox"]
    ours = seconds.assign(attack=attack).reset_index()
    quantities = [  # quantity, kind, published, compared, our values
        ("seconds of retraining", "seconds", paper["retraining_s"], None, ours["retrain"]),
        (
            "speed-up of ReMI over retraining",
            "ratio",
            paper["remi_total_s"],
            paper["retraining_s"] / paper["remi_total_s"],
            ours["retrain"] / ours["remi_whitebox"],
        ),
        (
            "share of L_G in ReMI's time",
            "ratio",
            paper["remi_attack_loss_s"],
            paper["remi_attack_loss_s"] / paper["remi_total_s"],
            ours["attack"] / ours["remi_whitebox"],
        ),
    ]
    published = [
        numbers_of("Table V", kind, paper, name, number, paper=compared)
        for name, kind, number, compared, _ in quantities
    ]
    return pd.concat(published), pd.concat(
        values_of("Table V", kind, ours, name, value) for name, kind, _, _, value in quantities
    )


def _table6(results: Results) -> Sides:
    """The paper names no dataset or architecture; ours is the mean over all that were run."""
    paper = results.published["table6_cross_method"]
    published, ours = [], []
    for row in paper[["unlearning_source", "evaluation"]].drop_duplicates().itertuples():
        cells = paper[
            (paper["unlearning_source"] == row.unlearning_source)
            & (paper["evaluation"] == row.evaluation)
        ]
        rates = results.metric(f"mf_{row.evaluation}_rate", scale=100)
        rates = rates[rates["subset"] == "forget"]
        after = f"remi_{row.unlearning_source}"
        for phase, method in (("before", "original"), ("after", after)):
            quantity = f"{row.evaluation} MF, {phase} ReMI by {row.unlearning_source}"
            numbers = cells[f"attack_accuracy_{phase}_pct"]
            published.append(numbers_of("Table VI", "cross_method", cells, quantity, numbers))
            run = rates[rates["method"] == method]
            run = run.groupby(["forget_ratio", "seed"], as_index=False)["value"].mean()
            ours.append(values_of("Table VI", "cross_method", run, quantity, run["value"]))
    return pd.concat(published), pd.concat(ours)


def _figure1(results: Results) -> Sides:
    quantity = "accuracy on test, before"
    paper = results.published["figure1_test_accuracy"]
    rows = results.metric("accuracy", scale=100)
    rows = rows[(rows["subset"] == "test") & (rows["method"] == "original")]
    # The target is the same whatever is to be forgotten: its rows are equal for all ratios.
    rows = rows.groupby(["dataset", "architecture", "seed"], as_index=False)["value"].mean()
    return (
        numbers_of("Figure 1", "accuracy", paper, quantity, paper["test_accuracy_pct"]),
        values_of("Figure 1", "accuracy", rows, quantity, rows["value"]),
    )


def _figure3(results: Results) -> Sides:
    """A mean over four architectures: seeds that lack a run of one of them do not count."""
    quantity = "proportional effectiveness of ReMI"
    paper = results.published["figure3_proportional_effectiveness"]
    numbers = paper["proportional_effectiveness_pct"]
    published = numbers_of("Figure 3", "effectiveness", paper, quantity, numbers)
    rows = results.metric("mia_whitebox_rate")
    rows = rows[rows["subset"] == "forget"]
    needed = rows["method"].isin(["original", "fisher", "remi_whitebox"])
    rows = rows[needed & rows["architecture"].isin(ARCHITECTURES)]
    ours = [_nothing("Figure 3", "effectiveness")]
    for ratio, cells in rows.groupby("forget_ratio"):
        runs = cells.groupby(["dataset", "seed"])["value"].transform("size")
        complete = effectiveness(cells[runs == 3 * len(ARCHITECTURES)])
        complete = complete.assign(forget_ratio=ratio)
        ours.append(
            values_of("Figure 3", "effectiveness", complete, quantity, 100 * complete["value"])
        )
    return published, pd.concat(ours)


def _nothing(table: str, kind: str) -> pd.DataFrame:
    return values_of(table, kind, pd.DataFrame(index=[]), "", pd.Series(dtype=float))


COMPARED: list[Callable[[Results], Sides]] = [
    _table1,
    _table2,
    _table3,
    _table4,
    _table5,
    _table6,
    _figure1,
    _figure3,
]
