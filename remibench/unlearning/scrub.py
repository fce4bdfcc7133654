"""SCRUB: away from the teacher on the forget set, towards it elsewhere (Kurmanji et al. 2023)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch.nn import functional

from remibench.errors import DivergedError
from remibench.training import History, epoch_randomness, equal_batches, predict
from remibench.unlearning import Images, Passes, UnlearningTask, sgd, shuffled

if TYPE_CHECKING:
    from pydantic import Field

    from remibench.components.bounds import BatchSize, Positive, PositiveFloat

LABEL = "SCRUB"
COLOUR = "#6f21f4"
MARKER = "h"
ORDER = 80
SEARCH = {"learning_rate": [1e-4, 5e-4, 2e-3, 5e-3, 2e-2], "max_steps": [1, 2, 3]}

logger = logging.getLogger("remibench")


def unlearn(
    task: UnlearningTask,
    *,
    learning_rate: PositiveFloat = 5e-4,
    alpha: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.001,
    gamma: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.99,
    temperature: PositiveFloat = 4.0,
    max_steps: Positive = 2,
    epochs: Positive = 3,
    batch_size: BatchSize = 64,
) -> History:
    """Alternate passes: maximise KL(teacher ‖ student) on D_f; minimise γ·L + α·KL on D_r.

    L is the cross-entropy. The divergence is that of softened outputs times the temperature
    squared, as in the authors' code; the teacher is the target and is not changed. Of their two
    published settings the defaults are the one for large data, but for its batches (of 128 and 32
    images); rewinding (SCRUB+R) is not built.

    Args:
        task: The unlearning task.
        learning_rate: Learning rate of SGD; momentum and weight decay are the target's.
        alpha: α, the weight of the divergence on D_r.
        gamma: γ, the weight of the cross-entropy on D_r.
        temperature: Divides the logits in the divergence.
        max_steps: Epochs that begin with a pass over D_f; later ones are passes over D_r alone.
        epochs: Passes over D_r.
        batch_size: Images per step, on either set.

    Returns:
        One record per epoch: ``loss`` (mean over the steps on D_r), ``divergence_forget`` (the
        same on D_f, where there was such a pass), ``seconds``.

    Raises:
        DivergedError: A loss is not finite.
    """
    device = task.images.device
    positions = torch.cat((task.forget, task.retain))
    taught, _ = predict(task.model, task.images[positions], task.training["precision"])
    teacher = taught.new_zeros(len(task.images), taught.shape[1])
    teacher[positions] = taught
    optimizer = sgd(task, learning_rate)

    def divergence(logits: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        student = (logits / temperature).log_softmax(1)
        target = (teacher[batch] / temperature).softmax(1)
        return functional.kl_div(student, target, reduction="batchmean") * temperature**2

    def away(batch: torch.Tensor) -> torch.Tensor:
        return -divergence(task.logits(batch), batch)

    def back(batch: torch.Tensor) -> torch.Tensor:
        logits = task.logits(batch)
        loss = functional.cross_entropy(logits, task.labels[batch])
        return gamma * loss + alpha * divergence(logits, batch)

    def descend(batch_loss, images: torch.Tensor) -> float:
        batches = shuffled(images).tensor_split(equal_batches(len(images), batch_size))
        total = torch.zeros((), device=device)
        for batch in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = batch_loss(batch)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total.item() / len(batches)

    history = task.progress.restore(task.model, optimizer) if task.progress else []
    for epoch in range(len(history) + 1, epochs + 1):
        started, record = time.perf_counter(), {"epoch": epoch}
        task.model.train()
        with epoch_randomness(task.seed, epoch, device):
            if epoch <= max_steps:
                record["divergence_forget"] = -descend(away, task.forget)
            record["loss"] = descend(back, task.retain)
        if not all(map(math.isfinite, record.values())):
            raise DivergedError(
                f"scrub: the loss became {record['loss']} in epoch {epoch} at learning rate "
                f"{learning_rate}; lower the learning rate"
            )
        history.append({**record, "seconds": time.perf_counter() - started})
        logger.info("scrub: epoch %d of %d, loss %.6f", epoch, epochs, record["loss"])
        if task.progress:
            task.progress.save(task.model, optimizer, history)
    task.model.eval()
    return history


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the passes over either set, and the teacher's outputs for both."""
    away = min(parameters["epochs"], parameters["max_steps"]) * images.forget
    back = parameters["epochs"] * images.retain
    return Passes(inference=images.forget + images.retain, training=away + back)
