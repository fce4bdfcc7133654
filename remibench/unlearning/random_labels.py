"""Random labels (amnesiac relabelling, Graves et al. 2021): forget images get wrong labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from remibench.training import History
from remibench.unlearning import Images, Passes, UnlearningTask, learn_wrong_labels

if TYPE_CHECKING:
    from remibench.components.bounds import Positive, PositiveFloat

LABEL = "Random labels"
COLOUR = "#9b9b4e"
MARKER = "P"
ORDER = 60
SEARCH = {"learning_rate": [1e-5, 1e-4, 3e-4, 1e-3, 3e-3], "epochs": [1, 3, 10]}


def unlearn(
    task: UnlearningTask, *, learning_rate: PositiveFloat = 1e-4, epochs: Positive = 3
) -> History:
    """Minimise the cross-entropy on D_r and on D_f with wrong labels, drawn once.

    Defaults as published.

    Args:
        task: The unlearning task.
        learning_rate: Learning rate of Adam.
        epochs: Passes over forget and retain set, in batches of the target's size.
    """
    optimizer = torch.optim.Adam(task.model.parameters(), lr=learning_rate, fused=True)
    return learn_wrong_labels(task, optimizer, label="random_labels", epochs=epochs)


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the epochs over forget and retain set."""
    return Passes(training=parameters["epochs"] * (images.forget + images.retain))
