"""Table I: how many images each part of a dataset has, and each forget set.

Images in each quarter of each dataset and in the forget sets; in brackets the paper's numbers,
which are for the whole datasets. A forget set holds, of every class, the share rounded up, so that
it can exceed the share of the whole by up to one image per class.
"""

import pandas as pd

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import Results, percent
from remibench.analysis.verdicts import NOT_RUN
from remibench.reporting.render import spread

TITLE = "Data statistics (images)"
QUARTERS = ["target_train", "target_test", "shadow_train", "shadow_test"]


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
    axes = [results.names, results.ratios]
    forget = pd.MultiIndex.from_product(axes, names=["dataset", "forget_ratio"])
    range_ = sizes.groupby(["dataset", "forget_ratio"])["value"].agg(images="min", largest="max")
    forget = range_.reindex(forget).reset_index().assign(part="forget")
    table = pd.concat([pd.DataFrame(rows), forget], ignore_index=True)
    table = table.assign(subset=table["part"])
    table = beside_paper(table, "Table I", results.published, results.paper_names)
    table = table.astype(dict.fromkeys(["images", "largest", "paper"], "Int64"))
    table["difference"] = table["images"] - table["paper"]
    return table[
        ["dataset", "part", "forget_ratio", "images", "largest", "paper", "difference"]
    ].sort_values("dataset", key=lambda d: d.map(results.names.index), kind="stable")


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
    text = NOT_RUN if pd.isna(row.images) else f"{row.images:,}"
    if pd.notna(row.images) and row.largest > row.images:
        text += f" to {row.largest:,}"
    return text if pd.isna(row.paper) else f"{text} [{row.paper:,}]"


def explain(_: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    return (
        "The four quarters of each dataset, and the forget sets, which are parts of target train. "
        f"In brackets the paper's number for the whole dataset. {remarks}"
    )
