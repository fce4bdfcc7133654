"""The number of the paper that jobs compute with, from the file of all its numbers.

Tables and figures read the whole file (:func:`remibench.analysis.results.read_numbers`), by pandas,
whose import takes longer than what such a job does with this number.
"""

from __future__ import annotations

import csv
from pathlib import Path

from remibench.artifacts.shipped import shipped
from remibench.errors import RemibenchError

NUMBERS = shipped("paper", "numbers.csv")


def published_rate(
    numbers: str | Path, dataset: str | None, architecture: str, forget_ratio: float
) -> float | None:
    """The paper's white-box MIA rate on the forget set after ReMI, or None where it has none.

    Args:
        numbers: ``paper/numbers.csv``.
        dataset: The paper's name of the dataset (``paper_dataset`` of its metadata), or None.
        architecture, forget_ratio: The cell.

    Raises:
        RemibenchError: The file cannot be read, or is not that file.
    """
    wanted = ("Table IV", dataset, architecture, "remi_whitebox", "forget", "mia_whitebox_rate")
    axes = ("table", "dataset", "architecture", "method", "subset", "metric")
    try:
        with Path(numbers).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if tuple(row[axis] for axis in axes) != wanted:
                    continue
                if float(row["forget_ratio"]) == forget_ratio:
                    return float(row["value"])
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RemibenchError(
            f"cannot read {numbers}: {error}; restore it with `git checkout {numbers}`"
        ) from error
    return None
