"""The main result as a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from remibench.analysis.quantities import Quantity, choose
from remibench.analysis.results import METHODS, Results, percent
from remibench.reporting.render import format_cell
from remibench.reporting.style import cell_label

COLUMNS = choose(
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
    ("mia_whitebox_rate", "forget"),
    ("calibrated_whitebox_rate", "forget"),
    ("mia_whitebox_rate", "test"),
    ("seconds", ""),
)


def summarise_results(results: Results) -> str:
    """ReMI against Fisher and retraining at the forget ratio nearest to the paper's 10 %."""
    seeds = results.evaluation["seed"].nunique()
    title = f"Main result, {percent(results.main_ratio)} of {results.whole} forgotten, "
    title += f"mean over {seeds} seed(s)"
    lines = [title + (" ± half-width of the 95 % interval" if seeds > 1 else ", no interval")]
    for label, table in main_tables(results):
        lines += ["", label, _narrow(table)]
    lines += [
        "",
        *filter(None, (results.forgotten, results.stalled, results.unsearched)),
        *results.stopping.split("; "),
        "D_f, D_r: forget and retain set. MIA rate: share of images that white-box membership",
        "inference calls members (in the paper: accuracy of MIA). Success is not 0:",
        "a forgotten image should look like one that a retrained model never saw.",
    ]
    return "\n".join(lines) + "\n"


def _narrow(table: pd.DataFrame) -> str:
    """A table as text, what its columns' names have behind a comma in a line of its own."""
    heads = [label.partition(", ")[::2] for label in table]
    table = table.set_axis(pd.MultiIndex.from_tuples(heads), axis=1)
    return "\n".join(map(str.rstrip, table.to_string(sparsify=False).splitlines()))


def main_tables(results: Results) -> list[tuple[str, pd.DataFrame]]:
    """The main result of every dataset and architecture: its name, and a line per method."""
    cells = results.evaluation[["dataset", "architecture"]].drop_duplicates()
    columns = {shown.title: _column(results, shown) for shown in _columns(results)}
    table, tables = pd.DataFrame(columns), []
    for dataset, architecture in cells.itertuples(index=False):
        rows = pd.MultiIndex.from_product([[dataset], [architecture], results.methods])
        cell = table.reindex(rows).fillna("–").set_axis([METHODS[m] for m in results.methods])
        tables.append((cell_label(dataset, architecture), cell))
    return tables


def _columns(results: Results) -> Iterator[Quantity]:
    """The columns that were measured; unseen images of the forgotten kind and others apart."""
    measured = set(results.evaluation["metric"])
    for shown in COLUMNS:
        if shown.metric not in measured:
            continue
        if shown.subset == "test" and results.alike != "test":
            for part in ("test_forget", "test_retain"):
                yield replace(shown, subset=part, label=shown.label.replace("test", part))
        else:
            yield shown


def _column(results: Results, shown: Quantity) -> pd.Series:
    """One formatted column, by dataset, architecture and method."""
    rows = results.summary(shown.metric, shown.scale)
    rows = rows[rows["forget_ratio"] == results.main_ratio]
    rows = rows[rows["subset"] == shown.subset]
    numbers = rows[["mean", "low", "high"]].itertuples(index=False)
    text = [format_cell(*number, paper=float("nan"), decimals=shown.decimals) for number in numbers]
    axes = pd.MultiIndex.from_frame(rows[["dataset", "architecture", "method"]])
    return pd.Series(text, index=axes, dtype=object)
