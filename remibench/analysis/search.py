"""Hyper-parameter search: how far every candidate is from retraining, and which is nearest.

A candidate is judged by its gap to retraining on the same target model and forget set: half of it
the gap in white-box MIA rate on the forget set, half the mean of the gaps in accuracy on forget
set, retain set and test images. All are shares, and the gap is their mean over the seeds of the
search. Not by a low MIA rate: a rate below the retrained model's would be rewarded for that.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from remibench.analysis.gaps import REFERENCE, pair
from remibench.analysis.paper import beside_paper
from remibench.analysis.results import BY_METHOD, CELL, percent
from remibench.config.variants import method_of
from remibench.errors import RemibenchError

WEIGHTS = {  # (metric, subset) → weight of the absolute gap
    ("mia_whitebox_rate", "forget"): 1 / 2,
    ("accuracy", "forget"): 1 / 6,
    ("accuracy", "retain"): 1 / 6,
    ("accuracy", "test"): 1 / 6,
}


def value_text(candidates: pd.DataFrame) -> pd.Series:
    """The values of every variant as text, ``alpha=1e-06,max_std=0.01``, by the variant's name.

    Args:
        candidates: The table of variants: ``variant``, ``method``, ``parameter``, ``value``.
    """
    text = candidates["parameter"] + "=" + candidates["value"].astype(str)
    return text.groupby(candidates["variant"], sort=False).agg(",".join)


def judge_candidates(evaluation: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Compute every candidate's gap to retraining.

    Args:
        evaluation: Evaluation rows (dataset, architecture, seed, method, forget_ratio, subset,
            metric, value) of ``retrain``, ``original`` and all variants, whose ``method`` is the
            variant's name.
        candidates: See :func:`value_text`.

    Returns:
        One row per cell and candidate, nearest to retraining first: ``method``, ``variant``,
        ``candidate`` (its values; empty for ``original``, the gap of doing nothing), ``gap`` (mean
        over seeds), ``seeds``, and the mean signed gap of each metric.

    Raises:
        RemibenchError: A cell, seed or candidate lacks one of the four quantities.
    """
    rows = evaluation.set_index(["metric", "subset"])
    rows = rows[rows.index.isin(WEIGHTS.keys())].reset_index()
    counts = rows.groupby([*CELL, "seed", "method"]).size()
    methods, cells = rows["method"].nunique(), len(rows.drop_duplicates([*CELL, "seed"]))
    if len(counts) != methods * cells or set(counts) != {len(WEIGHTS)}:
        raise RemibenchError(
            f"the evaluation of a search needs {', '.join(' on '.join(key) for key in WEIGHTS)} of "
            "every candidate, cell and seed once; set `metrics: [accuracy, membership]`"
        )
    paired = pair(rows)
    paired = paired[paired["method"] != REFERENCE]
    keys = zip(paired["metric"], paired["subset"], strict=True)
    paired["gap"] = paired["difference"].abs() * [WEIGHTS[key] for key in keys]
    per_seed = paired.groupby([*BY_METHOD, "seed"], sort=False)["gap"].sum()
    trials = per_seed.groupby(BY_METHOD, sort=False).agg(gap="mean", seeds="size")
    signed = paired.assign(name=paired["metric"] + "_" + paired["subset"]).pivot_table(
        index=BY_METHOD, columns="name", values="difference"
    )
    trials = trials.join(signed).reset_index()
    names, place = trials["method"], trials.columns.get_loc("method") + 1
    trials.insert(place, "variant", names)
    trials.insert(place + 1, "candidate", names.map(value_text(candidates)).fillna(""))
    trials["method"] = names.map(method_of)
    return trials.sort_values([*BY_METHOD, "gap"], kind="stable", ignore_index=True)


def choose_candidates(trials: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """Take every cell's nearest candidate of each method; of equals, the first in the search.

    Returns:
        One row per cell, method and parameter of the search: the cell, ``method``, ``parameter``,
        ``value`` (as text), ``gap``, ``candidates``, ``seeds``.
    """
    tried = trials[trials["candidate"] != ""]
    groups = tried.groupby(BY_METHOD, sort=False)
    best = groups.head(1).assign(candidates=groups["gap"].transform("size"))
    settings = best.merge(candidates[["variant", "parameter", "value"]], on="variant")
    settings["value"] = settings["value"].astype(str)
    columns = [*BY_METHOD, "parameter", "value", "gap", "candidates", "seeds"]
    return settings[columns].reset_index(drop=True)


def complete_values(
    chosen: pd.DataFrame, base: pd.DataFrame, method: str, parameters: list[str]
) -> pd.DataFrame:
    """A method's values in every cell: what was chosen, else what the candidates began as.

    Args:
        chosen: Candidates from :func:`choose_candidates`.
        base: Rows of the cell, ``method``, ``parameter``, ``value``: the values before the search.
        method: Name of the method.
        parameters: The columns wanted.

    Returns:
        One row per cell and a column per parameter, as ``per_cell_values`` reads it.
    """
    best, initial = (
        rows[rows["method"] == method].set_index([*CELL, "parameter"])["value"].astype(str)
        for rows in (chosen, base)
    )
    wide = best.combine_first(initial).unstack("parameter")  # noqa: PD010 - unique, no aggregation
    return wide[parameters].rename_axis(columns=None).reset_index()


def describe_choice(
    trials: pd.DataFrame, chosen: pd.DataFrame, published: pd.DataFrame, names: pd.Series
) -> pd.DataFrame:
    """Put what was chosen beside the paper's Table II: one row per cell, method and parameter.

    The paper does not say whose guide its values are for; they are put beside the white-box one's.

    Args:
        trials: Trials from :func:`judge_candidates`.
        chosen: Candidates from :func:`choose_candidates`.
        published: ``paper/numbers.csv``.
        names: The paper's name of each dataset, by ours (:attr:`Results.paper_names`).

    Returns:
        ``chosen`` with ``paper`` (empty where the paper has no value) and ``gap_unchanged`` (of the
        target itself).
    """
    unchanged = trials[trials["method"] == "original"].set_index(CELL)["gap"]
    table = chosen.join(unchanged.rename("gap_unchanged"), on=CELL)
    table = table.assign(metric=table["parameter"])
    return beside_paper(table, "Table II", published, names).drop(columns="metric")


def format_choice(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and method: each parameter as ``ours [the paper's]``, and the gap."""
    text = table["value"].copy()
    known = table["paper"].notna()
    text[known] += table["paper"][known].map(" [{:g}]".format)
    lines = [
        {
            **dict(zip(BY_METHOD, key, strict=True)),
            "parameters": ", ".join(rows["parameter"].str.cat(text[rows.index], sep=" ")),
            "gap to retraining": f"{rows['gap'].iloc[0]:.3f}",
            "gap of the target": f"{rows['gap_unchanged'].iloc[0]:.3f}",
            "candidates": rows["candidates"].iloc[0],
            "seeds": rows["seeds"].iloc[0],
        }
        for key, rows in table.groupby(BY_METHOD, sort=False)
    ]
    wide = pd.DataFrame(lines)
    wide["forget_ratio"] = wide["forget_ratio"].map(percent)
    return wide.rename(columns=lambda name: name.replace("_", " "))


def overlay(value_paths: dict[str, str | Path]) -> dict:
    """The config overlay that makes every method take its chosen values from these files."""
    return {
        "unlearning": {
            method: {"per_cell_values": str(path)} for method, path in sorted(value_paths.items())
        }
    }
