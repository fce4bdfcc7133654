"""Generated images in the exact file formats of the real datasets. Never real, never a result.

Every writer takes labels and writes one noisy, class-dependent image for each, so that a model can
learn something. The checksums are not the published ones, and whatever is computed from these files
says so: they are only accepted with ``data.published_only: false``.
"""

import io
import pickle
import struct
import tarfile
from typing import ClassVar

import numpy as np
from PIL import Image

from remibench.data._idx import write_idx


def pictures(labels, size, channels=3):
    """uint8 images (N, size, size, channels): a bright bar whose place tells the class."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 120, (len(labels), size, size, channels), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = label * size // 10
        image[start : start + max(2, size // 8)] += 100
    return images


def balanced(count, classes=10):
    """Labels 0 … classes − 1 in turn."""
    return np.arange(count) % classes


def write_fmnist(folder, labels):
    """Four gzip-compressed idx files: six sevenths are the train part."""
    folder.mkdir(parents=True)
    cut = len(labels) * 6 // 7
    images = pictures(labels, 28, 1)[..., 0]
    for part, rows in (("train", slice(None, cut)), ("t10k", slice(cut, None))):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", images[rows])
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.asarray(labels[rows], np.uint8))
    return images


def _cifar_batches(labels):
    planes = pictures(labels, 32).transpose(0, 3, 1, 2).reshape(len(labels), -1)
    names = [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]
    rows = np.array_split(np.arange(len(labels)), 6)
    return {name: (planes[part], labels[part]) for name, part in zip(names, rows, strict=True)}


class _Python2Pickler(pickle._Pickler):
    """The published batches were pickled by Python 2, whose strings are opcodes of their own."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    def save_str(self, value):
        self.save_bytes(value.encode("ascii"))

    dispatch[bytes], dispatch[str] = save_bytes, save_str


def pickled_batch(pixels, labels):
    """A batch as the published ones: Python 2's protocol 2, labels as a list."""
    batch = {
        b"batch_label": b"training batch",
        b"labels": [int(label) for label in labels],
        b"data": np.ascontiguousarray(pixels),
        b"filenames": [b"a_s_000001.png"] * len(labels),
    }
    buffer = io.BytesIO()
    _Python2Pickler(buffer, protocol=2).dump(batch)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


def write_archive(path, contents):
    """A gzip-compressed tar file of named contents."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def write_cifar10_folder(folder, labels):
    """The unpacked Python version."""
    home = folder / "cifar-10-batches-py"
    home.mkdir(parents=True)
    for name, batch in _cifar_batches(labels).items():
        (home / name).write_bytes(pickled_batch(*batch))


def write_cifar10_python(folder, labels):
    """The archive of the Python version, its members in another order than they are read."""
    batches = reversed(_cifar_batches(labels).items())
    members = {f"cifar-10-batches-py/{name}": pickled_batch(*batch) for name, batch in batches}
    members["cifar-10-batches-py/readme.html"] = b"<html>"
    write_archive(folder / "cifar-10-python.tar.gz", members)


def write_cifar10_binary(folder, labels):
    """The archive of the binary version: records of a label byte and 3,072 pixel bytes."""
    members = {}
    for name, (pixels, of_batch) in _cifar_batches(labels).items():
        records = np.concatenate([of_batch[:, None].astype(np.uint8), pixels], axis=1)
        members[f"cifar-10-batches-bin/{name}.bin"] = records.tobytes()
    write_archive(folder / "cifar-10-binary.tar.gz", members)


def _stl10_files(labels):
    images, cut = pictures(labels, 96), len(labels) * 5 // 13
    files = {}
    for part, rows in (("train", slice(None, cut)), ("test", slice(cut, None))):
        # Column-major planes: image, channel, column, row.
        files[f"{part}_X.bin"] = images[rows].transpose(0, 3, 2, 1).tobytes()
        files[f"{part}_y.bin"] = (labels[rows] + 1).astype(np.uint8).tobytes()
    return files


def write_stl10_folder(folder, labels):
    """The unpacked binary files."""
    home = folder / "stl10_binary"
    home.mkdir(parents=True)
    for name, content in _stl10_files(labels).items():
        (home / name).write_bytes(content)


def write_stl10_archive(folder, labels):
    """The archive, with a file of unlabelled images that must not be unpacked."""
    members = {f"stl10_binary/{name}": data for name, data in _stl10_files(labels).items()}
    members["stl10_binary/unlabeled_X.bin"] = bytes(96 * 96 * 3)
    write_archive(folder / "stl10_binary.tar.gz", members)


def utkface_files(races):
    """Name → content of 200×200 JPEG files."""
    files = {}
    for index, (race, image) in enumerate(zip(races, pictures(races, 200), strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "jpeg", quality=90)
        name = f"{1 + index % 100}_{index % 2}_{race}_{20170101000000000 + index}.jpg.chip.jpg"
        files[name] = buffer.getvalue()
    return files


def write_utkface_folder(folder, races):
    """The folder of 200×200 JPEG files; returns their names."""
    home = folder / "UTKFace"
    home.mkdir(parents=True)
    files = utkface_files(races)
    for name, content in files.items():
        (home / name).write_bytes(content)
    return list(files)


def write_utkface_archive(folder, races):
    """The archive of the same."""
    files = {f"UTKFace/{name}": content for name, content in utkface_files(races).items()}
    write_archive(folder / "UTKFace.tar.gz", files)
