"""SalUn: random labels, learnt by the forget set's salient weights alone (Fan et al. 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import torch

from remibench.training import History
from remibench.unlearning import Images, Passes, UnlearningTask, learn_wrong_labels, sgd

if TYPE_CHECKING:
    from pydantic import Field

    from remibench.components.bounds import Positive, PositiveFloat

LABEL = "SalUn"
COLOUR = "#37a67a"
MARKER = "8"
ORDER = 90
SEARCH = {"learning_rate": [0.001, 0.005, 0.013, 0.03, 0.1], "share": [0.1, 0.5, 0.9]}


def unlearn(
    task: UnlearningTask,
    *,
    learning_rate: PositiveFloat = 0.013,
    epochs: Positive = 10,
    share: Annotated[float, Field(gt=0, le=1)] = 0.5,
) -> History:
    """Minimise the cross-entropy on D_r and on D_f with wrong labels, within the saliency mask.

    Weights outside the mask keep their values to the bit: neither weight decay nor momentum
    reaches them. Defaults as published.

    Args:
        task: The unlearning task.
        learning_rate: Learning rate of SGD; momentum, weight decay and batch size are the target's.
        epochs: Passes over forget and retain set.
        share: Share of the weights that may change: those in the mask.
    """
    masks = saliency_mask(task, share)
    before = [weight.detach().clone() for weight in trained(task)]
    optimizer = sgd(task, learning_rate)

    @torch.no_grad()
    def restore(*_: object) -> None:
        for weight, mask, old in zip(trained(task), masks, before, strict=True):
            weight.copy_(torch.where(mask, weight, old))

    optimizer.register_step_post_hook(restore)
    return learn_wrong_labels(task, optimizer, label="salun", epochs=epochs)


def trained(task: UnlearningTask) -> list[torch.Tensor]:
    """The parameters that are trained: all but frozen ones, which a user's model may have."""
    return [weight for weight in task.model.parameters() if weight.requires_grad]


def saliency_mask(task: UnlearningTask, share: float) -> list[torch.Tensor]:
    """Mask of the weights with the largest absolute gradients of the mean cross-entropy on D_f.

    Args:
        task: The unlearning task, its model being the target.
        share: Share of all weights of the model together, rounded up to a whole number of them. Of
            equal gradients at the threshold (with a large share, zeros) the first in the order of
            the parameters are in the mask, as many as are missing.

    Returns:
        A bool tensor of the shape of each of the model's parameters that are trained.
    """
    weights = trained(task)
    totals = [torch.zeros_like(weight) for weight in weights]
    for batch in task.forget.split(256):
        loss = task.loss(batch) * len(batch)
        for total, gradient in zip(totals, torch.autograd.grad(loss, weights), strict=True):
            total += gradient
    sizes = torch.cat([total.abs().flatten() for total in totals])
    count = max(1, -int(-share * len(sizes) // 1))
    threshold = sizes.kthvalue(len(sizes) - count + 1).values
    chosen = sizes > threshold
    ties = (sizes == threshold).nonzero()[:, 0]
    chosen[ties[: count - int(chosen.sum())]] = True
    parts = chosen.split([total.numel() for total in totals])
    return [part.view_as(total) for part, total in zip(parts, totals, strict=True)]


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count the epochs over forget and retain set, and the mask's pass over the forget set."""
    epochs = parameters["epochs"]
    return Passes(training=images.forget + epochs * (images.forget + images.retain))
