"""CIFAR-10 (Krizhevsky 2009): 60,000 colour 32×32 images in 10 classes."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from remibench.data import DatasetInfo, LoadOptions, RawDataset
from remibench.data._files import check_size, download, find, open_archive, verify
from remibench.errors import RemibenchError

LABEL = "CIFAR-10"
INFO = DatasetInfo(
    title="CIFAR-10",
    images=60_000,
    class_names=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
    paper_dataset="cifar10",
)
PYTHON_ARCHIVE, BINARY_ARCHIVE = "cifar-10-python.tar.gz", "cifar-10-binary.tar.gz"
ARCHIVES = {  # MD5 as published
    PYTHON_ARCHIVE: "c58f30108f718f92721af3b95e74349a",
    BINARY_ARCHIVE: "c32a1d4ab5d03f1284b67883e8d87530",
}
FOLDER = "cifar-10-batches-py"
BATCHES = {  # MD5 of the files of the Python version, train part first
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
PIXELS = 3 * 32 * 32


class Batch(NamedTuple):
    """Rows of 3,072 uint8 pixels (red, green, blue plane), and their labels."""

    pixels: np.ndarray
    labels: np.ndarray


def load(options: LoadOptions) -> RawDataset:
    """Read the six batches, train part first, from whichever form of the dataset is there.

    Those are the unpacked folder of the Python version, its archive, and the archive of the binary
    version. If there is none, the Python version is downloaded into ``cifar10`` of the search path.
    Archives are read as they are, and pickles by a reader that makes nothing but arrays.

    Raises:
        RemibenchError: The dataset cannot be had, is not the published one, or is damaged.
    """
    folder = find([f"{FOLDER}/{name}" for name in BATCHES], "cifar10", options.search_path)
    if folder:
        checksums = {f"{FOLDER}/{name}": md5 for name, md5 in BATCHES.items()}
        parse, contents = parse_pickle, _from_folder(folder / FOLDER)
    else:
        folder, archive = _find_archive(options)
        checksums = {archive: ARCHIVES[archive]}
        binary = archive == BINARY_ARCHIVE
        parse = parse_binary if binary else parse_pickle
        contents = _from_archive(folder / archive, ".bin" if binary else "")
    enforce = options.published_only
    digests = {name: verify(folder / name, md5, enforce) for name, md5 in checksums.items()}
    batches = [parse(content, name) for name, content in contents]
    return RawDataset(
        info=INFO,
        images=(row.reshape(3, 32, 32).transpose(1, 2, 0) for b in batches for row in b.pixels),
        labels=np.concatenate([batch.labels for batch in batches]),
        sources={name: f"md5:{md5}" for name, md5 in digests.items()},
        published=digests == checksums,
    )


def _find_archive(options: LoadOptions) -> tuple[Path, str]:
    for archive in ARCHIVES:
        folder = find([archive], "cifar10", options.search_path)
        if folder:
            return folder, archive
    from torchvision.datasets import CIFAR10

    folder = options.search_path[0] / "cifar10"
    download(CIFAR10.url, ARCHIVES[PYTHON_ARCHIVE], folder / PYTHON_ARCHIVE, INFO.title)
    return folder, PYTHON_ARCHIVE


def _from_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in BATCHES:
        check_size((folder / name).stat().st_size, folder / name)
        yield str(folder / name), (folder / name).read_bytes()


def _from_archive(path: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Yield the batches of an archive in order, whatever their order in it."""
    wanted = [name + suffix for name in BATCHES]
    contents = {}
    with open_archive(path) as archive:
        for member in archive:
            name = Path(member.name).name
            if member.isfile() and name in wanted:
                check_size(member.size, f"{path}:{name}")
                contents[name] = archive.extractfile(member).read()
    for name in wanted:
        if name not in contents:
            raise RemibenchError(f"{path}: {name} is missing; fetch it again")
        yield f"{path}:{name}", contents.pop(name)


def parse_binary(content: bytes, name: str) -> Batch:
    """Parse a batch of the binary version: records of one label byte and 3,072 pixel bytes.

    Raises:
        RemibenchError: The size is not a whole number of records.
    """
    if not content or len(content) % (1 + PIXELS):
        raise RemibenchError(
            f"{name}: {len(content)} bytes are not a whole number of records of {1 + PIXELS}; "
            "fetch it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS)
    return Batch(records[:, 1:], records[:, 0].astype(np.int64))


def parse_pickle(content: bytes, name: str) -> Batch:
    """Parse a batch of the Python version: a pickled dictionary with ``data`` and ``labels``.

    Raises:
        RemibenchError: It is not such a dictionary, or would make any other object than an array.
    """
    try:
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        pixels, labels = batch[b"data"].pixels(), batch[b"labels"]
        if type(labels) is not list or {type(label) for label in labels} != {int}:
            raise ValueError("the labels are not a list of whole numbers")
        if len(labels) != len(pixels):
            raise ValueError(f"{len(pixels)} images but {len(labels)} labels")
        labels = np.array(labels, np.int64)
    except RemibenchError as error:
        raise RemibenchError(f"{name}: {error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        message = f"{name}: not a batch of CIFAR-10 ({error}); fetch it again"
        raise RemibenchError(message) from error
    return Batch(pixels, labels)


class _PickledArray:
    """Stands for a numpy array, whose own unpickling believes whatever the file says."""

    def __init__(self, *_: object) -> None:
        self._shape: object = None
        self._content: object = None

    def __setstate__(self, state: tuple) -> None:
        _, self._shape, dtype, _, self._content = state
        if dtype.name not in (b"u1", "u1"):
            raise ValueError(f"an array of {dtype.name!r}, expected 'u1'")

    def pixels(self) -> np.ndarray:
        """The array (N, 3072), if that is what it is; ``reshape`` checks its size."""
        if type(self._content) is not bytes or self._shape[1:] != (PIXELS,):
            raise ValueError(f"an array of shape {self._shape}, expected (N, {PIXELS})")
        return np.frombuffer(self._content, np.uint8).reshape(self._shape)


class _PickledDtype:
    """Stands for a numpy dtype: its name alone."""

    def __init__(self, name: object, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: tuple) -> None:
        """Byte order and flags play no part in single bytes."""


class _ArrayUnpickler(pickle._Unpickler):
    """An unpickler that makes plain containers and the two stand-ins above, and nothing else.

    Python's own: the one in C allocates whatever length and memory index the file states.
    """

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """Return the stand-in of one of the three names that a pickled array consists of."""
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
            ("numpy", "ndarray"): None,  # an argument of _reconstruct
            ("numpy", "dtype"): _PickledDtype,
        }
        try:
            return allowed[module, name]
        except KeyError:
            raise RemibenchError(
                f"the pickle asks for {module}.{name}, which no batch of CIFAR-10 holds; "
                "do not trust this file"
            ) from None
