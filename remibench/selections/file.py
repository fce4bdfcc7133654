"""Images that a file lists: npy, or text with one number a line.

At forget ratio 1 all of them are forgotten, at a smaller one the first of every class, in the order
of the file.
"""

from __future__ import annotations

import numpy as np

from remibench.data.forget_sets import read_positions
from remibench.errors import RemibenchError
from remibench.selections import Images

RESTRICTS = True


def prioritise(images: Images, *, path: str) -> np.ndarray:
    """The reverse of the place in the list of each image that is listed, NaN for all others.

    Args:
        images: The images.
        path: The file: positions in the prepared dataset, from 0, in the order of its reader (the
            published train part before the test part). All have to be training images of the
            target, role ``target_train`` of ``data/<dataset>/splits.npz``.

    Raises:
        RemibenchError: The file cannot be read, or lists an image twice, or one that the target
            is not trained on.
    """
    listed = read_positions(path)
    foreign = listed[~np.isin(listed, images.positions)]
    if len(foreign):
        raise RemibenchError(
            f"{path}: {len(foreign)} of the {len(listed)} listed images (the first: {foreign[0]}) "
            f"are no training images of the target on {images.dataset}, which cannot forget them; "
            f"list some of the {len(images.positions)} positions that `target_train` of its "
            "splits.npz has"
        )
    priorities = np.full(len(images.labels), np.nan)
    priorities[np.searchsorted(images.positions, listed)] = -np.arange(len(listed))
    return priorities
