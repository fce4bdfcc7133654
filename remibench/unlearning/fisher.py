"""Fisher forgetting (Golatkar et al. 2020) as varied by Becker & Liebig 2022, the paper's baseline.

Differences from the reference code, which is in error: the label is the sample's own and not always
class 0, and the larger noise goes to the whole last layer and not to its bias alone.
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

LABEL = "Fisher"
COLOUR = "#e99b00"
MARKER = "s"
ORDER = 20
SEARCH = {"alpha": [3e-8, 3e-6, 3e-4], "max_std": [0.001, 0.005, 0.01, 0.02, 0.05]}


def unlearn(
    task: UnlearningTask,
    *,
    alpha: PositiveFloat = 3e-6,
    max_std: PositiveFloat = 1e-3,
    last_layer_factor: PositiveFloat = 10.0,
) -> History:
    """Add noise to every weight that is trained: w ← w + min(√(α/F), max_std) · n, n ~ N(0, 1).

    F = Σ_{n ∈ retain set} (∂ log p(y_n | x_n) / ∂w)²; the noise of the last layer is multiplied.

    Args:
        task: The unlearning task.
        alpha: Scale α of the noise's variance.
        max_std: Greatest standard deviation, before the last layer's factor.
        last_layer_factor: Multiplies the noise of the last linear layer.
    """
    started = time.perf_counter()
    fisher = second_moments(task.model, task.images[task.retain], task.labels[task.retain])
    generator = torch.Generator().manual_seed(task.seed)
    last_layer = set(task.model.head.parameters())
    with torch.no_grad():
        for name, weight in task.model.named_parameters():
            if not weight.requires_grad:  # frozen: it learned nothing of the images
                continue
            std = (alpha / fisher[name]).sqrt().clamp(max=max_std)
            if weight in last_layer:
                std *= last_layer_factor
            noise = torch.randn(weight.shape, generator=generator).to(weight.device)
            weight += std * noise
    return [{"epoch": 1, "seconds": time.perf_counter() - started}]


def passes(images: Images, parameters: Mapping[str, Any], training: Mapping[str, Any]) -> Passes:
    """Count one pass over the retain set, with gradients of single images."""
    return Passes(training=images.retain, precision="fp32")
