"""Fashion-MNIST (Xiao et al. 2017, MIT licence): 70,000 grey 28×28 images in 10 classes."""

from pathlib import Path

import numpy as np

from remibench.data import DatasetInfo, LoadOptions, RawDataset
from remibench.data._files import download, find
from remibench.data._idx import read_idx

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
LABEL = "Fashion-MNIST"
INFO = DatasetInfo(
    title="Fashion-MNIST",
    images=70_000,
    class_names=(
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
    ),
    mean=(0.1307,),
    std=(0.3081,),
    paper_dataset="fmnist",
)


def load(options: LoadOptions) -> RawDataset:
    """Read the four original idx files, train part first.

    They are looked for in the search path, then in the folder of Debian's package
    ``dataset-fashion-mnist``, and otherwise downloaded into ``fmnist`` of the search path.

    Raises:
        RemibenchError: They cannot be had, or one of them is not the published file.
    """
    folder = find(FILES, "fmnist", [*options.search_path, DEBIAN_FOLDER])
    if folder is None:
        from torchvision.datasets import FashionMNIST

        folder = options.search_path[0] / "fmnist"
        for name, md5 in FashionMNIST.resources:
            download(FashionMNIST.mirrors[0] + name, md5, folder / name, INFO.title)
    parts, sources = [], {}
    for name, (ndim, checksum) in FILES.items():
        content, sources[name] = read_idx(
            folder / name, ndim, checksum if options.published_only else None
        )
        parts.append(content)
    return RawDataset(
        info=INFO,
        images=np.concatenate(parts[0::2]),
        labels=np.concatenate(parts[1::2]).astype(np.int64),
        sources=sources,
        published=all(sources[name] == checksum for name, (_, checksum) in FILES.items()),
    )
