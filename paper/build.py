"""Write numbers.csv: the numbers of the transcribed tables in remibench's vocabulary, once each.

``python paper/build.py``, after a transcription was corrected. A row is a number as the paper
prints it (``value``, in ``unit``, with ``decimals``); the other columns name it as
``evaluation.csv`` does. What the paper leaves open (Table VI's dataset, Figure 1's ratio) is empty.

- Before unlearning is the method ``original``, after it ``remi_whitebox``; in Table VI ReMI's guide
  is the one that does not judge.
- Table II does not say whose guide its values are for; the rows say ``remi_whitebox``.
- Table III is of 10 % forgotten.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
COLUMNS = ["table", "dataset", "architecture", "forget_ratio", "method", "subset", "metric"]
COLUMNS += ["value", "unit", "decimals"]
PHASES = {"before": "original", "after": "remi_whitebox"}


def numbers() -> pd.DataFrame:
    """Build all rows, in the order of the scorecard."""
    parts = [*_tables(), *_figures()]
    table = pd.concat([part.assign(table=name) for name, part in parts], ignore_index=True)
    table = table.reindex(columns=COLUMNS)
    more = (table["value"].map("{:.10f}".format).str.rstrip("0").str.partition(".")[2]).str.len()
    return table.assign(decimals=table["decimals"].where(table["decimals"] > more, more))


def _tables():
    sizes = _read("table1_dataset_statistics")
    for column in sizes.columns.drop("dataset"):
        subset, _, ratio = column.partition("_")
        named = {"subset": f"target_{subset}"}
        if ratio:
            named = {"subset": subset, "forget_ratio": float(ratio), "method": "original"}
        rows = _rows(sizes, column, "images", "images", 0)
        yield "Table I", rows.assign(**named)
    settings = _read("table2_hyperparameters")
    for name in ("learning_rate", "lambda2"):
        yield "Table II", _rows(settings, name, name, "", 4).assign(method="remi_whitebox")
    accuracy = _phased("table3_classification_accuracy").assign(forget_ratio=0.1)
    yield "Table III", _rows(accuracy, "accuracy_pct", "accuracy", "%", 1)
    rates = _phased("table4_whitebox_mia_accuracy").assign(subset="forget")
    yield "Table IV", _rows(rates, "mia_accuracy", "mia_whitebox_rate", "share", 3)
    seconds = _read("table5_latency_seconds")
    for column, method, metric in (
        ("retraining_s", "retrain", "seconds"),
        ("remi_total_s", "remi_whitebox", "seconds"),
        ("remi_attack_loss_s", "remi_whitebox", "seconds_attack_loss"),
    ):
        yield "Table V", _rows(seconds, column, metric, "s", 3).assign(method=method)
    cross = _read("table6_cross_method").assign(subset="forget")
    for (guide, judge), rows in cross.groupby(["unlearning_source", "evaluation"], sort=False):
        for phase, method in (("before", "original"), ("after", f"remi_{guide}")):
            column = f"attack_accuracy_{phase}_pct"
            yield "Table VI", _rows(rows, column, f"mf_{judge}_rate", "%", 1).assign(method=method)


def _figures():
    targets = _read("figure1_test_accuracy").assign(method="original", subset="test")
    yield "Figure 1", _rows(targets, "test_accuracy_pct", "accuracy", "%", 1)
    shares = _read("figure3_proportional_effectiveness")
    shares = shares.assign(method="remi_whitebox", subset="forget")
    column = "proportional_effectiveness_pct"
    yield "Figure 3", _rows(shares, column, "proportional_effectiveness", "%", 2)


def _phased(name: str) -> pd.DataFrame:
    table = _read(name)
    return table.assign(method=table["phase"].map(PHASES))


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"{name}.csv")


def _rows(table: pd.DataFrame, column: str, metric: str, unit: str, decimals: int) -> pd.DataFrame:
    return table.assign(value=table[column], metric=metric, unit=unit, decimals=decimals)


if __name__ == "__main__":
    printed = numbers().assign(value=lambda rows: rows["value"].map("{:.10g}".format))
    printed.to_csv(HERE / "numbers.csv", index=False, lineterminator="\n")
