"""An adversary with the model before *and* after: what the difference of the two gives away."""

from __future__ import annotations

import torch

from remibench.attacks.features import MembershipFeatures
from remibench.evaluation.metrics import Evaluation, Rows
from remibench.evaluation.roc import area_under_roc, operating_points

NAMES = ("two_models_*",)  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield AUC and operating points of two scores on ``forget``, against ``test`` and ``retain``.

    ``two_models_distance_vs_test_auc`` …: the scores are :func:`distance` and
    :func:`confidence_drop`. Those against ``retain`` ask which training images were unlearned;
    where a whole kind of image was (a class), to tell the kinds apart is no leak: they are NaN.
    """
    before, after = evaluation.before(), evaluation.features
    for name, score in {"distance": distance, "confidence": confidence_drop}.items():
        scores = score(before, after)
        forget = scores[evaluation.subsets["forget"]].cpu().numpy()
        opponents = {"test": evaluation.unseen("forget"), "retain": evaluation.subsets["retain"]}
        for others, positions in opponents.items():
            negatives = scores[positions].cpu().numpy()
            if others == "retain" and "test_forget" in evaluation.subsets:
                negatives = negatives[:0]
            attack = f"two_models_{name}_vs_{others}"
            yield "forget", f"{attack}_auc", area_under_roc(forget, negatives)
            for suffix, value in operating_points(forget, negatives):
                yield "forget", f"{attack}_{suffix}", value


def distance(before: MembershipFeatures, after: MembershipFeatures) -> torch.Tensor:
    """Euclidean distance (N,) of the posteriors before and after; it needs no labels.

    One of the constructions by which Chen et al. 2021 ("When Machine Unlearning Jeopardizes
    Privacy") join the outputs of the two models. They fit a classifier on it with shadow models; it
    is a number, and as a score it needs none.
    """
    return (before.posteriors - after.posteriors).norm(dim=1)


def confidence_drop(before: MembershipFeatures, after: MembershipFeatures) -> torch.Tensor:
    """p(y | x) before − after (N,): signed, with the label; high where it fell."""
    return ((before.posteriors - after.posteriors) * before.label).sum(dim=1)
