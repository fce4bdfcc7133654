"""Numbers of the paper that jobs compute with; tables and figures read the paper's file."""

from __future__ import annotations

import csv
from pathlib import Path

from remibench.errors import RemibenchError

TABLE_IV = Path(__file__).parents[2] / "paper" / "table4_whitebox_mia_accuracy.csv"


def published_rate(
    table: str | Path, dataset: str | None, architecture: str, forget_ratio: float
) -> float | None:
    """The paper's white-box MIA rate on the forget set after ReMI, or None where it has none.

    Args:
        table: Table IV: ``paper/table4_whitebox_mia_accuracy.csv``.
        dataset: The paper's name of the dataset (``paper_dataset`` of its metadata), or None.
        architecture, forget_ratio: The cell.

    Raises:
        RemibenchError: The table cannot be read.
    """
    try:
        with Path(table).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                cell = row["dataset"], row["architecture"], float(row["forget_ratio"])
                if row["phase"] == "after" and cell == (dataset, architecture, forget_ratio):
                    return float(row["mia_accuracy"]) if row["mia_accuracy"] else None
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RemibenchError(
            f"cannot read {table}: {error}; restore it with `git checkout {table}`"
        ) from error
    return None
