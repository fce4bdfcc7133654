"""Single images under all seeds' models together: one tidy table for table and figure."""

from __future__ import annotations

import pandas as pd

from remibench.analysis.gaps import INTERVAL_ENDS, REFERENCE
from remibench.analysis.results import BY_METHOD, CELL, Results

FLOORS = {  # metric → what retraining has in its place, its noise floor
    "klom_halves": "klom_floor",
    "forgetting_quality_halves": "forgetting_quality_floor",
    "final_score_halves": "forgetting_quality_floor",
}


def compare_across_seeds(results: Results) -> pd.DataFrame:
    """Join what was measured across seeds with its intervals and the scores made of it.

    Returns:
        A row per cell, method, subset and metric:
        ``dataset``, ``architecture``, ``forget_ratio``, ``method``, ``subset``, ``metric``,
        ``value``, ``low``, ``high`` (95 % t-interval over held-out seeds, of attacks alone;
        not cut off at 0 and 1) and
        ``models`` (of each population). A value that is not measurable is NaN.
    """
    rows = results.across_seeds
    key = [*BY_METHOD, "subset", "metric"]
    ends = rows["metric"].str.endswith(INTERVAL_ENDS)
    table = rows[~ends].copy()
    for end in INTERVAL_ENDS:
        bounds = rows[rows["metric"].str.endswith(end)]
        bounds = bounds.assign(metric=bounds["metric"].str.removesuffix(end))
        renamed = bounds[[*key, "value"]].rename(columns={"value": end.removeprefix("_")})
        table = table.merge(renamed, how="left", on=key)
    table = pd.concat([table, _final_scores(results, table)], ignore_index=True)
    return table[[*key, "value", "low", "high", "models"]]


def _final_scores(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    """Forgetting quality times the accuracies on D_r and on test images over retraining's.

    As the NeurIPS 2023 unlearning competition combined them (Triantafillou et al. 2024):
    F · RA_U / RA_R · TA_U / TA_R, with accuracies that are means over all seeds; the ratios may be
    above 1. ``final_score`` is of ``forgetting_quality``, ``final_score_halves`` of its halves;
    none without ``accuracy``.
    """
    accuracy = results.summary("accuracy")
    accuracy = accuracy[accuracy["subset"].isin(["retain", "test"])]
    axes = [*CELL, "subset"]
    retrained = accuracy["method"] == REFERENCE
    of_retraining = accuracy[retrained].set_index(axes)["mean"].rename("reference")
    accuracy = accuracy.join(of_retraining, on=axes)
    kept = accuracy["mean"] / accuracy["reference"]
    utility = kept.groupby([accuracy[axis] for axis in BY_METHOD]).prod(min_count=2)
    names = {"forgetting_quality": "final_score", "forgetting_quality_halves": "final_score_halves"}
    rows = table[table["metric"].isin(names) & (table["subset"] == "forget")]
    rows = rows.join(utility.rename("utility"), on=BY_METHOD).dropna(subset=["utility"])
    values = rows["value"] * rows["utility"]
    return rows.assign(metric=rows["metric"].map(names), value=values).drop(columns="utility")
