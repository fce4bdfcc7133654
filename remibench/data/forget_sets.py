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


def select_forget_set(labels: np.ndarray, ratio: float, scores: np.ndarray) -> np.ndarray:
    """Take the ceil(ratio·n_c) highest-scoring training images of every class c.

    The ceil per class reproduces the odd counts of the paper's Table I. Ties break by position.

    Args:
        labels: (N,) labels of the training set.
        ratio: Share to forget, in (0, 1).
        scores: (N,) priority: the membership probability for ``selection: membership``, the mean
            loss of all seeds' targets for ``selection: memorised``.

    Returns:
        Sorted int64 positions in the training set.

    Raises:
        RemibenchError: A class would keep no image.
    """
    chosen = []
    for label, images in zip(*np.unique(labels, return_counts=True), strict=True):
        count = forget_count(images, ratio)
        if count >= images:
            raise RemibenchError(
                f"forget ratio {ratio} takes {count} of the {images} training images of class "
                f"{label} and leaves none; lower the ratio or use more images"
            )
        members = np.flatnonzero(labels == label)
        ranking = np.argsort(-scores[members], kind="stable")
        chosen.append(members[ranking[:count]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


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
