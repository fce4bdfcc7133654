"""Forget sets: which training images are to be forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from remibench.artifacts.io import load_array, unreadable
from remibench.data.splits import wrong_positions
from remibench.errors import RemibenchError
from remibench.seeding import derive_seed


def forget_count(images: int, ratio: float) -> int:
    """Return ceil(ratio·n), immune to binary rounding (0.07 · 300 is 21.000000000000004)."""
    return math.ceil(round(ratio * images, 9))


def count_forgotten(
    labels: np.ndarray, ratio: float, eligible: np.ndarray | None = None
) -> dict[int, int]:
    """Number of training images to forget by class, for the classes that have images.

    Args:
        labels: (N,) labels of the training set.
        ratio: Share to forget, in (0, 1].
        eligible: (N,) bool: images that may be forgotten; None for all.

    Raises:
        RemibenchError: A class would keep no image at a ratio below 1.
    """
    counts = {}
    for label, images in zip(*np.unique(labels, return_counts=True), strict=True):
        found = images if eligible is None else np.count_nonzero(eligible & (labels == label))
        counts[int(label)] = count = forget_count(int(found), ratio)
        if count >= images and ratio < 1:
            raise RemibenchError(
                f"forget ratio {ratio} takes {count} of the {images} training images of class "
                f"{label} and leaves none; lower the ratio or use more images"
            )
    return counts


def select_forget_set(labels: np.ndarray, ratio: float, scores: np.ndarray) -> np.ndarray:
    """Take the ceil(ratio·n_c) highest-scoring training images of every class c.

    The ceil per class reproduces the odd counts of the paper's Table I. Ties break by position.

    Args:
        labels: (N,) labels of the training set.
        ratio: Share to forget, in (0, 1]; n_c is the number of a class's images that have a
            priority. At 1 all of them are forgotten, be they all images of a class.
        scores: (N,) priority; NaN for images that are never forgotten.

    Returns:
        Sorted int64 positions in the training set.

    Raises:
        RemibenchError: No image has a priority; a class would keep no image at a ratio below 1, or
            the training set at 1.
    """
    chosen, eligible = [], ~np.isnan(scores)
    if not eligible.any():
        raise RemibenchError(f"none of the {len(labels)} training images is selected")
    for label, count in count_forgotten(labels, ratio, eligible).items():
        members = np.flatnonzero(eligible & (labels == label))
        ranking = np.argsort(-scores[members], kind="stable")
        chosen.append(members[ranking[:count]])
    forgotten = np.sort(np.concatenate(chosen)).astype(np.int64)
    if len(forgotten) == len(labels):
        raise RemibenchError(
            f"forget ratio {ratio} takes all {len(labels)} training images; lower it, or select "
            "fewer images"
        )
    return forgotten


def read_positions(path: str | Path) -> np.ndarray:
    """Read a list of images: npy of integers (F,), or text with one integer a line.

    A first line of text that is no number (the header of a CSV) is skipped.

    Returns:
        (F,) int64 in the order of the file.

    Raises:
        RemibenchError: The file cannot be read, holds something else than whole numbers from 0, or
            holds one of them twice or none at all.
    """
    try:
        if Path(path).suffix == ".npy":
            listed = np.load(path, allow_pickle=False)
        else:
            lines = Path(path).read_text(encoding="utf-8").split()
            if lines and not lines[0].removeprefix("-").isdecimal():
                del lines[0]  # the header
            listed = np.array([int(line) for line in lines], np.int64)
        if listed.ndim != 1 or not np.issubdtype(listed.dtype, np.integer):
            raise ValueError(f"it holds {listed.dtype} of shape {listed.shape}")
    except FileNotFoundError as error:
        raise RemibenchError(f"{path}: no such file; paths start where you run") from error
    except (OSError, ValueError, EOFError) as error:
        raise RemibenchError(
            f"{path}: {error}; a list of images is npy of integers, or text with one integer a line"
        ) from error
    listed = listed.astype(np.int64)
    if not len(listed) or listed.min() < 0:
        what = f"lists the image {listed.min()}" if len(listed) else "lists no image"
        raise RemibenchError(f"{path} {what}; positions are whole numbers from 0")
    values, counts = np.unique(listed, return_counts=True)
    if counts.max() > 1:
        raise RemibenchError(f"{path} lists image {values[counts.argmax()]} twice; list it once")
    return listed


def random_scores(images: int, dataset: str, split_seed: int) -> np.ndarray:
    """Random priorities that depend on dataset and split alone: all seeds forget the same."""
    return np.random.default_rng(derive_seed("forget", dataset, split_seed)).random(images)


def mean_scores(scores: Sequence[np.ndarray]) -> np.ndarray:
    """Mean (N,) in double precision of priorities (N,): of one target, or of all seeds' targets."""
    return np.mean(np.asarray(scores, np.float64), axis=0)


def read_forget_set(path: str | Path, images: int) -> np.ndarray:
    """Read a forget set: (F,) ascending int64 positions among the training images, not all of them.

    Args:
        path: npy file.
        images: Number of training images.

    Raises:
        RemibenchError: The file is missing, damaged, or holds something else.
    """
    forget = load_array(path)
    if reason := wrong_positions(forget, images):
        raise unreadable(path, f"no forget set of {images} training images: {reason}")
    if len(forget) == images:
        raise unreadable(path, f"no forget set of {images} training images: it leaves none")
    return forget


def read_scores(path: str | Path, images: int) -> np.ndarray:
    """Read a priority (N,), finite, of every training image.

    Args:
        path: npy file.
        images: Number N of training images.

    Raises:
        RemibenchError: The file is missing, damaged, or holds something else.
    """
    scores = load_array(path)
    if scores.dtype.kind != "f" or scores.shape != (images,) or not np.isfinite(scores).all():
        raise unreadable(
            path,
            f"{scores.dtype} of shape {scores.shape}, expected finite floats of shape ({images},)",
        )
    return scores
