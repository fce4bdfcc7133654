"""Table VI: models unlearned with one guide, judged by membership fingerprinting of the other.

Beside them every other method, judged in the same way.
"""

import pandas as pd

from remibench.reporting.render import format_cell, means, spread
from remibench.reporting.results import METHODS, Results, displayed

TITLE = "Cross-method MF accuracy on the forget set (%)"
DIRECTIONS = {"whitebox": "blackbox", "blackbox": "whitebox"}  # guide → judge
LABELS = {"whitebox": "white-box", "blackbox": "black-box"}
GUIDED = {f"remi_{guide}": guide for guide in DIRECTIONS}
CELLS = ["dataset", "architecture", "forget_ratio"]
NUMBERS = ["mean", "low", "high", "seeds"]


def build(results: Results) -> pd.DataFrame:
    """Share of D_f that MF calls members, in percent, by cell, guide, judge and method.

    ReMI has a row in the direction of its own guide alone, the other methods in both; cells that
    were not run have no mean and 0 seeds. The paper names neither dataset nor architecture of its
    numbers: its number of a ratio stands in every cell of it.
    """
    rates = {access: results.summary(f"mf_{access}_rate", scale=100) for access in LABELS}
    axes = (results.names, results.architectures, results.ratios, DIRECTIONS)
    axes = (*axes, displayed(results.methods))
    names = [*CELLS, "guide", "method"]
    table = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
    own = table["method"].map(GUIDED)
    table = table[own.isna() | (own == table["guide"])].reset_index(drop=True)
    table.insert(4, "judge", table["guide"].map(DIRECTIONS))
    judged = pd.concat([rows.assign(judge=access) for access, rows in rates.items()])
    judged = judged[judged["subset"] == "forget"].drop(columns="subset")
    table = table.merge(judged, how="left", on=[*CELLS, "judge", "method"])
    table = table.merge(_paper(results), how="left", on=["forget_ratio", "guide", "method"])
    table = table.fillna({"seeds": 0}).astype({"seeds": int})
    table = table[[*CELLS, "guide", "judge", "method", *NUMBERS, "paper"]]
    return table.assign(difference=table["mean"] - table["paper"])


def _paper(results: Results) -> pd.DataFrame:
    table = results.published["table6_cross_method"]
    phases = {"original": "before", **dict.fromkeys(GUIDED, "after")}
    rows = [
        table.assign(method=method, paper=table[f"attack_accuracy_{phase}_pct"])
        for method, phase in phases.items()
    ]
    rows = pd.concat(rows).rename(columns={"unlearning_source": "guide"})
    return rows[["forget_ratio", "guide", "method", "paper"]]


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and direction; before, after ReMI, all others, and the paper's numbers."""
    texts = [
        "not run" if pd.isna(row[0]) else format_cell(*row, float("nan"), 1)
        for row in table[NUMBERS[:3]].itertuples(index=False)
    ]
    labels = {method: METHODS[method] for method in displayed(table["method"])}
    labels |= dict.fromkeys(GUIDED, "After")
    ours = table.assign(column=table["method"].map(labels), text=texts)
    theirs = table[table["method"].isin(["original", *GUIDED])]
    theirs = theirs.assign(
        column="Paper: " + theirs["method"].map(labels).str.lower(),
        text=["–" if pd.isna(value) else f"{value:.1f}" for value in theirs["paper"]],
    )
    first = [labels["original"], "After"]
    columns = dict.fromkeys([*first, *labels.values(), "Paper: before", "Paper: after"])
    wide = spread(pd.concat([ours, theirs]), [*CELLS, "guide"], "column", list(columns))
    wide.insert(4, "judge", wide["guide"].map(DIRECTIONS))
    return wide.replace({"guide": LABELS, "judge": LABELS})


def explain(table: pd.DataFrame, remarks: str) -> str:
    """How to read the formatted table."""
    return (
        f"{means(table)}. Guide: the membership fingerprinting model that ReMI was guided by; "
        "judge: the one that calls images members. After: ReMI by that guide; the other methods "
        "are judged beside it. The paper names neither dataset nor architecture of its Table VI: "
        f"its number of a ratio is repeated in every line of that ratio. {remarks}"
    )
