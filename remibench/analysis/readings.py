"""Choice of a reading of ReMI's loss: distance to the paper's numbers, gap to retraining.

The rule, stated before any reading was measured. A reading's *distance* in a cell is half the
absolute difference in white-box MIA rate on the forget set from Table IV, and half the mean
absolute difference in accuracy on forget set, retain set and test images from Table III. All are
shares. Table III is of forget ratio 10 %, and stands for the other ratios, too. The reading with
the smallest mean distance over the ratios is chosen; of readings within ``TIE`` of it, the one
nearest to retraining (:func:`remibench.analysis.search.judge_candidates`).
"""

from __future__ import annotations

import pandas as pd

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import BY_METHOD, CELL, percent
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


def judge_readings(
    evaluation: pd.DataFrame, candidates: pd.DataFrame, published: pd.DataFrame, names: pd.Series
) -> pd.DataFrame:
    """Every reading's numbers, distance to the paper and gap to retraining, by cell.

    Args:
        evaluation: See :func:`remibench.analysis.search.judge_candidates`; with ``cost`` beside.
        candidates: See :func:`remibench.analysis.search.value_text`.
        published: ``paper/numbers.csv``.
        names: The paper's name of each dataset, by ours.

    Returns:
        One row per cell and ``reading`` (the values in which it differs from the section of the
        config; ``original``, ``retrain``): mean over seeds of ``mia``, ``forget``, ``retain``,
        ``test`` (shares), ``epochs``, ``seconds``; ``distance``, ``gap``, ``seeds``.

    Raises:
        RemibenchError: The paper has no number for a cell, a measurement is missing, or the
            variants are of several methods: the paper's numbers are those of one.
    """
    if len(studied := sorted(set(candidates["method"]))) > 1:
        raise RemibenchError(
            f"`variants` lists {', '.join(studied)}; a study is of one method, list one"
        )
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
    paper = _beside(table[CELL], published, names)
    if (unknown := table[paper["mia"].isna()]).size:
        cell = unknown[CELL].iloc[0]
        raise RemibenchError(
            f"the paper has no number for {', '.join(map(str, cell))}; study a cell of its grid"
        )
    differences = (table[NAMES[:4]] - paper).abs()
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
    readings: pd.DataFrame, published: pd.DataFrame, names: pd.Series
) -> pd.DataFrame:
    """One line per reading, best first, below the paper's numbers, the target and retraining.

    Per forget ratio: MIA rate on D_f, then accuracy in percent on D_f / D_r / test.
    """
    order = choose_reading(readings).set_index("reading")
    cells = readings[CELL].drop_duplicates().reset_index(drop=True)
    paper = cells.join(_beside(cells, published, names)).assign(reading="paper")
    table = pd.concat([paper, readings], ignore_index=True)
    table["text"] = [
        f"{row.mia:.3f}; {100 * row.forget:.1f} / {100 * row.retain:.1f} / {100 * row.test:.1f}"
        for row in table.itertuples()
    ]
    table["cell"] = [
        f"{row.dataset} {row.architecture} {percent(row.forget_ratio)}"
        for row in table.itertuples()
    ]
    lines = ["paper", "original", "retrain", *order.index]
    wide = table.pivot(index="reading", columns="cell", values="text")  # noqa: PD010 - unique text
    wide = wide.loc[lines, list(dict.fromkeys(table["cell"]))]
    marks = order["distance"].map("{:.3f}".format) + order["chosen"].map(
        {True: " (chosen)", False: ""}
    )
    wide.insert(0, "distance to the paper", marks.reindex(lines).fillna("–"))
    wide.insert(
        1, "gap to retraining", order["gap"].map("{:.3f}".format).reindex(lines).fillna("–")
    )
    return wide.rename_axis(columns=None).reset_index()


def _beside(cells: pd.DataFrame, published: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """The paper's numbers of ReMI as shares, a row per cell and the columns of ``NAMES[:4]``."""
    columns = {}
    for name, (metric, subset) in zip(NAMES, WEIGHTS, strict=False):
        wanted = cells.assign(method="remi_whitebox", metric=metric, subset=subset)
        if metric == "accuracy":  # at 10 % alone, which stands for the other ratios
            wanted["forget_ratio"] = 0.1
        source, scale = ("Table III", 100) if metric == "accuracy" else ("Table IV", 1)
        columns[name] = beside_paper(wanted, source, published, names)["paper"] / scale
    return pd.DataFrame(columns)
