"""The main result as a few lines of text."""

from __future__ import annotations

import pandas as pd

from remibench.reporting.render import format_cell
from remibench.reporting.results import METHODS, Results, percent

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
    ratios = results.evaluation["forget_ratio"].unique()
    ratio = min(ratios, key=lambda value: abs(value - 0.1))
    cells = results.evaluation[["dataset", "architecture"]].drop_duplicates()
    seeds = results.evaluation["seed"].nunique()
    lines = [
        f"Main result, {percent(ratio)} of the training set forgotten, mean over {seeds} seed(s)"
    ]
    lines[0] += " ± half-width of the 95 % interval" if seeds > 1 else ", no interval"
    for dataset, architecture in cells.itertuples(index=False):
        table = pd.DataFrame(
            {
                header: [
                    _cell(results, dataset, architecture, method, ratio, *column)
                    for method in results.methods
                ]
                for header, column in COLUMNS.items()
            },
            index=[METHODS[method] for method in results.methods],
        )
        lines += ["", f"{dataset}, {architecture}", table.to_string()]
    lines += [
        "",
        results.stopping,
        "acc.: classification accuracy; D_f, D_r: forget and retain set.",
        "MIA: share of images that white-box membership inference calls members. Success is not 0:",
        "a forgotten image should look like one that a retrained model never saw.",
    ]
    return "\n".join(lines) + "\n"


def _cell(
    results: Results,
    dataset: str,
    architecture: str,
    method: str,
    ratio: float,
    metric: str,
    subset: str,
    scale: float,
    decimals: int,
) -> str:
    rows = results.summary(metric, scale)
    at = (rows["dataset"] == dataset) & (rows["architecture"] == architecture)
    at &= (rows["method"] == method) & (rows["forget_ratio"] == ratio) & (rows["subset"] == subset)
    if not at.any():
        return "–"
    row = rows[at].iloc[0]
    return format_cell(row["mean"], row["low"], row["high"], float("nan"), decimals)
