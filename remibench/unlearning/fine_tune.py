"""Fine-tuning: the target's training goes on, on the retain set alone (Golatkar et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remibench.training import History, fit_classifier
from remibench.unlearning import Images, Passes, UnlearningTask

if TYPE_CHECKING:
    from remibench.components.bounds import Positive, PositiveFloat

LABEL = "Fine-tuning"
COLOUR = "#90594e"
MARKER = "<"
ORDER = 40
SEARCH = {"learning_rate": [0.001, 0.005, 0.02, 0.05, 0.1], "epochs": [1, 5, 10]}


def unlearn(
    task: UnlearningTask, *, learning_rate: PositiveFloat = 0.02, epochs: Positive = 5
) -> History:
    """Minimise the cross-entropy on D_r with the target's optimiser; defaults as published.

    Args:
        task: The unlearning task.
        learning_rate: Learning rate of SGD; momentum, weight decay and batch size are the target's.
        epochs: Passes over the retain set.
    """
    return fit_classifier(
        task.model,
        task.images[task.retain],
        task.labels[task.retain],
        label="fine_tune",
        seed=task.seed,
        progress=task.progress,
        **{**task.training, "learning_rate": learning_rate, "epochs": epochs},
    )


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the epochs over the retain set."""
    return Passes(training=parameters["epochs"] * images.retain)
