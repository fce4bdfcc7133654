"""Per-image outputs of a method's models, which are compared across seeds, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from remibench.artifacts.io import load_arrays, save_arrays, unreadable

if TYPE_CHECKING:  # what is compared across seeds needs no torch
    import torch

    from remibench.attacks.features import MembershipFeatures

SUBSETS = ("forget", "retain", "test", "out_of_sample")  # by their number in ``Scores.subset``
_MEMBERS = "member_"


@dataclass(frozen=True)
class Scores:
    """Outputs of one method's models of one target for N images, at R forget ratios.

    Attributes:
        images: (N,) int64 positions in the prepared dataset: the training set, then the roles
            ``test`` and ``out_of_sample``.
        ratios: (R,) float64 forget ratios.
        subset: (R, N) uint8, the place in ``SUBSETS`` of every image at every ratio.
        margins: (M, N) float32, see :func:`margins`. M is R, or 1 where all ratios have the same
            model (``original``).
        members: P(member) of every attack by its name (``mia_whitebox`` …), (M, N) float32.
        predicted: Class with the largest output, (M, N) int16.
        alike: (N,) bool, the test images of the kind that is forgotten; None where it is no kind.
    """

    images: np.ndarray
    ratios: np.ndarray
    subset: np.ndarray
    margins: np.ndarray
    members: Mapping[str, np.ndarray]
    predicted: np.ndarray
    alike: np.ndarray | None = None

    def at(self, ratio: int, of: np.ndarray) -> np.ndarray:
        """The row (N,) of ``margins``, ``predicted`` or one of ``members`` at a ratio's place."""
        return of[min(ratio, len(of) - 1)]


def margins(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """φ = log p_y − log Σ_{c≠y} p_c of every image, the logit of its label's probability.

    Computed in double precision as z_y − log Σ_{c≠y} exp z_c: the normalisation cancels, and no
    probability is ever rounded to 1. From φ follow p_y = 1 / (1 + e^−φ) and the cross-entropy
    log(1 + e^−φ). Stored in single precision: half precision would tie images that an attack at a
    low false-positive rate must tell apart.

    Args:
        logits: (N, C) outputs z, C ≥ 2.
        labels: (N,) true labels y.

    Returns:
        (N,) float32.
    """
    others = logits.astype(np.float64)
    place = np.arange(len(labels)), labels
    labelled = others[place]
    others[place] = -np.inf
    greatest = others.max(axis=1)
    rest = greatest + np.log(np.exp(others - greatest[:, None]).sum(axis=1))
    return (labelled - rest).astype(np.float32)


def score_images(
    parts: Iterable[tuple[MembershipFeatures, Mapping[str, torch.Tensor]]],
) -> dict[str, np.ndarray]:
    """A model's ``margins``, ``predicted`` classes and every attack's P(member), of all images.

    Args:
        parts: Attack features of sets of images, which are put one behind the other, and every
            attack's P(member) (N,) of them.

    Returns:
        (N,) float32 arrays, and int16 classes, by name; P(member) by the name of the attack.
    """
    outputs: dict[str, list[np.ndarray]] = {}
    for features, scores in parts:
        labels = features.label.argmax(dim=1).cpu().numpy()
        logits = features.logits.cpu().numpy()
        of_part = {"margins": margins(logits, labels)}
        of_part["predicted"] = logits.argmax(axis=1).astype(np.int16)
        of_part |= {name: values.cpu().numpy() for name, values in scores.items()}
        for name, values in of_part.items():
            outputs.setdefault(name, []).append(values)
    return {name: np.concatenate(values) for name, values in outputs.items()}


def join_scores(
    images: np.ndarray,
    divisions: Mapping[float, Mapping[str, np.ndarray]],
    outputs: Sequence[Mapping[str, np.ndarray]],
) -> Scores:
    """Put the outputs of a method's models together.

    Args:
        images: (N,) positions in the prepared dataset.
        divisions: Positions in ``images`` of each of ``SUBSETS``, by forget ratio.
        outputs: Outputs of :func:`score_images`, one per ratio, or one for all.
    """
    subset = np.empty((len(divisions), len(images)), np.uint8)
    for numbers, division in zip(subset, divisions.values(), strict=True):
        for number, name in enumerate(SUBSETS):
            numbers[division[name]] = number
    values = {name: np.stack([output[name] for output in outputs]) for name in outputs[0]}
    ratios = np.array(list(divisions))
    margins, predicted = values.pop("margins"), values.pop("predicted")
    return Scores(images, ratios, subset, margins, values, predicted)


def save_scores(path: str | Path, scores: Scores) -> None:
    """Write the scores as npz, without pickle."""
    members = {f"{_MEMBERS}{name}": values for name, values in scores.members.items()}
    fields = ("images", "ratios", "subset", "margins", "predicted")
    arrays = {name: getattr(scores, name) for name in fields}
    if scores.alike is not None:
        arrays["alike"] = scores.alike
    save_arrays(path, {**arrays, **members})


def load_scores(path: str | Path, attacks: Sequence[str] | None = None) -> Scores:
    """Read scores; of the attacks those that are named, or all.

    Raises:
        RemibenchError: The file is missing, damaged, or holds something else.
    """
    arrays = load_arrays(path)
    members = {
        name.removeprefix(_MEMBERS): arrays.pop(name)
        for name in list(arrays)
        if name.startswith(_MEMBERS)
    }
    if attacks is not None:
        members = {name: members[name] for name in attacks}
    try:
        scores = Scores(**arrays, members=members)
    except TypeError as error:
        raise unreadable(path, f"it holds no scores ({error})") from error
    if wrong := _wrong(scores):
        raise unreadable(path, f"it holds no scores: {wrong}")
    return scores


def _wrong(scores: Scores) -> str | None:
    """Say which array is not what :class:`Scores` says, if one is not."""
    images, ratios, models = scores.images, scores.ratios, len(np.atleast_1d(scores.margins))
    count = images.size
    shapes = {
        "images": (images, "i", (count,)),
        "ratios": (ratios, "f", (ratios.size,)),
        "subset": (scores.subset, "u", (ratios.size, count)),
        "margins": (scores.margins, "f", (models, count)),
        **{name: (values, "f", (models, count)) for name, values in scores.members.items()},
        **({} if scores.alike is None else {"alike": (scores.alike, "b", (count,))}),
    }
    for name, (array, kind, shape) in shapes.items():
        if array.dtype.kind != kind or array.shape != shape:
            return f"{name} is {array.dtype} of shape {array.shape}, expected {shape}"
    if not count or images.min() < 0 or len(np.unique(images)) < count:
        return "the positions of its images are none, negative or repeated"
    if models not in (1, ratios.size) or scores.subset.max() >= len(SUBSETS):
        return f"{models} models at {ratios.size} ratios, subsets 0…{scores.subset.max()}"
    return None
