"""Retraining of the last layer alone, on the retain set (EU-k with k = 1, Goel et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from remibench.components.bounds import Positive, PositiveFloat
from remibench.seeding import derive_seed
from remibench.training import History, fit, predict
from remibench.unlearning import Images, Passes, UnlearningTask

LABEL = "Last layer"  # in tables and figures; without it, the file's name
COLOUR = "#c2b280"  # in figures; without it, one made of the name


# After the star: its section of the config, `unlearning: {head_retrain: {epochs: 5}}`.
def unlearn(
    task: UnlearningTask, *, epochs: Positive = 10, learning_rate: PositiveFloat = 1e-2
) -> History:
    """Forget the last layer, and fit a new one to the features of the retain set.

    The backbone stays as it is: what it has learned of the forget set remains.

    Args:
        task: The unlearning task.
        epochs: Passes over the retain set.
        learning_rate: Learning rate of SGD with momentum .9.
    """
    head = task.model.head
    with torch.random.fork_rng(devices=[]):  # the global generator is left alone
        torch.manual_seed(derive_seed(task.seed, "initialisation"))
        head.load_state_dict(nn.Linear(head.in_features, head.out_features).state_dict())
    precision = task.training["precision"]
    hidden = predict(task.model, task.images[task.retain], precision)[1]
    labels = task.labels[task.retain]

    def batch_loss(batch: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(head(hidden[batch]), labels[batch])

    return fit(
        head,
        torch.optim.SGD(head.parameters(), lr=learning_rate, momentum=0.9),
        batch_loss,
        len(labels),
        label="head_retrain",
        epochs=epochs,
        batch_size=task.training["batch_size"],
        seed=task.seed,
        progress=task.progress,
    )


# For `make plan`; without it, the method is taken to train the whole model for its `epochs`.
def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count one pass over the retain set; the last layer's training next to it is nothing."""
    return Passes(inference=images.retain)
