"""Fashion-MNIST (Xiao et al. 2017, MIT licence): 70,000 grey 28×28 images in 10 classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from remibench.data import RawDataset
from remibench.data._idx import read_idx
from remibench.errors import RemibenchError

DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # package dataset-fashion-mnist
FILES = {  # number of dimensions, and SHA-256 of the uncompressed content; train part first
    "train-images-idx3-ubyte.gz": (
        3,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte.gz": (
        1,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte.gz": (
        3,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte.gz": (
        1,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
CLASS_NAMES = (
    "t-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
MEAN, STD = (0.1307,), (0.3081,)  # as in ML-Doctor


def load(search_path: Sequence[Path]) -> RawDataset:
    """Read the four original idx files from the first folder that has them, train part first.

    Raises:
        RemibenchError: No folder has the files, or one of them is not the published file.
    """
    folder = find_folder(search_path)
    parts = [read_idx(folder / name, ndim, checksum) for name, (ndim, checksum) in FILES.items()]
    return RawDataset(
        images=np.concatenate(parts[0::2]),
        labels=np.concatenate(parts[1::2]).astype(np.int64),
        class_names=CLASS_NAMES,
        mean=MEAN,
        std=STD,
        sources={name: checksum for name, (_, checksum) in FILES.items()},
        provenance="Fashion-MNIST, all 70,000 images",
        paper_dataset="fmnist",
    )


def find_folder(search_path: Sequence[Path]) -> Path:
    """Return the first folder that holds the four files: as given, its ``fmnist``, or Debian's.

    Raises:
        RemibenchError: No folder has them.
    """
    folders = [*search_path, *(path / "fmnist" for path in search_path), DEBIAN_FOLDER]
    for folder in folders:
        if all((folder / name).is_file() for name in FILES):
            return folder
    raise RemibenchError(
        f"Fashion-MNIST not found: put {', '.join(FILES)} into a folder of `data.search_path`, "
        "or install Debian's package dataset-fashion-mnist; looked in "
        + ", ".join(str(folder) for folder in folders)
    )
