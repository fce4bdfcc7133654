"""The main result as a few lines of text."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from remibench.analysis.results import METHODS, Results, percent
from remibench.reporting.render import format_cell

COLUMNS = {  # header: metric, subset, scale, decimals
    "acc. D_f %": ("accuracy", "forget", 100, 1),
    "acc. D_r %": ("accuracy", "retain", 100, 1),
    "acc. test %": ("accuracy", "test", 100, 1),
    "MIA D_f": ("mia_whitebox_rate", "forget", 1, 3),
    "MIA test": ("mia_whitebox_rate", "test", 1, 3),
    "seconds": ("seconds", "", 1, 1),
}


def summarise_results(results: Results) -> str:
    """ReMI against Fisher and retraining at the forget ratio nearest to the paper's 10 %."""
    ratio = results.main_ratio
    cells = results.evaluation[["dataset", "architecture"]].drop_duplicates()
    seeds = results.evaluation["seed"].nunique()
    lines = [
        f"Main result, {percent(ratio)} of {results.whole} forgotten, mean over {seeds} seed(s)"
    ]
    lines[0] += " ± half-width of the 95 % interval" if seeds > 1 else ", no interval"
    columns = {header: _column(results, ratio, *spec) for header, spec in _columns(results)}
    table = pd.DataFrame(columns)
    for dataset, architecture in cells.itertuples(index=False):
        rows = pd.MultiIndex.from_product([[dataset], [architecture], results.methods])
        cell = table.reindex(rows).fillna("–").set_axis([METHODS[m] for m in results.methods])
        lines += ["", f"{dataset}, {architecture}", cell.to_string()]
    lines += [
        "",
        *filter(None, (results.forgotten, results.stalled, results.unsearched)),
        results.stopping,
        "acc.: classification accuracy; D_f, D_r: forget and retain set.",
        "MIA: share of images that white-box membership inference calls members. Success is not 0:",
        "a forgotten image should look like one that a retrained model never saw.",
    ]
    return "\n".join(lines) + "\n"


def _columns(results: Results) -> Iterator[tuple[str, tuple]]:
    """The columns; unseen images of the forgotten kind and others apart, where it is one."""
    for header, (metric, subset, *shown) in COLUMNS.items():
        if subset == "test" and results.alike != "test":
            for part in ("test_forget", "test_retain"):
                yield header.replace("test", part), (metric, part, *shown)
        else:
            yield header, (metric, subset, *shown)


def _column(
    results: Results, ratio: float, metric: str, subset: str, scale: float, decimals: int
) -> pd.Series:
    """One formatted column, by dataset, architecture and method."""
    rows = results.summary(metric, scale)
    rows = rows[(rows["forget_ratio"] == ratio) & (rows["subset"] == subset)]
    numbers = rows[["mean", "low", "high"]].itertuples(index=False)
    text = [format_cell(*number, paper=float("nan"), decimals=decimals) for number in numbers]
    axes = pd.MultiIndex.from_frame(rows[["dataset", "architecture", "method"]])
    return pd.Series(text, index=axes, dtype=object)
