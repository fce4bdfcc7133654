"""Class-wise forgetting: whole classes, or random images of them.

At forget ratio 1 all training images of the classes are forgotten; a model that is retrained
without them never heard of these classes.
"""

from __future__ import annotations

import numpy as np

from remibench.errors import RemibenchError
from remibench.selections import Images

RESTRICTS = True


def prioritise(images: Images, *, classes: list[str | int]) -> np.ndarray:
    """A random number for each image of the classes, NaN for all others.

    Args:
        images: The images.
        classes: The classes to forget, by name (``sandal``) or number from 0.

    Raises:
        RemibenchError: The dataset has no such class, or no class is named.
    """
    if not classes:
        raise RemibenchError("`forgetting.class.classes` names no class; name at least one")
    numbers = [_number(str(name), images) for name in classes]
    return np.where(np.isin(images.labels, numbers), images.random(), np.nan)


def _number(name: str, images: Images) -> int:
    """The number of a class, from its name or from the number itself."""
    names = list(map(str, images.class_names))
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < len(names):
        return int(name)
    raise RemibenchError(
        f"`forgetting.class.classes`: {images.dataset} has no class {name!r}; its classes are "
        f"{', '.join(f'{number} {each}' for number, each in enumerate(names))}"
    )
