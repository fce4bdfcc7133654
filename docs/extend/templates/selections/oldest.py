"""Of every class, the images that came first: deletion requests of the earliest customers."""

from __future__ import annotations

import numpy as np

from remibench.selections import Images


def prioritise(images: Images, *, newest: bool = False) -> np.ndarray:
    """The larger, the earlier in the dataset's own order.

    Args:
        images: The images.
        newest: Forget those that came last instead.
    """
    return images.positions if newest else -images.positions
