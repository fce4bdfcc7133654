"""One temperature that makes a classifier as confident as it is right (Guo et al. 2017)."""

from __future__ import annotations

import math

import torch

OCTAVES, STEPS = 20, 80  # factors of the logits from 2⁻²⁰ to 2²⁰, and bisections between them


def fit_temperature(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """The temperature T > 0 with the least mean cross-entropy of logits / T.

    With β = 1/T the mean cross-entropy is convex, and its derivative is the mean, over images, of
    Σ_c p_c(β) (z_c − z_y). Bisection of log β finds its zero, in double precision. Logits that are
    f times as large have a temperature that is f times as large.

    Args:
        logits: (N, C) outputs z on images that the classifier was not trained on.
        labels: (N,) int64 true labels y.

    Returns:
        T, between 2⁻²⁰ and 2²⁰; 1 where the logits of no image differ. There is no minimum where
        all images are right: T is then so small that all other posteriors vanish. Nor is there
        where the logits are worse than chance: T is then 2²⁰.
    """
    logits = logits.double()
    behind = logits - logits.gather(1, labels[:, None])
    if not behind.any():
        return 1.0

    def slope(exponent: float) -> float:
        posteriors = (behind * 2.0**exponent).softmax(dim=1)
        return (posteriors * behind).sum().item()

    low, high = -float(OCTAVES), float(OCTAVES)
    for _ in range(STEPS):
        middle = (low + high) / 2
        if slope(middle) < 0:
            low = middle
        else:
            high = middle
    return math.exp2(-(low + high) / 2)
