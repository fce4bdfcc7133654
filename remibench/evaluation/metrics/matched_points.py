"""True-positive rates on D_f at a false-positive rate on test images that all models share."""

from __future__ import annotations

from fractions import Fraction

from remibench.evaluation.metrics import Evaluation, Rows
from remibench.evaluation.roc import operating_points

NAMES = ("{attack}_tpr_at_*", "paper_rate")  # of its rows

RATES = {"5pct": Fraction(1, 20), "10pct": Fraction(1, 10)}  # false-positive rates


def measure(evaluation: Evaluation) -> Rows:
    """Yield true-positive rates of every attack on ``forget`` at matched false-positive rates.

    The rate at probability .5 (``membership``) also falls where an attack calls fewer images of any
    kind members. Here the threshold is set for each model, so that the same share of its ``test``
    images exceeds it: 5 %, 10 %, and the rate that the paper reports of D_f after ReMI
    (``<attack>_tpr_at_paper``), where it has one for the cell: ``paper_rate``. Intervals as in
    ``operating_points``.
    """
    rates = dict(RATES)
    if evaluation.published is not None:
        rates["paper"] = Fraction(str(evaluation.published))
        yield "", "paper_rate", evaluation.published
    for name, scores in evaluation.scores.items():
        forget, test = evaluation.seen_and_unseen("forget", scores)
        for suffix, value in operating_points(forget, test, rates):
            yield "forget", f"{name}_{suffix}", value
