"""Of every class, random training images, the same for all seeds and architectures."""

from __future__ import annotations

import numpy as np

from remibench.selections import Images


def prioritise(images: Images) -> np.ndarray:
    """A random number for each image."""
    return images.random()
