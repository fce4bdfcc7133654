"""Metrics, one family per module: ``measure(evaluation) -> rows of (subset, metric, value)``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from remibench.attacks.features import MembershipFeatures
from remibench.models import Classifier

Rows = Iterable[tuple[str, str, float]]


@dataclass(frozen=True)
class Evaluation:
    """One unlearned model and all that is measured on it.

    Attributes:
        model: The unlearned model (for ``original``: the target) in evaluation mode.
        images: (N, C, S, S) uint8: the training set, then the test role.
        labels: (N,) int64.
        subsets: Positions in ``images`` of ``forget``, ``retain`` and ``test``.
        features: Attack features of all N images under the model.
        scores: Membership probabilities (N,) of every attack, by name (``mia_whitebox`` …).
        cost: What unlearning took: ``seconds``, ``seconds_attack_loss``, ``epochs``.
    """

    model: Classifier
    images: torch.Tensor
    labels: torch.Tensor
    subsets: Mapping[str, torch.Tensor]
    features: MembershipFeatures
    scores: Mapping[str, torch.Tensor]
    cost: Mapping[str, Any]
