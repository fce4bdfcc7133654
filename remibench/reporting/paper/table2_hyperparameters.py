"""Table II: the hyper-parameters that every unlearning method was run with.

The values are listed by method and forget ratio; in brackets are the paper's learning rates and λ2
of ReMI. Values that are the same for all datasets and architectures have one line. The protocol
states how our values were chosen; the paper does not state how its values were.
"""

import pandas as pd

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import METHODS, PAPER_METHODS, Results, percent
from remibench.analysis.verdicts import NOT_RUN
from remibench.reporting.render import ALL, MINUS, spread

TITLE = "Hyper-parameters of unlearning"
INPUTS = ("hyperparameters",)
ROWS = ["method", "parameter", "dataset", "architecture"]


def build(results: Results) -> pd.DataFrame:
    """One row per method, parameter and cell, with the paper's rate and λ2 of ReMI.

    Methods with parameters that were not run have one row, without parameter and value.
    """
    used = results.hyperparameters
    missing = [m for m in PAPER_METHODS if m not in {"original", "retrain", *used["method"]}]
    absent = pd.DataFrame({"method": missing}, columns=used.columns)
    table = pd.concat([used, absent], ignore_index=True) if len(used) else absent
    # The paper does not say whose guide its values are for: they stand beside both guides' ours.
    keyed = table.assign(
        metric=table["parameter"], method=table["method"].replace("remi_blackbox", "remi_whitebox")
    )
    paper = beside_paper(keyed, "Table II", results.published, results.paper_names)["paper"]
    return table.assign(paper=paper)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per method, parameter and cell, one column per ratio; one for all, where equal."""
    run = table[table["parameter"].notna()]
    text = run.assign(text=[_cell(row.value, row.paper) for row in run.itertuples()])
    text["forget_ratio"] = [percent(ratio) for ratio in run["forget_ratio"]]
    ratios = [percent(ratio) for ratio in sorted(run["forget_ratio"].unique())]
    lines = []
    for (method, parameter), rows in text.groupby(["method", "parameter"], sort=False):
        if rows.groupby("forget_ratio")["text"].nunique().max() == 1:
            same = rows.drop_duplicates("forget_ratio").assign(dataset=ALL, architecture=ALL)
        else:
            same = rows
        wide = spread(same, ROWS, "forget_ratio", ratios)
        lines.append(wide.assign(method=METHODS[method], parameter=parameter.replace("_", " ")))
    for method in table.loc[table["parameter"].isna(), "method"]:
        words = ["–", "–", "–", *[NOT_RUN] * max(len(ratios), 1)]
        columns = [*ROWS, *(ratios or ["all ratios"])]
        lines.append(pd.DataFrame([[METHODS[method], *words]], columns=columns))
    order = {label: place for place, label in enumerate(METHODS.values())}
    return pd.concat(lines, ignore_index=True).sort_values(
        "method", key=lambda labels: labels.map(order), kind="stable"
    )


def _cell(value: object, paper: float) -> str:
    try:
        text = f"{float(value):g}".replace("-", MINUS)
    except ValueError:
        text = str(value).replace("_", " ")
    return text if pd.isna(paper) else f"{text} [{paper:g}]"


def explain(_: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    return (
        "By forget ratio. In brackets the paper's values of ReMI, which are "
        "for the full data at 64×64 pixels; λ1 is 1 − λ2 (lambda2). “all” stands for every "
        f"dataset and architecture of this tree. {remarks}"
    )
