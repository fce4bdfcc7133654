"""Datasets, one module each: ``load(search_path)`` returns a :class:`RawDataset`.

A dataset is found by the name of its module, which is its name in the config. Modules whose name
starts with an underscore are shared readers, not datasets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class RawDataset:
    """A dataset as published: every labelled image, original train and test parts pooled.

    Attributes:
        images: uint8 images in order, each H×W (grey) or H×W×3 (RGB); may be a generator, so that
            a large dataset is never in memory at once.
        labels: (N,) int64 in ``0 … len(class_names) − 1``.
        class_names: One name per class.
        mean, std: Per-channel normalisation constants on the [0, 1] scale (ML-Doctor's).
        sources: SHA-256 of every source file, by file name.
        provenance: One line for tables and reports: what these images are.
        paper_dataset: The dataset of the paper that this is (a part of), or None.
    """

    images: Iterable[np.ndarray]
    labels: np.ndarray
    class_names: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    sources: Mapping[str, str]
    provenance: str
    paper_dataset: str | None


def load_dataset(name: str, search_path: Sequence[str | Path]) -> RawDataset:
    """Load the raw dataset of that name, looking for its files in ``search_path`` first."""
    return import_module(f"remibench.data.{name}").load([Path(folder) for folder in search_path])
