"""Metrics, one family per module: ``measure(evaluation) -> rows of (subset, metric, value)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from numbers import Real
from typing import Any

import torch

from remibench.attacks.features import MembershipFeatures
from remibench.components.plugins import broken
from remibench.models import Classifier

Rows = Iterable[tuple[str, str, float]]


@dataclass(frozen=True)
class Evaluation:
    """One unlearned model and all that is measured on it.

    Attributes:
        model: The unlearned model (for ``original``: the target) in evaluation mode.
        images: (N, C, S, S) uint8: the training set, then the test role.
        labels: (N,) int64.
        subsets: Positions in ``images`` of ``forget``, ``retain`` and ``test``; where a kind of
            image is forgotten (a class, a subgroup), also of the two parts of ``test``:
            ``test_forget``, unseen images of that kind, and ``test_retain``, all others.
        features: Attack features of all N images under the model.
        scores: Membership probabilities (N,) of every attack, by name (``mia_whitebox`` …).
        cost: Cost of unlearning: ``seconds``, ``seconds_attack_loss``, ``epochs``.
        before: Attack features of all N images under the target model, before unlearning; computed
            when a metric first asks for them.
        training: The target's training: ``learning_rate``, ``momentum``, ``weight_decay``,
            ``batch_size``, ``precision``.
        seed: Seed of a metric's random numbers; the same for all methods.
        calibration: Record of the calibrated attacker (:mod:`remibench.evaluation.adversaries`).
        published: The paper's white-box MIA rate on ``forget`` after ReMI, or None.
    """

    model: Classifier
    images: torch.Tensor
    labels: torch.Tensor
    subsets: Mapping[str, torch.Tensor]
    features: MembershipFeatures
    scores: Mapping[str, torch.Tensor]
    cost: Mapping[str, Any]
    before: Callable[[], MembershipFeatures]
    training: Mapping[str, Any]
    seed: int
    calibration: Mapping[str, float] = field(default_factory=dict)
    published: float | None = None

    def unseen(self, subset: str) -> torch.Tensor:
        """Positions of the test images that are of the same kinds as those of a subset.

        What tells the images of ``forget`` or ``retain`` from these tells members from non-members.
        Where a class is forgotten, to tell them from all test images is to tell classes apart.
        """
        return self.subsets.get(f"test_{subset}", self.subsets["test"])


def measure(metric: str, evaluation: Evaluation) -> list[tuple[str, str, float]]:
    """The rows of the metric of that name.

    Raises:
        RemibenchError: It returned no rows, or one is no (subset, metric, number); names the
            metric's file.
    """
    name = f"remibench.evaluation.metrics.{metric}"
    measured, rows = import_module(name).measure(evaluation), []
    if not isinstance(measured, Iterable):
        raise broken(
            name, f"`measure` returned {measured!r:.80}; it yields (subset, metric, number)"
        )
    for row in measured:
        match row:
            case (str(), str(), Real()) if row[0] in (*evaluation.subsets, ""):
                rows.append(row)
            case _:
                raise broken(
                    name,
                    f"`measure` yielded {row!r:.80}; it yields (subset, metric, number), the "
                    f'subset one of {", ".join(evaluation.subsets)} and ""',
                )
    return rows
