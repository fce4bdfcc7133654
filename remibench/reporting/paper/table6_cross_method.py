"""Table VI: models unlearned with one guide, judged by membership fingerprinting of the other.

The share of the forget set (%) that one kind of membership fingerprinting calls members when the
other kind guided ReMI, before and after unlearning, and after retraining and every other method.
Each cell is the mean over seeds ± the half-width of the 95 % t-interval.

The paper names neither dataset nor architecture of its numbers; all are multiples of 1/40, so that
each may rest on 40 images. They are repeated in every line of their ratio. Read *After* against
*Retraining*, not against 0.
"""

import pandas as pd

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import CELL, METHODS, Results, displayed
from remibench.components.products import ACCESS
from remibench.reporting.render import format_cell, means, spread

TITLE = "Cross-method MF rate on the forget set (%)"
DIRECTIONS = {"whitebox": "blackbox", "blackbox": "whitebox"}  # guide → judge
REMI = [f"remi_{guide}" for guide in DIRECTIONS]  # share the paper's column "after"
NUMBERS = ["mean", "low", "high", "seeds"]


def build(results: Results) -> pd.DataFrame:
    """Share of D_f that MF calls members, in percent, by cell, guide, judge and method.

    A method that the white-box or black-box MF guided has a row in that direction alone, all others
    in both; cells that were not run have no mean and 0 seeds. The paper names neither dataset nor
    architecture of its numbers: its number of a ratio stands in every cell of it.
    """
    rates = {access: results.summary(f"mf_{access}_rate", scale=100) for access in ACCESS}
    axes = (results.names, results.architectures, results.ratios, DIRECTIONS)
    axes = (*axes, displayed(results.methods))
    names = [*CELL, "guide", "method"]
    table = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
    guides = table["method"].map(results.guides)
    table = table[~guides.isin(DIRECTIONS) | (guides == table["guide"])].reset_index(drop=True)
    table.insert(4, "judge", table["guide"].map(DIRECTIONS))
    judged = pd.concat([rows.assign(judge=access) for access, rows in rates.items()])
    judged = judged[judged["subset"] == "forget"].drop(columns="subset")
    table = table.merge(judged, how="left", on=[*CELL, "judge", "method"])
    table = table.fillna({"seeds": 0}).astype({"seeds": int})
    table = table.assign(metric="mf_" + table["judge"] + "_rate")
    table = beside_paper(table, "Table VI", results.published, results.paper_names)
    return table[[*CELL, "guide", "judge", "method", *NUMBERS, "paper", "difference"]]


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and direction; before, after ReMI, all others, and the paper's numbers."""
    texts = [
        format_cell(*row, float("nan"), 1) for row in table[NUMBERS[:3]].itertuples(index=False)
    ]
    column = table["method"].replace(dict.fromkeys(REMI, "remi"))
    ours = table.assign(column=column, text=texts)
    published = ours[column.isin(["original", "remi"])]
    published = published.assign(
        column="paper: " + published["column"],
        text=["–" if pd.isna(value) else f"{value:.1f}" for value in published["paper"]],
    )
    others = [m for m in displayed(table["method"]) if m not in ("original", *REMI)]
    columns = ["original", "remi", *others, "paper: original", "paper: remi"]
    wide = spread(pd.concat([ours, published]), [*CELL, "guide"], "column", columns)
    wide.insert(4, "judge", wide["guide"].map(DIRECTIONS))
    labels = {method: METHODS[method] for method in ("original", *others)}
    labels |= {"remi": "After", "paper: original": "Paper: before", "paper: remi": "Paper: after"}
    return wide.replace({"guide": ACCESS, "judge": ACCESS}).rename(columns=labels)


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    return (
        f"{means(table)}. Guide: the membership fingerprinting model that ReMI was guided by; "
        "judge: the one that calls images members. After: ReMI by that guide; all other methods "
        "are judged beside it, those with a guide in its direction. The paper names neither "
        "dataset nor architecture of its Table VI: its number of a ratio is repeated in every line "
        f"of that ratio. {remarks}"
    )
