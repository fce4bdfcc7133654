"""UTKFace (Zhang et al. 2017), aligned and cropped: faces labelled with age, gender and race.

The label is the race, and only its four largest groups are used (docs/protocol.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from remibench.data import DatasetInfo, LoadOptions, RawDataset
from remibench.data._files import find, unpack
from remibench.errors import RemibenchError

LABEL = "UTKFace"
INFO = DatasetInfo(
    title="UTKFace (it has no published checksum)",
    images=22_013,
    class_names=("White", "Black", "Asian", "Indian"),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    paper_dataset="utkface",
)
QUARTER, SIZE = 5_503, (200, 200)  # Table I; pixels of the aligned and cropped images
ARCHIVE, FOLDER = "UTKFace.tar.gz", "UTKFace"
# [age]_[gender]_[race]_[date and time].jpg[.chip.jpg]. Three names of the published archive have a
# blank in, or lack, what separates the date from the suffix; their labels are whole.
NAME = re.compile(r"\d{1,3}_[01]_([0-4])_\d+ ?\.?j?pg(\.chip\.jpg)?", re.IGNORECASE)
MAX_PIXELS = 2**24  # an image of more, or a file of more bytes, is not decoded
LISTED = 5  # names per reason in an error message; the metadata has them all
UNREADABLE = "unreadable file"  # no published image is


def load(options: LoadOptions) -> RawDataset:
    """Read the images of race 0–3, sorted by name, one at a time.

    The folder ``UTKFace`` is looked for, then the archive ``UTKFace.tar.gz``, which is unpacked
    into ``utkface`` of the search path. Every image is decoded once beforehand, so that all that
    cannot be used is known before anything is written.

    Raises:
        RemibenchError: The dataset is not there, is not the published one, or has images that
            cannot be used (malformed name, race 4, unreadable) and ``skip_unusable`` is not set.
    """
    folder = _find(options)
    usable, skipped, sizes, checksum = _inspect(folder)
    if skipped and not options.skip_unusable:
        raise RemibenchError(
            f"{folder}: images that cannot be used{_describe(skipped)}; mend or remove them, or "
            "set `data.skip_unusable: true` to leave them out"
        )
    published = len(usable) // 4 == QUARTER and sizes == {SIZE} and UNREADABLE not in skipped
    if options.published_only and not published:
        raise RemibenchError(
            f"{folder}: {len(usable):,} usable images{_describe(skipped)}; the published archive "
            f"has {INFO.images:,}, all whole and of {SIZE[0]}×{SIZE[1]} pixels; fetch it again, or "
            "set `data.published_only: false` to use them, which every table will say"
        )
    return RawDataset(
        info=INFO,
        images=_stream(folder, usable),
        labels=np.array(list(usable.values()), np.int64),
        sources={f"{FOLDER} (names and contents)": f"sha256:{checksum}"},
        published=published,
        skipped=skipped,
        attributes=_attributes(list(usable)),
    )


def _find(options: LoadOptions) -> Path:
    parent = find([FOLDER], "utkface", options.search_path)
    # Where upper and lower case are the same, the folder of the archive bears that name, too.
    if parent and not (parent / FOLDER / ARCHIVE).exists():
        return parent / FOLDER
    home = options.search_path[0] / "utkface"
    source = find([ARCHIVE], "utkface", options.search_path)
    if source is None:
        raise RemibenchError(
            f"UTKFace not found, and it has no stable address to download it from: get {ARCHIVE} "
            '("Aligned&Cropped Faces", 23,708 files, about 100 MB) from its authors\' page, '
            f"susanqq.github.io/UTKFace, and put it, or the folder {FOLDER} that it holds, into "
            f"{home} or another folder of `data.search_path`"
        )
    unpack(source / ARCHIVE, home / FOLDER, lambda name: not name.startswith("."))
    return home / FOLDER


def _attributes(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Age in years and gender, as the authors label it, of every image; both are in its name."""
    ages, genders = zip(*(name.split("_")[:2] for name in names), strict=True)
    words = {"0": "male", "1": "female"}
    return {
        "age": np.array(ages, np.int64),
        "gender": np.array([words[gender] for gender in genders]),
    }


class _Faces(NamedTuple):
    """Label of every usable image, names of the others by reason, sizes, digest of contents."""

    usable: dict[str, int]
    skipped: dict[str, list[str]]
    sizes: set[tuple[int, int]]
    checksum: str


def _inspect(folder: Path) -> _Faces:
    usable: dict[str, int] = {}
    skipped: dict[str, list[str]] = {}
    sizes: set[tuple[int, int]] = set()
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        match = NAME.fullmatch(path.name)
        if path.name.startswith("."):
            continue
        if not match:
            reason = "malformed name"
        elif int(match[1]) >= len(INFO.class_names):
            reason = f"race {match[1]}"
        else:
            try:
                with _open(path) as image:
                    image.load()
                    sizes.add(image.size)
                digest.update(f"\0{path.name}\0".encode())
                digest.update(path.read_bytes())
                usable[path.name] = int(match[1])
                continue
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
                reason = UNREADABLE
        skipped.setdefault(reason, []).append(path.name)
    return _Faces(usable, skipped, sizes, digest.hexdigest())


def _open(path: Path) -> Image.Image:
    """Open a JPEG file; Pillow's other formats play no part, and some run other programs."""
    image = Image.open(path, formats=["JPEG"])
    if image.width * image.height > MAX_PIXELS or path.stat().st_size > MAX_PIXELS:
        image.close()
        raise ValueError(f"{path}: more than {MAX_PIXELS:,} pixels or bytes")
    return image


def _describe(skipped: Mapping[str, Sequence[str]]) -> str:
    reasons = [
        f"{len(names):,} with {reason} ({', '.join(names[:LISTED])}{', …' * (len(names) > LISTED)})"
        for reason, names in skipped.items()
    ]
    return ": " + "; ".join(reasons) if reasons else ""


def _stream(folder: Path, names: Mapping[str, int]) -> Iterator[np.ndarray]:
    for name in names:
        with _open(folder / name) as image:
            yield np.asarray(image.convert("RGB"))
