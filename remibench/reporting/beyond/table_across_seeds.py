"""Beyond the paper: what all seeds' models together say of single images, method by method.

All seeds forget the same images, so that the margins log p(y | x) − log Σ p(c | x), c ≠ y, of a
single image form two samples: one under the models that have unlearned it, one under those that
were retrained without it. Four questions about the two:

- *U-LiRA*: can an attacker with a Gaussian of either tell which kind a held-out model is? .5:
  no. On *test* images, which no model has seen, an answer better than .5 means that the model as
  a whole has changed.
- *RMIA*: the same with ratios of probabilities to those of reference models; and, *vs test*,
  forget images against test images. AUC below .5 is a leak as well: forget images then look less
  like members than under a retrained model.
- *KLOM*: the divergence of the two histograms in nats, 0 for equal ones.
- *Forgetting quality*: 1 if no interval of margins tells the two apart, halved for every .5 of
  ε. It decides in-sample, so that few models alone lower it. *× utility*: times the accuracy on
  D_r and on test images, each over retraining's, as in the competition.

After "±" is half the 95 % t-interval over held-out seeds, of the attacks alone. It is too narrow,
since held-out seeds share the models that an attack is fitted on: as a simulation of equal models
shows, U-LiRA's contains .5 in 81 to 89 % of runs, not in 95 %, and lies above .5 in 5 to 8 %, not
in 2.5 %.

Few models make a divergence where there is none. The lines "halves" compare one half of the seeds
with the other, and have in the column *Retraining* what retraining itself gets that way: read a
method against that, not against 0 or 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from remibench.analysis.results import BY_METHOD, CELL, METHODS, Results, count_seeds
from remibench.reporting.beyond.comparisons import REFERENCE
from remibench.reporting.beyond.table_gaps import NOT_MEASURABLE
from remibench.reporting.render import spread

TITLE = "Image by image, across seeds"
INPUTS = ("across_seeds",)
ENDS = ("_low", "_high")


@dataclass(frozen=True)
class Shown:
    """A quantity of the formatted table: all of them are in the CSV file.

    Attributes:
        metric, subset, label: What is shown.
        of_retraining: The metric that retraining has in its place, its noise floor.
    """

    metric: str
    subset: str
    label: str
    of_retraining: str = ""


SHOWN = [
    Shown("ulira_auc", "forget", "U-LiRA: AUC D_f"),
    Shown("ulira_accuracy", "forget", "U-LiRA: accuracy D_f"),
    Shown("ulira_tpr_at_1pct", "forget", "U-LiRA: TPR D_f at 1% FPR"),
    Shown("ulira_tpr_at_0.1pct", "forget", "U-LiRA: TPR D_f at 0.1% FPR"),
    Shown("ulira_auc", "test", "U-LiRA: AUC test"),
    Shown("rmia_auc", "forget", "RMIA: AUC D_f"),
    Shown("rmia_vs_test_auc", "forget", "RMIA: AUC D_f vs test"),
    Shown("klom_halves", "forget", "KLOM D_f, halves", "klom_floor"),
    Shown("klom_halves", "retain", "KLOM D_r, halves", "klom_floor"),
    Shown("klom_halves", "test", "KLOM test, halves", "klom_floor"),
    Shown("klom", "forget", "KLOM D_f"),
    Shown(
        "forgetting_quality_halves",
        "forget",
        "forgetting quality, halves",
        "forgetting_quality_floor",
    ),
    Shown(
        "final_score_halves",
        "forget",
        "forgetting quality × utility, halves",
        "forgetting_quality_floor",
    ),
    Shown("forgetting_quality", "forget", "forgetting quality"),
    Shown("final_score", "forget", "forgetting quality × utility"),
    Shown("epsilon_separated", "forget", "share of D_f with ε = ∞"),
]


def build(results: Results) -> pd.DataFrame:
    """One row per cell, method, subset and metric.

    Returns:
        ``dataset``, ``architecture``, ``forget_ratio``, ``method``, ``subset``, ``metric``,
        ``value``, ``low``, ``high`` (95 % t-interval over held-out seeds, of attacks alone;
        not cut off at 0 and 1) and
        ``models`` (of each population). A value that is not measurable is NaN.
    """
    rows = results.across_seeds
    key = [*BY_METHOD, "subset", "metric"]
    ends = rows["metric"].str.endswith(ENDS)
    table = rows[~ends].copy()
    for end in ENDS:
        own = rows[rows["metric"].str.endswith(end)]
        own = own.assign(metric=own["metric"].str.removesuffix(end))
        renamed = own[[*key, "value"]].rename(columns={"value": end.removeprefix("_")})
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
    own = accuracy["method"] == REFERENCE
    of_retraining = accuracy[own].set_index(axes)["mean"].rename("reference")
    accuracy = accuracy.join(of_retraining, on=axes)
    kept = accuracy["mean"] / accuracy["reference"]
    utility = kept.groupby([accuracy[axis] for axis in BY_METHOD]).prod(min_count=2)
    names = {
        "forgetting_quality": "final_score",
        "forgetting_quality_halves": "final_score_halves",
    }
    rows = table[table["metric"].isin(names) & (table["subset"] == "forget")]
    rows = rows.join(utility.rename("utility"), on=BY_METHOD).dropna(subset=["utility"])
    values = rows["value"] * rows["utility"]
    return rows.assign(metric=rows["metric"].map(names), value=values).drop(columns="utility")


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and measured quantity of ``SHOWN``, one column per method."""
    axes = [list(dict.fromkeys(table[axis])) for axis in CELL]
    cells = {
        (*key, row.method): row
        for key, group in table.groupby([*CELL, "metric", "subset"], sort=False)
        for row in group.itertuples()
    }
    measured = set(table[["metric", "subset"]].itertuples(index=False, name=None))
    quantities = [shown for shown in SHOWN if (shown.metric, shown.subset) in measured]
    run = set(table["method"])
    order = [REFERENCE, *(method for method in METHODS if method in run - {REFERENCE})]
    lines = []
    for cell in pd.MultiIndex.from_product(axes):
        for shown in quantities:
            for method in order:
                metric = shown.metric
                if method == REFERENCE and shown.of_retraining:
                    metric = shown.of_retraining
                row = cells.get((*cell, metric, shown.subset, method))
                lines.append((*cell, shown.label, method, _text(row)))
    text = pd.DataFrame(lines, columns=[*CELL, "quantity", "method", "text"])
    return spread(text, [*CELL, "quantity"], "method", order).rename(columns=METHODS)


def _text(row: tuple | None) -> str:
    if row is None:
        return "not run"
    if pd.isna(row.value):
        return NOT_MEASURABLE
    text = "∞" if np.isinf(row.value) else f"{row.value:.3f}"
    if pd.notna(row.low):
        text += f" ± {(row.high - row.low) / 2:.3f}"
    return text


def explain(table: pd.DataFrame, remarks: str) -> str:
    """How to read the formatted table."""
    return (
        f"Of every image, the margins of {count_seeds(table['models'])} of unlearned models beside "
        "those of retrained ones. U-LiRA and RMIA tell an unlearned model from a retrained one: .5 "
        "is no leak; mean over held-out seeds ± half-width of the 95 % t-interval, which covers "
        "less than 95 %, since held-out seeds share what the attack is fitted on (U-LiRA of equal "
        "models, simulated: .81 to .89). RMIA below .5 is a leak as well. KLOM: 0 is equality, in "
        "nats. Forgetting quality: 1 is the best; × utility: times the method's accuracy on D_r "
        "and on test images, each over retraining's and not capped. Retraining against itself is "
        ".5, 0 and 1 by definition; in the lines “halves” its column has the noise floor, one half "
        "of the retrained models against the other, and methods are compared in the same way. "
        f"“{NOT_MEASURABLE}”: fewer images than 1/FPR, or too few seeds. {remarks}"
    )
