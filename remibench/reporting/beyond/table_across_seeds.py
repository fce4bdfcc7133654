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

import pandas as pd

from remibench.analysis.across_seeds import FLOORS, compare_across_seeds
from remibench.analysis.gaps import REFERENCE
from remibench.analysis.quantities import choose
from remibench.analysis.results import CELL, METHODS, Results, count_seeds, in_order, rows_by
from remibench.analysis.verdicts import NOT_MEASURABLE
from remibench.reporting.render import format_cell, name_absence, spread

TITLE = "Image by image, across seeds"
INPUTS = ("across_seeds",)
SHOWN = choose(
    ("ulira_auc", "forget"),
    ("ulira_accuracy", "forget"),
    ("ulira_tpr_at_1pct", "forget"),
    ("ulira_tpr_at_0.1pct", "forget"),
    ("ulira_auc", "test"),
    ("rmia_auc", "forget"),
    ("rmia_vs_test_auc", "forget"),
    ("klom_halves", "forget"),
    ("klom_halves", "retain"),
    ("klom_halves", "test"),
    ("klom", "forget"),
    ("forgetting_quality_halves", "forget"),
    ("final_score_halves", "forget"),
    ("forgetting_quality", "forget"),
    ("final_score", "forget"),
    ("epsilon_separated", "forget"),
)


def build(results: Results) -> pd.DataFrame:
    """One row per cell, method, subset and metric, see :func:`compare_across_seeds`."""
    return compare_across_seeds(results)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and quantity of ``SHOWN``, one column per method."""
    axes = [list(dict.fromkeys(table[axis])) for axis in CELL]
    cells = rows_by(table, [*CELL, "metric", "subset", "method"])
    measured = set(table["metric"])
    order = [REFERENCE, *in_order(set(table["method"]) - {REFERENCE})]
    lines = []
    for cell in pd.MultiIndex.from_product(axes):
        for shown in SHOWN:
            for method in order:
                metric = shown.metric
                if method == REFERENCE and metric in measured:
                    metric = FLOORS.get(metric, metric)
                row = cells.get((*cell, metric, shown.subset, method))
                lines.append((*cell, shown.label, method, _text(row)))
    text = pd.DataFrame(lines, columns=[*CELL, "quantity", "method", "text"])
    return spread(text, [*CELL, "quantity"], "method", order).rename(columns=METHODS)


def _text(row: tuple | None) -> str:
    if row is None or pd.isna(row.value):
        return name_absence(row)
    return format_cell(row.value, row.low, row.high, float("nan"), 3)


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
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
