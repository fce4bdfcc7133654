"""UTKFace (Zhang et al. 2017), aligned and cropped: faces labelled with age, gender and race.

The label is the race, and only its four largest groups are used (docs/protocol.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from remibench.data import DatasetInfo, LoadOptions, RawDataset
from remibench.data._files import find, unpack
from remibench.errors import RemibenchError

INFO = DatasetInfo(
    title="UTKFace",
    images=22_013,
    class_names=("White", "Black", "Asian", "Indian"),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    paper_dataset="utkface",
)
QUARTER = 5_503  # Table I; there is no published checksum
ARCHIVE, FOLDER = "UTKFace.tar.gz", "UTKFace"
# [age]_[gender]_[race]_[date and time].jpg[.chip.jpg]. Three names of the published archive have a
# blank in, or lack, what separates the date from the suffix; their labels are whole.
NAME = re.compile(r"\d{1,3}_[01]_([0-4])_\d+ ?\.?j?pg(\.chip\.jpg)?", re.IGNORECASE)
LISTED = 5  # names per reason in an error message; the metadata has them all


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
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    usable, skipped, checksum = _inspect(folder, names)
    if skipped and not options.skip_unusable:
        raise RemibenchError(_describe(folder, skipped))
    published = len(usable) // 4 == QUARTER
    if options.published_only and not published:
        raise RemibenchError(
            f"{folder}: {len(usable):,} usable images, the published archive has {INFO.images:,}; "
            "fetch it again, or set `data.published_only: false` to use them, "
            "which every table will say"
        )
    return RawDataset(
        info=INFO,
        images=_stream(folder, usable),
        labels=np.array(list(usable.values()), np.int64),
        sources={f"{FOLDER} (names and contents)": f"sha256:{checksum}"},
        published=published,
        skipped=skipped,
    )


def _find(options: LoadOptions) -> Path:
    parent = find([FOLDER], "utkface", options.search_path)
    if parent:
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
    unpack(source / ARCHIVE, home / FOLDER, lambda name: not name.startswith("."), INFO.title)
    return home / FOLDER


def _inspect(
    folder: Path, names: Sequence[str]
) -> tuple[dict[str, int], dict[str, list[str]], str]:
    """Return the label of every usable image, the names of the others by reason, and a digest."""
    usable: dict[str, int] = {}
    skipped: dict[str, list[str]] = {}
    digest = hashlib.sha256()
    for name in names:
        found = NAME.fullmatch(name)
        race = found and int(found[1])
        if not found:
            reason = "malformed name"
        elif race >= len(INFO.class_names):
            reason = f"race {race}"
        else:
            reason = _unreadable(folder / name, digest)
        if reason:
            skipped.setdefault(reason, []).append(name)
        else:
            digest.update(f"\0{name}\0".encode())
            usable[name] = race
    return usable, skipped, digest.hexdigest()


def _unreadable(path: Path, digest) -> str | None:
    """Decode an image; say why it cannot be, or add its bytes to the digest."""
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return "unreadable image"
    digest.update(path.read_bytes())
    return None


def _describe(folder: Path, skipped: Mapping[str, Sequence[str]]) -> str:
    reasons = [
        f"{len(names):,} with {reason} ({', '.join(names[:LISTED])}{', …' * (len(names) > LISTED)})"
        for reason, names in skipped.items()
    ]
    return (
        f"{folder}: images that cannot be used: {'; '.join(reasons)}; mend or remove them, or set "
        "`data.skip_unusable: true` to leave them out"
    )


def _stream(folder: Path, names: Mapping[str, int]) -> Iterator[np.ndarray]:
    for name in names:
        with Image.open(folder / name) as image:
            yield np.asarray(image.convert("RGB"))
