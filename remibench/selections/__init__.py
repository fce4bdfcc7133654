"""Selections, one module each: which training images a target model is made to forget.

A selection has ``prioritise(images, *, …) -> priorities``: a number for every image, the larger the
sooner forgotten; NaN for an image that is never forgotten. Of every class, the forget ratio's share
of the images that have a number is forgotten. What follows the star is the selection's section of
the config, ``forgetting.<name>``; a parameter called ``path`` names a file, on which the forget
sets then depend.

What a module declares beside it:

- ``USES``: what it looks at beyond labels and positions, some of ``membership``, ``losses`` and
  ``attributes`` (see :class:`Images`). Without ``membership`` all seeds forget the same images.
- ``RESTRICTS = True``: it has NaN for some images, so that a forget set is no sample of the
  training set. A forget ratio is then a share of the others, and may be 1; and what is measured on
  the forget set is compared with unseen images that have a number, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from remibench.artifacts.io import load_array, load_arrays
from remibench.components.guards import guarded
from remibench.components.plugins import broken
from remibench.components.registry import selection_restricts, selection_uses
from remibench.data.forget_sets import random_scores, select_forget_set
from remibench.data.prepared import PreparedDataset
from remibench.errors import RemibenchError


@dataclass(frozen=True)
class Images:
    """The images of a role, as a selection sees them.

    Attributes:
        labels: (N,) int64.
        positions: (N,) int64, where they lie in the prepared dataset: in the order of its reader,
            the published train part before the test part.
        class_names: One name per class.
        dataset: The dataset's name in the config.
        split_seed: Seed of the split, the same for all model seeds.
        attributes: Columns (N,) of the dataset's metadata by name; none unless ``USES`` has
            "attributes", or where the dataset has none.
        values: The different values of each column in the whole dataset, of which these images
            may lack some.
        membership: (N,) probabilities of membership by white-box fingerprinting of this seed's
            target, where ``USES`` has "membership".
        losses: (N,) the mean cross-entropy over all seeds' targets, where ``USES`` has "losses".
    """

    labels: np.ndarray
    positions: np.ndarray
    class_names: Sequence[str]
    dataset: str
    split_seed: int
    attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)
    membership: np.ndarray | None = None
    losses: np.ndarray | None = None

    def random(self) -> np.ndarray:
        """Random priorities (N,) that depend on dataset and split alone: the same for all seeds."""
        return random_scores(len(self.labels), self.dataset, self.split_seed)


def read_images(
    dataset: PreparedDataset, role: str, split_seed: int, attributes: str | Path | None
) -> Images:
    """Read the images of a role, as a selection sees them before any model is trained.

    Args:
        dataset: The prepared dataset.
        role: Name of the role, see :func:`remibench.data.splits.split_dataset`.
        split_seed: Seed of the split.
        attributes: npz file of the dataset's columns, where the selection uses them, or None.

    Raises:
        RemibenchError: A file is missing or damaged.
    """
    positions = dataset.roles[role]
    columns = load_arrays(attributes) if attributes else {}
    return Images(
        labels=load_array(dataset.labels_path)[positions],
        positions=positions,
        class_names=dataset.metadata["class_names"],
        dataset=dataset.metadata["dataset"],
        split_seed=split_seed,
        attributes={name: column[positions] for name, column in columns.items()},
        values={name: np.unique(column) for name, column in columns.items()},
    )


def prioritise(name: str, images: Images, parameters: Mapping[str, Any]) -> np.ndarray:
    """The priorities (N,) float64 that the selection of that name gives to images.

    Raises:
        RemibenchError: The selection returned something else (names its file), or cannot be applied
            to this dataset.
    """
    module = f"remibench.selections.{name}"
    for array in (images.labels, images.positions, *images.attributes.values()):
        array.flags.writeable = False
    with guarded(module, "prioritise"):
        returned = import_module(module).prioritise(images, **parameters)
    try:
        priorities = np.asarray(returned, np.float64)
    except (TypeError, ValueError):
        priorities = None
    if priorities is None or priorities.shape != images.labels.shape:
        raise broken(
            module,
            f"`prioritise` returned {returned!r:.60} for {len(images.labels)} images; it returns a "
            "number for each, NaN for those that are never forgotten",
        )
    if not selection_restricts(name) and np.isnan(priorities).any():
        raise broken(
            module,
            f"`prioritise` gave NaN to {np.isnan(priorities).sum()} images, which are then never "
            "forgotten; declare RESTRICTS = True",
        )
    return priorities


def forget_set(
    name: str, images: Images, ratio: float, parameters: Mapping[str, Any]
) -> np.ndarray:
    """Select a forget set.

    Args:
        name: The selection's name in the config.
        images: The training images of the target.
        ratio: Share to forget, in (0, 1]: of every class, of the images that the selection does
            not exclude.
        parameters: The selection's section of the config.

    Returns:
        Sorted int64 positions in the training set.

    Raises:
        RemibenchError: No image is selected, or a class would keep none, or the training set would;
            or the selection broke its contract.
    """
    priorities = prioritise(name, images, parameters)
    try:
        return select_forget_set(images.labels, ratio, priorities)
    except RemibenchError as error:
        raise RemibenchError(f"`forgetting.selection: {name}`: {error}") from error


def unseen_alike(name: str, unseen: Images, parameters: Mapping[str, Any]) -> np.ndarray | None:
    """Unseen images of the kind that a selection forgets: those of the forgotten class, say.

    Args:
        name: The selection's name in the config.
        unseen: Images that no model was trained on.
        parameters: The selection's section of the config.

    Returns:
        Sorted int64 positions in ``unseen``; None where the selection is of all kinds of images,
        or does not tell which unseen images are alike (it asks for a target's view of them, or
        lists images one by one).

    Raises:
        RemibenchError: There are none, or the selection broke its contract.
    """
    known = set(selection_uses(name)) <= {"attributes"} and "path" not in parameters
    if not known or not selection_restricts(name):
        return None
    alike = np.flatnonzero(~np.isnan(prioritise(name, unseen, parameters)))
    if len(alike) in (0, len(unseen.labels)):
        raise RemibenchError(
            f"`forgetting.selection: {name}`: {len(alike)} of "
            f"{len(unseen.labels)} test images of {unseen.dataset} are of the kind to forget; "
            "unseen images of that kind and of others are needed to compare with"
        )
    return alike
