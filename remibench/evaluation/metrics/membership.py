"""Judgements of membership models on an unlearned model."""

import torch

from remibench.evaluation.metrics import Evaluation, Rows
from remibench.evaluation.roc import area_under_roc

NAMES = (
    "{attack}_rate",
    "{attack}_auc",
    "calibration_temperature",
    "calibration_factor",
)  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield, for every attack, its member rate on each subset and its AUC, forget against test.

    ``mia_whitebox_rate`` on ``forget`` is the paper's "MIA accuracy" (Table IV): the share of
    forget images predicted to be members, at probability .5. On ``test`` it is the rate of false
    positives. ``calibrated_…`` are the rows of the attacker who first brings the model to its
    shadow model's confidence, with ``calibration_temperature`` and ``calibration_factor`` of the
    model (:mod:`remibench.evaluation.adversaries`).
    """
    for name, value in evaluation.calibration.items():
        yield "", name, value
    for name, scores in evaluation.scores.items():
        members = (scores > 0.5).float()
        for subset, positions in evaluation.subsets.items():
            yield subset, f"{name}_rate", members[positions].mean().item()
        forget, test = evaluation.seen_and_unseen("forget", scores)
        yield "forget", f"{name}_auc", area_under_roc(forget, test)


def attack_quality(members: torch.Tensor, nonmembers: torch.Tensor) -> dict[str, float]:
    """Quality of an attack, from its membership probabilities of members and non-members.

    Returns:
        ``accuracy`` (balanced: the mean of true-positive and true-negative rate, so that unequal
        populations do not matter), ``tpr``, ``fpr`` at probability .5, ``auc``, and the sizes.
    """
    tpr, fpr = ((scores > 0.5).float().mean().item() for scores in (members, nonmembers))
    return {
        "accuracy": (tpr + 1 - fpr) / 2,
        "auc": area_under_roc(members.cpu().numpy(), nonmembers.cpu().numpy()),
        "fpr": fpr,
        "members": len(members),
        "nonmembers": len(nonmembers),
        "tpr": tpr,
    }
