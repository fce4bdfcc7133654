"""Hyper-parameter search: how far every candidate is from retraining, and which is nearest.

A candidate is judged by its gap to retraining on the same target model and forget set: half of it
the gap in white-box MIA rate on the forget set, half the mean of the gaps in accuracy on forget
set, retain set and test images. All are shares, and the gap is their mean over the seeds of the
search. Not by a low MIA rate: a rate below the retrained model's would be rewarded for that.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from remibench.reporting.results import percent

CELL = ["dataset", "architecture", "forget_ratio"]
WEIGHTS = {  # (metric, subset) → weight of the absolute gap
    ("mia_whitebox_rate", "forget"): 1 / 2,
    ("accuracy", "forget"): 1 / 6,
    ("accuracy", "retain"): 1 / 6,
    ("accuracy", "test"): 1 / 6,
}


def judge_candidates(evaluation: pd.DataFrame) -> pd.DataFrame:
    """Compute every candidate's gap to retraining.

    Args:
        evaluation: Evaluation rows (dataset, architecture, seed, method, forget_ratio, subset,
            metric, value) of ``retrain``, ``original`` and all candidates, whose ``method`` is
            ``name,parameter=value,…``.

    Returns:
        One row per cell and candidate, nearest to retraining first: ``method`` (its name alone),
        ``candidate`` (its values; empty for ``original``, the gap of doing nothing), ``gap`` (mean
        over seeds), ``seeds``, and the mean signed gap of each metric.
    """
    rows = evaluation.set_index(["metric", "subset"])
    rows = rows[rows.index.isin(WEIGHTS.keys())].reset_index()
    reference = rows[rows["method"] == "retrain"].drop(columns="method")
    keys = [*CELL, "seed", "metric", "subset"]
    paired = rows[rows["method"] != "retrain"].merge(
        reference, on=keys, suffixes=("", "_retrained"), validate="many_to_one"
    )
    paired["difference"] = paired["value"] - paired["value_retrained"]
    weights = pd.Series(WEIGHTS)
    paired["gap"] = (
        paired["difference"].abs()
        * weights.loc[pd.MultiIndex.from_frame(paired[["metric", "subset"]])].to_numpy()
    )
    by = [*CELL, "method"]
    per_seed = paired.groupby([*by, "seed"], sort=False)["gap"].sum()
    trials = per_seed.groupby(by, sort=False).agg(gap="mean", seeds="size")
    signed = paired.assign(name=paired["metric"] + "_" + paired["subset"]).pivot_table(
        index=by, columns="name", values="difference"
    )
    trials = trials.join(signed).reset_index()
    names = trials["method"].str.partition(",")
    trials["method"] = names[0]
    trials.insert(trials.columns.get_loc("method") + 1, "candidate", names[2])
    return trials.sort_values([*CELL, "method", "gap"], kind="stable", ignore_index=True)


def choose_candidates(trials: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Take every cell's nearest candidate of each method; of equals, the first in the search.

    Returns:
        Method → one row per cell: its axes, and a column per parameter of the search.
    """
    chosen = {}
    tried = trials[trials["candidate"] != ""]
    for method, rows in tried.groupby("method", sort=True):
        best = rows.groupby(CELL, sort=False).head(1)
        values = [
            dict(setting.split("=", 1) for setting in candidate.split(","))
            for candidate in best["candidate"]
        ]
        columns = pd.DataFrame(values, index=best.index)
        chosen[method] = pd.concat([best[CELL], columns], axis=1).reset_index(drop=True)
    return chosen


def describe_choice(
    trials: pd.DataFrame, chosen: dict[str, pd.DataFrame], published: pd.DataFrame
) -> pd.DataFrame:
    """Put what was chosen beside the paper's Table II: one row per cell, method and parameter.

    Args:
        trials: Of :func:`judge_candidates`.
        chosen: Of :func:`choose_candidates`.
        published: ``paper/table2_hyperparameters.csv``: ReMI's values.

    Returns:
        Columns of the cell, ``method``, ``parameter``, ``chosen``, ``paper`` (empty where the paper
        has no value), ``gap``, ``gap_unchanged`` (of the target itself), ``candidates``, ``seeds``.
    """
    unchanged = trials[trials["method"] == "original"].set_index(CELL)["gap"]
    theirs = published.melt(CELL, var_name="parameter", value_name="paper")
    tables = []
    for method, values in chosen.items():
        tried = trials[trials["method"] == method].groupby(CELL)
        facts = tried.agg(gap=("gap", "min"), candidates=("gap", "size"), seeds=("seeds", "min"))
        table = values.melt(CELL, var_name="parameter", value_name="chosen").assign(method=method)
        table = table.join(facts, on=CELL).join(unchanged.rename("gap_unchanged"), on=CELL)
        applies = theirs if method.startswith("remi") else theirs[:0]
        tables.append(table.merge(applies, how="left", on=[*CELL, "parameter"]))
    columns = ["method", "parameter", "chosen", "paper", "gap", "gap_unchanged"]
    return pd.concat(tables)[[*CELL, *columns, "candidates", "seeds"]].sort_values(
        [*CELL, "method", "parameter"], ignore_index=True
    )


def format_choice(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and method: each parameter as ``ours [the paper's]``, and the gap."""
    text = table["chosen"].astype(str)
    known = table["paper"].notna()
    text[known] += table["paper"][known].map(" [{:g}]".format)
    lines = [
        {
            **dict(zip([*CELL, "method"], key, strict=True)),
            "parameters": ", ".join(rows["parameter"].str.cat(text[rows.index], sep=" ")),
            "gap to retraining": f"{rows['gap'].iloc[0]:.3f}",
            "untouched": f"{rows['gap_unchanged'].iloc[0]:.3f}",
            "candidates": rows["candidates"].iloc[0],
        }
        for key, rows in table.groupby([*CELL, "method"], sort=False)
    ]
    wide = pd.DataFrame(lines)
    wide["forget_ratio"] = wide["forget_ratio"].map(percent)
    return wide.rename(columns=lambda name: name.replace("_", " "))


def overlay(value_paths: dict[str, str | Path]) -> dict:
    """The config overlay that makes every method take its chosen values from these files."""
    return {
        "unlearning": {
            method: {"values_from": str(path)} for method, path in sorted(value_paths.items())
        }
    }
