"""Selective synaptic dampening (SSD) of weights that matter to the forget set (Foster et al. 2024).

The importance of a weight is the mean over images of its squared per-sample gradient; public code
squares means over batches.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from remibench.per_sample import second_moments
from remibench.training import History
from remibench.unlearning import Images, Passes, UnlearningTask

if TYPE_CHECKING:
    from remibench.components.bounds import PositiveFloat

LABEL = "SSD"
COLOUR = "#c8bc6f"
MARKER = "d"
ORDER = 100
SEARCH = {"alpha": [1.0, 1.2, 1.5, 3.0, 10.0], "dampening": [0.1, 0.5, 1.0]}


def unlearn(
    task: UnlearningTask, *, alpha: PositiveFloat = 10.0, dampening: PositiveFloat = 1.0
) -> History:
    """Dampen weights where F_f > α·F_D: w ← w · min(λ·F_D / F_f, 1). Nothing is trained.

    F_f and F_D are the means of (∂ log p(y_n | x_n) / ∂w)² over the forget set and over the whole
    training set. Defaults as published.

    Args:
        task: The unlearning task.
        alpha: α, how much more a weight must matter to the forget set.
        dampening: λ, dampens the weights that do.
    """
    started = time.perf_counter()
    sums = [
        second_moments(task.model, task.images[positions], task.labels[positions])
        for positions in (task.forget, task.retain)
    ]
    counts = len(task.forget), len(task.forget) + len(task.retain)
    with torch.no_grad():
        for name, weight in task.model.named_parameters():
            if not weight.requires_grad:  # frozen: it learned nothing of the images
                continue
            forget = sums[0][name] / counts[0]
            training = (sums[0][name] + sums[1][name]) / counts[1]
            factor = (dampening * training / forget).clamp(max=1)
            weight.copy_(torch.where(forget > alpha * training, weight * factor, weight))
    return [{"epoch": 1, "seconds": time.perf_counter() - started}]


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count one pass over the training set, with gradients of single images."""
    return Passes(training=images.forget + images.retain, precision="fp32")
