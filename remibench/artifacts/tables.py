"""Tables of a results tree: CSV files, written whole and checked when they are read."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remibench.artifacts.identity import KEY, table_columns, table_mismatch
from remibench.artifacts.io import atomic_path, unreadable
from remibench.artifacts.paths import identify

if TYPE_CHECKING:  # pandas' import takes longer than many jobs
    import pandas as pd

TEXT = {  # columns that hold no numbers
    "dataset",
    "architecture",
    "method",
    "subset",
    "metric",
    "adversary",
    "attack",
    "model",
    "parameter",
    "paper_dataset",
    "provenance",
    "selection",
    "variant",
    "curve",
    "score",
    "label",
    "predicted_before",
    "predicted_retrained",
    "png",
}


def save_table(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as CSV; floats with the fewest digits that read back to the same number.

    The columns are those of the first record that has the most; before them in the table of a
    single job are its axes, behind them its identity. (Not pandas: its
    import takes longer than many jobs.)
    """
    first, last = table_columns(path, len(rows))
    rows = [{**first, **row, **last} for row in rows]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, max(rows, key=len).keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def load_table(path: str | Path, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV of which every column holds numbers or nothing, but those named in ``text``.

    The table of a single job comes without its identity.

    Raises:
        RemibenchError: The file is missing, cut off, holds something else, or rows of another job
            than its path says.
    """
    import pandas as pd

    try:
        content = Path(path).read_text(encoding="utf-8")
        if not content.endswith("\n"):
            raise ValueError("its last line is cut off")
        lines = list(csv.reader(io.StringIO(content, newline=""), strict=True))
        lengths = {len(line) for line in lines}
        if len(lengths) > 1:
            raise ValueError(f"its lines have {min(lengths)} to {max(lengths)} values")
        table = pd.read_csv(io.StringIO(content), dtype=dict.fromkeys([*text, KEY], str))
        if identify(path):
            table = table.drop(columns=KEY, errors="ignore")
        for column in table.columns.difference(list(text)):
            try:
                table[column] = pd.to_numeric(table[column])
            except ValueError as error:
                raise ValueError(f"column {column!r}: {error}") from error
    except FileNotFoundError as error:
        raise unreadable(path, "no such file") from error
    except (OSError, ValueError, csv.Error) as error:
        raise unreadable(path, f"not a whole table ({error})") from error
    if (reason := table_mismatch(path, lines[0], lines[1:])) is not None:
        raise unreadable(path, reason)
    return table


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV: no index, shortest decimals that read back to the same floats."""
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
