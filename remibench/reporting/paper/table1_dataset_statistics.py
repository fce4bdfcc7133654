"""Table I: how many images each part of a dataset has, and each forget set.

Images in each quarter of each dataset and in the forget sets; in brackets the paper's numbers,
which are for the whole datasets. A forget set holds, of every class, the share rounded up, so that
it can exceed the share of the whole by up to one image per class.
"""

import pandas as pd

from remibench.analysis.results import PAPER_RATIOS, Results, percent
from remibench.reporting.render import spread

TITLE = "Data statistics (images)"
QUARTERS = {  # role → its name in the paper's table
    "target_train": "train",
    "target_test": "test",
    "shadow_train": None,
    "shadow_test": None,
}


def build(results: Results) -> pd.DataFrame:
    """Images per dataset and part, beside the paper's.

    Returns:
        ``dataset``, ``part`` (a role of the split, or ``forget``), ``forget_ratio``, ``images``
        (smallest), ``largest`` (of the forget sets of all architectures and seeds; they differ in
        nothing but which images), ``paper``, ``difference``.
    """
    rows = [
        {
            "dataset": record["dataset"],
            "part": role,
            "images": record[role],
            "largest": record[role],
        }
        for record in results.datasets.to_dict("records")
        for role in QUARTERS
    ]
    sizes = results.metric("images")
    sizes = sizes[(sizes["method"] == "original") & (sizes["subset"] == "forget")]
    axes = [results.names, sorted({*PAPER_RATIOS, *results.ratios})]
    forget = pd.MultiIndex.from_product(axes, names=["dataset", "forget_ratio"])
    range_ = sizes.groupby(["dataset", "forget_ratio"])["value"].agg(images="min", largest="max")
    forget = range_.reindex(forget).reset_index().assign(part="forget")
    table = pd.concat([pd.DataFrame(rows), forget], ignore_index=True)
    paper = results.published["table1_dataset_statistics"].set_index("dataset")
    names = results.paper_names
    table["paper"] = [
        _published(paper, names.get(row.dataset), row.part, row.forget_ratio)
        for row in table.itertuples()
    ]
    table = table.astype(dict.fromkeys(["images", "largest", "paper"], "Int64"))
    table["difference"] = table["images"] - table["paper"]
    return table[
        ["dataset", "part", "forget_ratio", "images", "largest", "paper", "difference"]
    ].sort_values("dataset", key=lambda d: d.map(results.names.index), kind="stable")


def _published(paper: pd.DataFrame, name: str, part: str, ratio: float) -> float:
    column = f"forget_{ratio:g}" if part == "forget" else QUARTERS[part]
    known = name in paper.index and column in paper.columns
    return float(paper.loc[name, column]) if known else float("nan")


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per dataset, one column per part and forget ratio."""
    labels = [
        f"forget {percent(row.forget_ratio)}"
        if row.part == "forget"
        else row.part.replace("_", " ")
        for row in table.itertuples()
    ]
    text = table.assign(column=labels, text=[_cell(row) for row in table.itertuples()])
    return spread(text, ["dataset"], "column", list(dict.fromkeys(labels)))


def _cell(row: tuple) -> str:
    text = "not run" if pd.isna(row.images) else f"{row.images:,}"
    if pd.notna(row.images) and row.largest > row.images:
        text += f" to {row.largest:,}"
    return text if pd.isna(row.paper) else f"{text} [{row.paper:,}]"


def explain(_: pd.DataFrame, remarks: str) -> str:
    """How to read the formatted table."""
    return (
        "The four quarters of each dataset, and the forget sets, which are parts of target train. "
        f"In brackets the paper's number for the whole dataset. {remarks}"
    )
