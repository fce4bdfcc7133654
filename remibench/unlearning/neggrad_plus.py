"""NegGrad+: descent on the retain set, ascent on the forget set (Kurmanji et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch

from remibench.training import History, fit
from remibench.unlearning import Images, Passes, UnlearningTask, draw, sgd

if TYPE_CHECKING:
    from pydantic import Field

    from remibench.components.bounds import Positive, PositiveFloat

LABEL = "NegGrad+"
COLOUR = "#c87aa6"
MARKER = "p"
ORDER = 50
SEARCH = {"learning_rate": [0.001, 0.003, 0.01, 0.03, 0.1], "alpha": [0.8, 0.95, 0.99]}


def unlearn(
    task: UnlearningTask,
    *,
    learning_rate: PositiveFloat = 0.01,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.95,
    epochs: Positive = 5,
) -> History:
    """Minimise α·L(D_r) − (1 − α)·L(D_f), L being the cross-entropy.

    A step takes a batch of D_r and as many images of D_f, drawn anew. Defaults as published.

    Args:
        task: The unlearning task.
        learning_rate: Learning rate of SGD; momentum, weight decay and batch size are the target's.
        alpha: α, the weight of the retain set.
        epochs: Passes over the retain set.

    Raises:
        DivergedError: The loss, which has no lower bound, is not finite.
    """

    def batch_loss(batch: torch.Tensor) -> torch.Tensor:
        kept, forgotten = task.retain[batch], draw(task.forget, len(batch))
        return alpha * task.loss(kept) - (1 - alpha) * task.loss(forgotten)

    return fit(
        task.model,
        sgd(task, learning_rate),
        batch_loss,
        len(task.retain),
        label="neggrad_plus",
        epochs=epochs,
        batch_size=task.training["batch_size"],
        seed=task.seed,
        progress=task.progress,
        capture=False,  # the forget images of a step are drawn on the CPU
    )


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the epochs over the retain set, with as many forget images."""
    return Passes(training=parameters["epochs"] * 2 * images.retain)
