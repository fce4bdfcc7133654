"""Preprocessing: any raw dataset becomes one uint8 array of square images on disk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from numbers import Real
from pathlib import Path

import numpy as np
from PIL import Image

from remibench.artifacts.io import (
    atomic_path,
    save_array,
    save_arrays,
    save_json,
    seal_array,
    sha256,
)
from remibench.components.plugins import broken
from remibench.data import DatasetInfo, RawDataset
from remibench.errors import RemibenchError


def prepare_dataset(
    name: str,
    raw: RawDataset,
    image_size: int,
    limit: int | None,
    images_path: Path,
    labels_path: Path,
    metadata_path: Path,
    attributes_path: Path,
) -> None:
    """Resize every image and write the prepared dataset, one image in memory at a time.

    Writes ``images_path`` (uint8, N×C×S×S), ``labels_path`` (int64, N), ``attributes_path`` (npz:
    the reader's further columns, (N,) each; most datasets have none) and ``metadata_path`` (JSON:
    class names, normalisation constants, source checksums, provenance, names of images that were
    left out). Files that are not the published ones have no ``paper_dataset``: no published number
    is ever put beside theirs.

    Args:
        name: The dataset's name in the config, which the metadata states.
        raw: The dataset.
        image_size: Side S in pixels; Pillow's antialiased bilinear filter, as in torchvision.
        limit: Keep only the first so many images, or all if None.
        images_path, labels_path, metadata_path, attributes_path: Outputs.

    Raises:
        RemibenchError: A constant of the dataset is out of range; an image is not uint8 or has
            another shape than promised by the number of channels, the number of images and labels
            differs, a label is out of range, or an attribute is no column of numbers or text.
    """
    _check_info(name, raw.info)
    labels = np.asarray(raw.labels[:limit])
    classes = len(raw.info.class_names)
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise RemibenchError(
            f"label {labels[wrong[0]]} of image {wrong[0]} is out of range 0…{classes - 1}; "
            "the label file does not belong to this dataset, or is damaged"
        )
    columns = {name: _column(raw, name)[:limit] for name in sorted(raw.attributes)}
    channels = len(raw.info.mean)
    shape = (len(labels), channels, image_size, image_size)
    count = 0
    # Written with plain writes: on a full disk a memory map would end the process by SIGBUS.
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with atomic_path(images_path) as temporary:
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for count, image in enumerate(itertools.islice(_readable(raw.images), limit), 1):
                if count > len(labels):
                    break
                file.write(resize_image(image, channels, image_size, count - 1).tobytes())
        if count != len(labels):
            raise RemibenchError(
                f"{'more than ' if count > len(labels) else ''}{min(count, len(labels))} images "
                f"but {len(labels)} labels; an image or label file is incomplete"
            )
        seal_array(temporary, images_path)
    save_array(labels_path, labels.astype(np.int64))
    save_arrays(attributes_path, columns)
    save_json(
        metadata_path,
        {
            "class_names": list(raw.info.class_names),
            "dataset": name,
            "image_size": image_size,
            "images": len(labels),
            "images_sha256": sha256(images_path),
            "mean": list(raw.info.mean),
            "paper_dataset": raw.info.paper_dataset if raw.published else None,
            "provenance": describe_provenance(raw, len(labels)),
            "skipped": {reason: list(names) for reason, names in raw.skipped.items()},
            "sources": dict(raw.sources),
            "std": list(raw.info.std),
        },
    )


def _column(raw: RawDataset, name: str) -> np.ndarray:
    values = np.asarray(raw.attributes[name])
    if values.shape != raw.labels.shape or values.dtype.kind not in "biufU":
        raise RemibenchError(
            f"attribute {name!r} of {raw.info.title} is {values.dtype} of shape {values.shape}; "
            f"it has a number or a text for each of the {len(raw.labels)} images"
        )
    return values


def _check_info(name: str, info: DatasetInfo) -> None:
    """Refuse constants that would make every training diverge, or no sense of the images."""
    module = f"remibench.data.{name}"
    for field in ("mean", "std"):
        values = list(getattr(info, field))
        numbers = all(isinstance(value, Real) and math.isfinite(value) for value in values)
        if len(values) not in (1, 3) or not numbers or len(info.mean) != len(info.std):
            raise broken(
                module,
                f"`INFO.{field}` is {values!r:.80}; it has a finite number for each channel, one "
                "(grey) or three (RGB), on the scale from 0 to 1",
            )
    if not all(0 <= value <= 1 for value in info.mean) or not all(0 < v <= 1 for v in info.std):
        raise broken(
            module,
            f"`INFO.mean` is {list(info.mean)} and `INFO.std` {list(info.std)}; both are on the "
            "scale from 0 to 1, and no deviation is 0",
        )
    names = list(info.class_names)
    if len(names) < 2 or len(set(names)) < len(names):
        raise broken(module, f"`INFO.class_names` is {names!r:.80}; name two classes or more, once")


def describe_provenance(raw: RawDataset, used: int) -> str:
    """One phrase for tables and reports: which images these are, and what is amiss with them."""
    text = f"{raw.info.title}, "
    text += f"{used:,} images" if used == len(raw.labels) else f"first {used:,} images"
    left_out = sum(len(names) for names in raw.skipped.values())
    if left_out:
        text += f" ({left_out:,} left out)"
    return text if raw.published else f"{text}, NOT THE PUBLISHED FILES"


def _readable(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Tell a source that cannot be read from a disk that cannot be written."""
    try:
        yield from images
    except OSError as error:
        raise RemibenchError(f"an image of the dataset cannot be read: {error}") from error


def resize_image(image: np.ndarray, channels: int, size: int, index: int) -> np.ndarray:
    """Resize one uint8 image H×W or H×W×3 to C×S×S; ``index`` is for the error message.

    Raises:
        RemibenchError: The image has another dtype or shape.
    """
    expected = 2 if channels == 1 else 3
    if image.dtype != np.uint8 or image.ndim != expected or (expected == 3 and image.shape[2] != 3):
        raise RemibenchError(
            f"image {index} is {image.dtype} of shape {image.shape}, expected uint8 of shape "
            f"{'(H, W)' if expected == 2 else '(H, W, 3)'}; the image file is damaged or foreign"
        )
    if image.shape[:2] == (size, size):
        resized = image
    else:
        resized = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    return resized[None] if channels == 1 else resized.transpose(2, 0, 1)
