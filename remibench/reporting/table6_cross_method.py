"""Table VI: models unlearned with one guide, judged by membership fingerprinting of the other."""

import pandas as pd

from remibench.reporting.render import format_cell, means, spread
from remibench.reporting.results import METHODS, Results

TITLE = "Cross-method MF accuracy on the forget set (%)"
DIRECTIONS = {"whitebox": "blackbox", "blackbox": "whitebox"}  # guide → judge
LABELS = {"whitebox": "white-box", "blackbox": "black-box"}
PHASES = {"before": "Before", "after": "After", "retrain": METHODS["retrain"]}
CELLS = ["dataset", "architecture", "forget_ratio"]
NUMBERS = ["mean", "low", "high", "seeds"]


def build(results: Results) -> pd.DataFrame:
    """Share of D_f that MF calls members, in percent, by cell, guide, judge and phase.

    The phases are ``before`` unlearning, ``after`` it, and ``retrain``; cells that were not run
    have no mean and 0 seeds. The paper names neither dataset nor architecture of its numbers: its
    number of a ratio stands in every cell of it.
    """
    rates = {access: results.summary(f"mf_{access}_rate", scale=100) for access in LABELS}
    axes = (results.names, results.architectures, results.ratios, DIRECTIONS, PHASES)
    names = [*CELLS, "guide", "phase"]
    table = pd.MultiIndex.from_product(axes, names=names).to_frame(index=False)
    table.insert(4, "judge", table["guide"].map(DIRECTIONS))
    methods = {"before": "original", "retrain": "retrain"}
    table["method"] = [
        methods.get(row.phase, f"remi_{row.guide}") for row in table.itertuples(index=False)
    ]
    judged = pd.concat([rows.assign(judge=access) for access, rows in rates.items()])
    judged = judged[judged["subset"] == "forget"].drop(columns="subset")
    table = table.merge(judged, how="left", on=[*CELLS, "judge", "method"])
    published = results.published["table6_cross_method"].rename(
        columns={
            "unlearning_source": "guide",
            "evaluation": "judge",
            "attack_accuracy_before_pct": "before",
            "attack_accuracy_after_pct": "after",
        }
    )
    keys = ["forget_ratio", "guide", "judge"]
    paper = published.melt(keys, ["before", "after"], var_name="phase", value_name="paper")
    table = table.merge(paper, how="left", on=[*keys, "phase"]).fillna({"seeds": 0})
    table = table[[*CELLS, "guide", "judge", "phase", *NUMBERS, "paper"]].astype({"seeds": int})
    return table.assign(difference=table["mean"] - table["paper"])


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and direction; before, after, retraining, and the paper's numbers."""
    texts = [
        "not run" if pd.isna(row[0]) else format_cell(*row, float("nan"), 1)
        for row in table[NUMBERS[:3]].itertuples(index=False)
    ]
    ours = table.assign(column=table["phase"].map(PHASES), text=texts)
    theirs = table[table["phase"] != "retrain"]
    theirs = theirs.assign(
        column="Paper: " + theirs["phase"],
        text=["–" if pd.isna(value) else f"{value:.1f}" for value in theirs["paper"]],
    )
    columns = [*PHASES.values(), "Paper: before", "Paper: after"]
    wide = spread(pd.concat([ours, theirs]), [*CELLS, "guide"], "column", columns)
    wide.insert(4, "judge", wide["guide"].map(DIRECTIONS))
    return wide.replace({"guide": LABELS, "judge": LABELS})


def explain(table: pd.DataFrame, remarks: str) -> str:
    """How to read the formatted table."""
    return (
        f"{means(table)}. Guide: the membership fingerprinting model that ReMI was guided by; "
        "judge: the one that calls images members. The paper names neither dataset nor "
        "architecture of its Table VI: its number of a ratio is repeated in every line of that "
        f"ratio. {remarks}"
    )
