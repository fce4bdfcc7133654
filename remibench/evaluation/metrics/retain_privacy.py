"""Exposure of retained images by unlearning: membership inference of D_r."""

from __future__ import annotations

from remibench.evaluation.metrics import Evaluation, Rows
from remibench.evaluation.roc import area_under_roc, operating_points

NAMES = ("{attack}_auc", "{attack}_advantage", "{attack}_tpr_at_*")  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield, for every attack, AUC, advantage and operating points on ``retain`` against ``test``.

    ``<attack>_advantage`` is TPR − FPR at probability .5 (Yeom et al. 2018), in [−1, 1]. The rates
    themselves are ``<attack>_rate`` of ``membership``; before unlearning is the method
    ``original``. To forget some images can expose others (Carlini et al. 2022, "onion effect").
    """
    for name, scores in evaluation.scores.items():
        retain, test = evaluation.seen_and_unseen("retain", scores)
        yield "retain", f"{name}_auc", area_under_roc(retain, test)
        yield "retain", f"{name}_advantage", float((retain > 0.5).mean() - (test > 0.5).mean())
        for suffix, value in operating_points(retain, test):
            yield "retain", f"{name}_{suffix}", value
