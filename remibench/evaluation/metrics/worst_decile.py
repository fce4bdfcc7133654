"""The tenth of the images that is worst off, where a mean over all hides it."""

from __future__ import annotations

import math

import torch

from remibench.evaluation.metrics import Evaluation, Rows

NAMES = ("{attack}_worst_decile", "confidence_worst_decile")  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield ``<attack>_worst_decile`` and ``confidence_worst_decile`` of every subset.

    The mean P(member), and the mean p(y | x), of the tenth of the subset's images for which it is
    greatest (:func:`worst_decile`).
    """
    label, posteriors = evaluation.features.label, evaluation.features.posteriors
    confidence = (posteriors * label).sum(dim=1)
    for name, scores in {**evaluation.scores, "confidence": confidence}.items():
        for subset, positions in evaluation.subsets.items():
            yield subset, f"{name}_worst_decile", worst_decile(scores[positions])


def worst_decile(scores: torch.Tensor) -> float:
    """Mean of the ⌈n / 10⌉ greatest of n scores (n,): the expected shortfall at level .9.

    The tail mean, not the 90 % quantile that begins the tail: it also tells how bad the worst are
    (Rockafellar & Uryasev 2000; that privacy is the worst-off's, Carlini et al. 2022).
    """
    return scores.topk(math.ceil(len(scores) / 10)).values.double().mean().item()
