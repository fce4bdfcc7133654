"""Datasets, one module each: ``INFO`` and ``load(options) -> RawDataset``.

A dataset is found by the name of its module, which is its name in the config. Modules whose name
starts with an underscore are shared readers, not datasets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from remibench.components.plugins import call


@dataclass(frozen=True)
class DatasetInfo:
    """Facts about a dataset that are known before any of its files is there.

    Attributes:
        title: Name of the dataset in prose.
        images: Number of labelled images as published, train and test parts pooled.
        class_names: One name per class.
        mean, std: Per-channel normalisation constants on the [0, 1] scale (ML-Doctor's).
        paper_dataset: The dataset of the paper that this is (a part of), or None.
    """

    title: str
    images: int
    class_names: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]
    paper_dataset: str | None


@dataclass(frozen=True)
class LoadOptions:
    """Options for finding and loading a dataset, as in the section ``data`` of the config.

    Attributes:
        search_path: Folders to look in; what is downloaded or unpacked goes to the first.
        published_only: Refuse files that are not the published ones.
        skip_unusable: Leave out images that cannot be used instead of stopping.
    """

    search_path: Sequence[Path]
    published_only: bool = True
    skip_unusable: bool = False


@dataclass(frozen=True)
class RawDataset:
    """A dataset's labelled images, original train and test parts pooled.

    Attributes:
        info: The dataset that it is.
        images: uint8 images in order, each H×W (grey) or H×W×3 (RGB); may be a generator, so that
            a large dataset is never in memory at once.
        labels: (N,) int64 in ``0 … len(info.class_names) − 1``.
        sources: Checksum of every source file, by file name.
        published: Whether these are the published files.
        skipped: Names of the images that were left out, by reason.
        attributes: What is known of the images beyond their labels, columns (N,) of numbers or
            text by name; forget sets can be chosen by them (``forgetting.selection: subgroup``).
    """

    info: DatasetInfo
    images: Iterable[np.ndarray]
    labels: np.ndarray
    sources: Mapping[str, str]
    published: bool = True
    skipped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)


def dataset_info(name: str) -> DatasetInfo:
    """Return the description of the dataset of that name; no file is looked at."""
    return import_module(f"remibench.data.{name}").INFO


def load_dataset(name: str, options: LoadOptions) -> RawDataset:
    """Load the raw dataset of that name.

    Raises:
        RemibenchError: Its files are not found and cannot be downloaded, or are not what was
            published, or cannot be used.
    """
    return call(import_module(f"remibench.data.{name}"), "load", RawDataset, options)
