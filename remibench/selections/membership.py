"""Of every class, the training images that white-box fingerprinting is surest of (the paper's)."""

from __future__ import annotations

import numpy as np

from remibench.selections import Images

USES = ("membership",)


def prioritise(images: Images) -> np.ndarray:
    """The probability of membership that MF gives to each image; every seed has its own."""
    return images.membership
