"""The numbers of the paper that jobs compute with, from the file of all its numbers.

Tables and figures read the whole file (:func:`remibench.analysis.results.read_numbers`), by pandas,
whose import takes longer than reading these.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from remibench.artifacts.shipped import shipped
from remibench.errors import RemibenchError

NUMBERS = shipped("paper", "numbers.csv")


@cache
def published_rates(
    architecture: str, numbers: str | Path = NUMBERS
) -> dict[str, dict[float, float]]:
    """The paper's white-box MIA rates on the forget set after ReMI, of one architecture.

    Args:
        architecture: As in a config.
        numbers: ``paper/numbers.csv``.

    Returns:
        Rates by the paper's name of the dataset (``paper_dataset`` of its metadata) and forget
        ratio; the datasets and ratios alone that the paper has a number for.

    Raises:
        RemibenchError: The file cannot be read, or is not that file.
    """
    wanted = ("Table IV", architecture, "remi_whitebox", "forget", "mia_whitebox_rate")
    axes = ("table", "architecture", "method", "subset", "metric")
    rates = {}
    try:
        with Path(numbers).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if tuple(row[axis] for axis in axes) == wanted:
                    by_ratio = rates.setdefault(row["dataset"], {})
                    by_ratio[float(row["forget_ratio"])] = float(row["value"])
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise RemibenchError(
            f"cannot read {numbers}: {error}; restore it with `git checkout {numbers}`"
        ) from error
    return rates
