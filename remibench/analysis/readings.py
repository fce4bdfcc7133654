"""Which reading of ReMI's loss reproduces the paper: distance to its numbers, gap to retraining.

The rule, stated before any reading was measured. A reading's *distance* in a cell is half the
absolute difference in white-box MIA rate on the forget set from Table IV, and half the mean
absolute difference in accuracy on forget set, retain set and test images from Table III. All are
shares. Table III is of forget ratio 10 %, and stands for the other ratios, too. The reading with
the smallest mean distance over the ratios is chosen; of readings within ``TIE`` of it, the one
nearest to retraining (:func:`remibench.analysis.search.judge_candidates`).
"""

from __future__ import annotations

import pandas as pd

from remibench.analysis.results import BY_METHOD, CELL
from remibench.analysis.search import WEIGHTS, judge_candidates, value_text
from remibench.errors import RemibenchError

TIE = 0.01
NOTE = (
    "By forget ratio: white-box MIA rate on D_f; accuracy on D_f / D_r / test in percent, means "
    "over seeds. Distance: from the paper's Tables III and IV. Gap: from retraining. The paper has "
    "accuracies at 10 % alone; they stand for the other ratios, too."
)
QUANTITIES = [*WEIGHTS, ("epochs", ""), ("seconds", "")]
NAMES = ["mia", "forget", "retain", "test", "epochs", "seconds"]


def paper_values(published: dict[str, pd.DataFrame], phase: str) -> pd.DataFrame:
    """The paper's MIA rate and three accuracies, all as shares.

    Args:
        published: ``table3_classification_accuracy`` and ``table4_whitebox_mia_accuracy``.
        phase: ``before`` or ``after`` unlearning.

    Returns:
        The columns ``mia``, ``forget``, ``retain``, ``test``, by the paper's dataset, architecture
        and forget ratio.
    """
    rates, accuracies = (
        published[name][published[name]["phase"] == phase]
        for name in ("table4_whitebox_mia_accuracy", "table3_classification_accuracy")
    )
    shares = accuracies.assign(share=accuracies["accuracy_pct"] / 100).pivot_table(
        index=CELL[:2], columns="subset", values="share"
    )
    rates = rates.set_index(CELL)["mia_accuracy"].rename("mia")
    return rates.to_frame().join(shares[NAMES[1:4]], on=CELL[:2])


def judge_readings(
    evaluation: pd.DataFrame,
    candidates: pd.DataFrame,
    published: dict[str, pd.DataFrame],
    names: pd.Series,
) -> pd.DataFrame:
    """Every reading's numbers, distance to the paper and gap to retraining, by cell.

    Args:
        evaluation: See :func:`remibench.analysis.search.judge_candidates`; with ``cost`` beside.
        candidates: See :func:`remibench.analysis.search.value_text`.
        published: The paper's tables.
        names: The paper's name of each dataset, by ours.

    Returns:
        One row per cell and ``reading`` (the values in which it differs from the section of the
        config; ``original``, ``retrain``): mean over seeds of ``mia``, ``forget``, ``retain``,
        ``test`` (shares), ``epochs``, ``seconds``; ``distance``, ``gap``, ``seeds``.

    Raises:
        RemibenchError: The paper has no number for a cell, or a measurement is missing.
    """
    trials = judge_candidates(evaluation, candidates)
    trials["reading"] = trials["candidate"].where(trials["candidate"] != "", trials["method"])
    values = evaluation.fillna({"subset": ""}).pivot_table(
        index=BY_METHOD, columns=["metric", "subset"], values="value"
    )
    values = values.reindex(columns=pd.MultiIndex.from_tuples(QUANTITIES)).set_axis(NAMES, axis=1)
    table = values.reset_index()
    table["reading"] = table["method"].map(value_text(candidates)).fillna(table["method"])
    keys = [*CELL, "reading"]
    table = table.merge(trials[[*keys, "gap", "seeds"]], how="left", on=keys)
    theirs = paper_values(published, "after").reset_index()
    theirs = theirs.rename(columns={"dataset": "paper_dataset"})
    table["paper_dataset"] = table["dataset"].map(names)
    on = ["paper_dataset", *CELL[1:]]
    joined = table.merge(theirs, how="left", on=on, suffixes=("", "_paper"))
    if (unknown := joined[joined["mia_paper"].isna()]).size:
        cell = unknown[CELL].iloc[0]
        raise RemibenchError(
            f"the paper has no number for {', '.join(map(str, cell))}; study a cell of its grid"
        )
    differences = pd.DataFrame(
        {name: (joined[name] - joined[f"{name}_paper"]).abs() for name in NAMES[:4]}
    )
    table["distance"] = differences["mia"] / 2 + differences[NAMES[1:4]].sum(axis=1) / 6
    return table[[*keys, *NAMES, "distance", "gap", "seeds"]]


def choose_reading(readings: pd.DataFrame) -> pd.DataFrame:
    """Mean distance and gap over all cells, nearest to the paper first; what the rule chooses.

    Returns:
        One row per reading, without ``original`` and ``retrain``: ``reading``, ``distance``,
        ``gap``, ``chosen`` (true once).
    """
    means = readings[~readings["reading"].isin(["original", "retrain"])]
    means = means.groupby("reading", sort=False)[["distance", "gap"]].mean()
    means = means.sort_values("distance", kind="stable").reset_index()
    near = means[means["distance"] <= means["distance"].iloc[0] + TIE]
    return means.assign(chosen=means.index == near["gap"].idxmin())


def format_readings(
    readings: pd.DataFrame, published: dict[str, pd.DataFrame], names: pd.Series
) -> pd.DataFrame:
    """One line per reading, best first, below the paper's numbers, the target and retraining.

    Per forget ratio: MIA rate on D_f, then accuracy in percent on D_f / D_r / test.
    """
    from remibench.analysis.results import percent

    order = choose_reading(readings).set_index("reading")
    theirs = paper_values(published, "after").reset_index().assign(reading="paper")
    theirs = theirs.rename(columns={"dataset": "paper_dataset"})
    cells = readings[CELL].drop_duplicates()
    cells = cells.assign(paper_dataset=cells["dataset"].map(names))
    theirs = cells.merge(theirs, on=["paper_dataset", *CELL[1:]])
    every = pd.concat([theirs, readings], ignore_index=True)
    every["text"] = [
        f"{row.mia:.3f}; {100 * row.forget:.1f} / {100 * row.retain:.1f} / {100 * row.test:.1f}"
        for row in every.itertuples()
    ]
    every["cell"] = [
        f"{row.dataset} {row.architecture} {percent(row.forget_ratio)}"
        for row in every.itertuples()
    ]
    lines = ["paper", "original", "retrain", *order.index]
    wide = every.pivot(index="reading", columns="cell", values="text")  # noqa: PD010 - unique text
    wide = wide.loc[lines, list(dict.fromkeys(every["cell"]))]
    marks = order["distance"].map("{:.3f}".format) + order["chosen"].map(
        {True: " (chosen)", False: ""}
    )
    wide.insert(0, "distance to the paper", marks.reindex(lines).fillna("–"))
    wide.insert(
        1, "gap to retraining", order["gap"].map("{:.3f}".format).reindex(lines).fillna("–")
    )
    return wide.rename_axis(columns=None).reset_index()
