"""Metrics, one family per module: ``measure(evaluation) -> rows of (subset, metric, value)``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np
import torch

from remibench.attacks.features import MembershipFeatures
from remibench.components.guards import check_rows, guarded, is_plugin
from remibench.components.plugins import broken
from remibench.components.registry import metric_owner, plugin_components
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

    def seen_and_unseen(self, subset: str, scores: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The scores of a subset's images, and those of its unseen ones, of the scores (N,)."""
        places = (self.subsets[subset], self.unseen(subset))
        seen, unseen = (scores[positions].cpu().numpy() for positions in places)
        return seen, unseen


def measure(metric: str, evaluation: Evaluation) -> list[tuple[str, str, float]]:
    """The rows of the metric of that name.

    Raises:
        RemibenchError: It returned no rows, or one is no (subset, metric, number), or has a name
            that is another metric's; or a plug-in changed what is measured; names the metric's
            file.
    """
    name = f"remibench.evaluation.metrics.{metric}"
    plugin = is_plugin(name)
    with guarded(
        name,
        "measure",
        unchanged=_measured(evaluation) if plugin else None,
        evaluating=evaluation.model,
    ):
        measured = import_module(name).measure(evaluation)
        rows = check_rows(name, measured, evaluation.subsets)
    for _, row, _ in rows if plugin else ():
        if owner := metric_owner(row):
            raise broken(
                name,
                f"`measure` yielded {row!r}, which is a name of the metric {owner}: they would be "
                "averaged; rename it",
            )
    return rows


def measure_all(metrics: Sequence[str], evaluation: Evaluation) -> list[tuple[str, str, float]]:
    """The rows of several metrics, no two of the same quantity.

    Raises:
        RemibenchError: As :func:`measure`; or two metrics yielded the same quantity: names the
            plug-in that has the other's name.
    """
    rows, owners = [], {}
    for metric in sorted(metrics, key=lambda each: each in plugin_components("metrics")):
        for row in measure(metric, evaluation):
            if (other := owners.setdefault(row[:2], metric)) != metric:
                raise broken(
                    f"remibench.evaluation.metrics.{metric}",
                    f"`measure` yielded {row[1]!r} of {row[0] or 'no subset'}, as the metric "
                    f"{other} does: they would be averaged; rename it",
                )
            rows.append((metric, row))
    return [row for metric in metrics for owner, row in rows if owner == metric]


def _measured(evaluation: Evaluation) -> dict[str, torch.Tensor]:
    """What a metric measures and leaves alone, by the names that its author knows."""
    features, model = evaluation.features, evaluation.model
    named = {
        "evaluation.images": evaluation.images,
        "evaluation.labels": evaluation.labels,
        **{f"evaluation.subsets[{name!r}]": at for name, at in evaluation.subsets.items()},
        **{f"evaluation.scores[{name!r}]": each for name, each in evaluation.scores.items()},
    }
    if features is not None:
        named |= {f"evaluation.features.{k}": each for k, each in features._asdict().items()}
    if model is not None:
        named |= {f"evaluation.model ({k})": each for k, each in model.state_dict().items()}
    return {name: each for name, each in named.items() if each is not None}
