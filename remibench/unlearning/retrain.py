"""Naive retraining: the target's training on the retain set alone, from the same initialisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remibench.training import History, fit_classifier
from remibench.unlearning import Images, Passes, UnlearningTask

LABEL = "Retraining"
COLOUR = "#000000"
MARKER = "*"
ORDER = 10


def unlearn(task: UnlearningTask) -> History:
    """Train afresh on the retain set with the target's seed and hyper-parameters."""
    task.model.load_state_dict(task.fresh_model(task.training_seed).state_dict())
    return fit_classifier(
        task.model,
        task.images[task.retain],
        task.labels[task.retain],
        label="retrain",
        seed=task.training_seed,
        progress=task.progress,
        **task.training,
    )


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the target's epochs over the retain set."""
    return Passes(training=training["epochs"] * images.retain)
