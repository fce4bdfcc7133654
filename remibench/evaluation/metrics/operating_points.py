"""Success of an attack that hardly ever errs: TPR at 1 % and .1 % FPR (Carlini et al. 2022)."""

from __future__ import annotations

from remibench.evaluation.metrics import Evaluation, Rows
from remibench.evaluation.roc import operating_points

NAMES = ("{attack}_tpr_at_*",)  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield, for every attack, its true-positive rates on ``forget``; negatives are ``test``.

    ``<attack>_tpr_at_1pct`` is the share of forget images above a threshold that at most 1 % of the
    test images exceed, ``…_low`` and ``…_high`` its exact 95 % interval over the drawing of forget
    images (:func:`remibench.evaluation.roc.operating_points`); the same for ``…_at_0.1pct``.
    """
    for name, scores in evaluation.scores.items():
        forget, test = evaluation.seen_and_unseen("forget", scores)
        for suffix, value in operating_points(forget, test):
            yield "forget", f"{name}_{suffix}", value
