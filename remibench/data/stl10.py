"""STL-10 (Coates et al. 2011): 13,000 labelled colour 96×96 images in 10 classes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from remibench.data import DatasetInfo, LoadOptions, RawDataset
from remibench.data._files import download, find, unpack, verify
from remibench.errors import RemibenchError

LABEL = "STL-10"
INFO = DatasetInfo(
    title="STL-10",
    images=13_000,
    class_names=(
        "airplane",
        "bird",
        "car",
        "cat",
        "deer",
        "dog",
        "horse",
        "monkey",
        "ship",
        "truck",
    ),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    paper_dataset="stl10",
)
ARCHIVE, ARCHIVE_MD5 = "stl10_binary.tar.gz", "91f7769df0f17e558f3565bffb0c7dfb"
FOLDER = "stl10_binary"
FILES = {  # MD5 as published; train part first; the unlabelled images are not used
    "train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "train_y.bin": "5a34089d4802c674881badbb80307741",
    "test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}
PIXELS = 3 * 96 * 96


def load(options: LoadOptions) -> RawDataset:
    """Read the labelled images, train part first, one at a time.

    The folder ``stl10_binary`` is looked for, then the archive, of which the four files are
    unpacked; otherwise the archive is downloaded into ``stl10`` of the search path.

    Raises:
        RemibenchError: The dataset cannot be had, is not the published one, or is damaged.
    """
    names = [f"{FOLDER}/{name}" for name in FILES]
    folder = find(names, "stl10", options.search_path) or _unpacked(options)
    paths = {name: folder / FOLDER / name for name in FILES}
    digests = {
        name: verify(paths[name], md5, options.published_only) for name, md5 in FILES.items()
    }
    for part in ("train", "test"):
        size, count = (paths[f"{part}_{axis}.bin"].stat().st_size for axis in "Xy")
        if size != count * PIXELS:
            raise RemibenchError(
                f"{paths[f'{part}_X.bin']}: {size} bytes, but {part}_y.bin has {count} "
                f"labels, so that {count * PIXELS} are expected; fetch both again"
            )
    labels = [np.fromfile(paths[f"{part}_y.bin"], np.uint8) for part in ("train", "test")]
    return RawDataset(
        info=INFO,
        images=_stream(paths["train_X.bin"], paths["test_X.bin"]),
        labels=np.concatenate(labels).astype(np.int64) - 1,  # labels are 1 … 10 in the files
        sources={name: f"md5:{md5}" for name, md5 in digests.items()},
        published=digests == FILES,
    )


def _unpacked(options: LoadOptions) -> Path:
    """Return the folder that holds ``stl10_binary``, unpacked from the archive."""
    home = options.search_path[0] / "stl10"
    folder = find([ARCHIVE], "stl10", options.search_path)
    if folder is None and (home / FOLDER).exists():
        raise RemibenchError(
            f"{home / FOLDER} lacks some of {', '.join(FILES)}; add them, or remove the folder to "
            "have it downloaded"
        )
    if folder is None:
        from torchvision.datasets import STL10

        folder = home
        download(STL10.url, ARCHIVE_MD5, folder / ARCHIVE, INFO.title)
    verify(folder / ARCHIVE, ARCHIVE_MD5, options.published_only)
    unpack(folder / ARCHIVE, home / FOLDER, FILES.__contains__, required=FILES)
    return home


def _stream(*paths: Path) -> Iterator[np.ndarray]:
    """Yield H×W×3 images; the files hold each colour plane column by column."""
    for path in paths:
        with path.open("rb") as file:
            while record := file.read(PIXELS):
                yield np.frombuffer(record, np.uint8).reshape(3, 96, 96).transpose(2, 1, 0)
