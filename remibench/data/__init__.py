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

from remibench.components.guards import guarded, is_plugin
from remibench.components.plugins import broken, call


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


PAPER_DATASETS = ("fmnist", "utkface", "stl10", "cifar10")


def dataset_info(name: str) -> DatasetInfo:
    """Return the description of the dataset of that name; no file is looked at.

    Raises:
        RemibenchError: A plug-in's description cannot be true; names its file.
    """
    module = f"remibench.data.{name}"
    info = getattr(import_module(module), "INFO", None)
    if is_plugin(module) and (problem := _wrong_info(info)):
        raise broken(module, f"`INFO` {problem}")
    return info


def _wrong_info(info: object) -> str | None:
    if not isinstance(info, DatasetInfo):
        return f"is {info!r:.60}; it is a DatasetInfo"
    if type(info.images) is not int or info.images < 1:
        return f"has images={info.images!r}; it is the number of images"
    if len(set(info.class_names)) != len(info.class_names) or len(info.class_names) < 2:
        return f"has class_names={list(info.class_names)!r:.60}; they are two names or more"
    if not len(info.mean) == len(info.std) in (1, 3):
        return "has mean and std of unequal length; they are 1 (grey) or 3 (RGB) numbers each"
    if not all(0 <= each <= 1 for each in info.mean) or not all(0 < each <= 1 for each in info.std):
        return f"has mean={info.mean}, std={info.std}; they are on the scale from 0 to 1"
    if info.paper_dataset not in (None, *PAPER_DATASETS):
        return (
            f"has paper_dataset={info.paper_dataset!r}; it is None or one of the paper's: "
            f"{', '.join(PAPER_DATASETS)}"
        )
    return None


def load_dataset(name: str, options: LoadOptions) -> RawDataset:
    """Load the raw dataset of that name.

    Raises:
        RemibenchError: Its files are not found and cannot be downloaded, or are not what was
            published, or cannot be used; or a plug-in loads something else than its ``INFO`` says
            (names its file).
    """
    module, info = f"remibench.data.{name}", dataset_info(name)
    with guarded(module, "load"):
        raw = call(import_module(module), "load", RawDataset, options)
    if is_plugin(module):
        classes = np.unique(raw.labels)
        if raw.info is not info and raw.info != info:
            raise broken(module, "`load` returned another `info` than `INFO`; return INFO itself")
        if raw.published and len(raw.labels) != info.images:
            raise broken(
                module,
                f"`INFO` has images={info.images:,}, but `load` returned {len(raw.labels):,}; the "
                "plan and all that is known without the files is of the former",
            )
        if raw.published and len(classes) != len(info.class_names):
            raise broken(
                module,
                f"`INFO` has {len(info.class_names)} class_names, but `load` returned images of "
                f"{len(classes)} classes",
            )
    return raw
