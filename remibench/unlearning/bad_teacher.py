"""Bad teacher: forget images are taught by a random network (Chundawat et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch
from torch.nn import functional

from remibench.seeding import derive_seed
from remibench.training import History, fit, predict
from remibench.unlearning import Images, Passes, UnlearningTask

if TYPE_CHECKING:
    from pydantic import Field

    from remibench.components.bounds import BatchSize, Positive, PositiveFloat

LABEL = "Bad teacher"
COLOUR = "#852159"
MARKER = "X"
ORDER = 70
SEARCH = {"learning_rate": [1e-5, 1e-4, 3e-4, 1e-3, 3e-3], "epochs": [1, 3, 10]}


def unlearn(
    task: UnlearningTask,
    *,
    learning_rate: PositiveFloat = 1e-4,
    epochs: Positive = 1,
    retain_share: Annotated[float, Field(gt=0, le=1)] = 0.3,
    temperature: PositiveFloat = 1.0,
    batch_size: BatchSize = 256,
) -> History:
    """Minimise the mean of KL(teacher ‖ student): on D_f a random network's, else the target's.

    The divergence of an image is a sum over classes; public code divides it by their number.
    Defaults as published.

    Args:
        task: The unlearning task.
        learning_rate: Learning rate of Adam.
        epochs: Passes over the forget set and that share of the retain set.
        retain_share: Share of the retain set, drawn once.
        temperature: Divides the logits of teachers and student.
        batch_size: Images per step.
    """
    precision = task.training["precision"]
    random_network = task.fresh_model(derive_seed(task.seed, "bad teacher")).eval()
    random_network.to(task.images.device)
    generator = torch.Generator().manual_seed(derive_seed(task.seed, "retained"))
    order = torch.randperm(len(task.retain), generator=generator).to(task.retain.device)
    kept = task.retain[order[: max(1, round(retain_share * len(task.retain)))]]
    taught = torch.cat((task.forget, kept))
    bad, _ = predict(random_network, task.images[task.forget], precision)
    good, _ = predict(task.model, task.images[kept], precision)
    lessons = (torch.cat((bad, good)) / temperature).softmax(1)

    def batch_loss(batch: torch.Tensor) -> torch.Tensor:
        student = (task.logits(taught[batch]) / temperature).log_softmax(1)
        return functional.kl_div(student, lessons[batch], reduction="batchmean")

    return fit(
        task.model,
        torch.optim.Adam(task.model.parameters(), lr=learning_rate, fused=True),
        batch_loss,
        len(taught),
        label="bad_teacher",
        epochs=epochs,
        batch_size=batch_size,
        seed=task.seed,
        progress=task.progress,
        capture=True,
    )


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the epochs over the images taught, and the teachers' outputs for them."""
    taught = images.forget + parameters["retain_share"] * images.retain
    return Passes(inference=taught, training=parameters["epochs"] * taught)
