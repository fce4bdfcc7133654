"""4,000 real, class-balanced Fashion-MNIST images that come with the repository."""

from dataclasses import replace

import numpy as np

from remibench.artifacts.shipped import shipped
from remibench.data import LoadOptions, RawDataset, fmnist
from remibench.data._idx import read_idx

FOLDER = shipped("data", "embedded")
FILES = {  # number of dimensions, and SHA-256 of the uncompressed content
    "fmnist4000-images-idx3-ubyte.gz": (
        3,
        "79d623aea6e7cb0a26f39b67b8f6ab9a128a528d86fb83ae6a2dadd855d235f7",
    ),
    "fmnist4000-labels-idx1-ubyte.gz": (
        1,
        "772372ea466aaed0dd35563ab81842183d895343685c455be5aa62268fc52044",
    ),
}
LABEL = "Fashion-MNIST (4,000 images)"
INFO = replace(fmnist.INFO, title="Fashion-MNIST, embedded subset", images=4_000)


def load(options: LoadOptions) -> RawDataset:
    """Read the embedded subset (400 images of each class); ``options`` play no part."""
    images, labels = (
        read_idx(FOLDER / name, ndim, checksum)[0] for name, (ndim, checksum) in FILES.items()
    )
    return RawDataset(
        info=INFO,
        images=images,
        labels=labels.astype(np.int64),
        sources={name: checksum for name, (_, checksum) in FILES.items()},
    )
