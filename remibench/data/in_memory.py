"""Images of users by role, in memory: what :class:`PreparedDataset` is for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL.Image import Image

from remibench.data.prepared import PreparedDataset
from remibench.errors import RemibenchError
from remibench.models.adapted import Transform
from remibench.seeding import derive_seed

# (images, labels) as tensors or arrays, or a ``torch.utils.data.Dataset`` of such pairs.
Labelled: TypeAlias = Any
PROBED = 8  # images of a Dataset that are asked for twice


class Data:
    """Images of a model that is to unlearn, by the roles of the protocol.

    Every argument is a pair (images, labels) of tensors or arrays, or a Dataset of such pairs.
    Images are uint8 or floating point, (N, channels, height, width); (N, height, width) gets one
    channel, and (N, height, width, channels) is turned round where the last axis alone can be that
    of the channels (1, 3 or 4 of them). Labels are integers (N,). A Dataset is read once, and so
    must be without random augmentation.

    Args:
        train: The images that the model was trained on, in the order that forget sets count in.
        test: Images that the model was not trained on. One part of them is ``out_of_sample``, on
            which the auditor's attacks are fitted and ReMI's loss is computed; the other is
            ``test``, seen by no method and no attack, on which all reports are made.
        shadow_train, shadow_test: Further images, which an attacker holds: those that a shadow
            model is trained on, and as many others that it is not. Neither is in ``train`` or
            ``test``. None where there are none: then no attack with a shadow model is made.
        transform: What a batch of images goes through on its way into the model, for instance
            ``torchvision.transforms.v2.Normalize(mean, std)``. None: uint8 images are divided by
            255, floating-point ones are taken as they are.
        out_of_sample_fraction: Share of ``test`` that becomes ``out_of_sample``, in (0, 1).
        seed: Seed of that division.

    Attributes:
        roles: Positions (int64, sorted) by role: ``target_train``, ``out_of_sample``, ``test`` and,
            where there are any, ``shadow_train`` and ``shadow_test``.
        transform: As given.

    Raises:
        RemibenchError: Images or labels have another form, their numbers differ, or a role would
            be empty.
    """

    def __init__(
        self,
        train: Labelled,
        test: Labelled,
        *,
        shadow_train: Labelled | None = None,
        shadow_test: Labelled | None = None,
        transform: Transform | None = None,
        out_of_sample_fraction: float = 0.5,
        seed: int = 0,
    ) -> None:
        if (shadow_train is None) != (shadow_test is None):
            raise RemibenchError(
                "`shadow_train` and `shadow_test` belong together: an attack learns from images "
                "that a shadow model was trained on and from others; give both or neither"
            )
        given = {"target_train": train, "test": test}
        if shadow_train is not None:
            given |= {"shadow_train": shadow_train, "shadow_test": shadow_test}
        names = {"target_train": "train"}
        parts = {role: labelled(names.get(role, role), part) for role, part in given.items()}
        first = parts["target_train"][0]
        for role, (images, _) in parts.items():
            if images.shape[1:] != first.shape[1:] or images.dtype != first.dtype:
                raise RemibenchError(
                    f"the images of `{names.get(role, role)}` are {images.dtype} of shape "
                    f"{tuple(images.shape[1:])}, those of `train` {first.dtype} of shape "
                    f"{tuple(first.shape[1:])}; prepare all of them alike"
                )
        self.transform = transform
        self._images = torch.cat([images for images, _ in parts.values()])
        self._labels = torch.cat([labels for _, labels in parts.values()])
        ends = np.cumsum([len(labels) for _, labels in parts.values()])
        self.roles: Mapping[str, np.ndarray] = {
            role: np.arange(end - len(labels), end)
            for (role, (_, labels)), end in zip(parts.items(), ends, strict=True)
        }
        held_out = self.roles["test"]
        count = round(out_of_sample_fraction * len(held_out))
        if not 0 < count < len(held_out):
            raise RemibenchError(
                f"`out_of_sample_fraction` = {out_of_sample_fraction} of {len(held_out)} images of "
                "`test` leaves an empty role; give more images or another fraction"
            )
        order = np.random.default_rng(derive_seed("out of sample", seed)).permutation(held_out)
        self.roles["out_of_sample"], self.roles["test"] = map(np.sort, np.split(order, [count]))

    @classmethod
    def of_prepared(cls, prepared: PreparedDataset, transform: Transform | None = None) -> Data:
        """The images of a prepared dataset, in the roles of its split."""
        data = cls.__new__(cls)
        every = np.arange(prepared.metadata["images"])
        data._images, data._labels = prepared.select(every, torch.device("cpu"))
        data.roles, data.transform = prepared.roles, transform
        return data

    def select(
        self, indices: np.ndarray, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels at positions (M,) among all images, on a device."""
        at = torch.from_numpy(indices)
        return self._images[at].to(device), self._labels[at].to(device)

    def role(
        self, name: str, device: torch.device | str = "cpu"
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels of a role, on a device.

        Raises:
            RemibenchError: There are no images of that role.
        """
        if name not in self.roles:
            raise RemibenchError(
                f"no images of the role {name!r}; there are {', '.join(self.roles)}"
                + ("; give `shadow_train` and `shadow_test`" if "shadow" in name else "")
            )
        return self.select(self.roles[name], torch.device(device))

    def check_labels(self, classes: int) -> None:
        """Hold all labels to a model's number of classes, see :func:`check_labels`."""
        check_labels("data", self._labels, classes)

    def forget_set(self, forget: Any, name: str = "`forget`") -> np.ndarray:
        """Check a forget set.

        Args:
            forget: Positions in ``train``, in any order, or a mask over it: a sequence, an array
                or a tensor.
            name: What messages call it.

        Returns:
            (F,) int64, sorted.

        Raises:
            RemibenchError: It is empty or the whole training set, names an image twice, or one
                that there is not.
        """
        size = len(self.roles["target_train"])
        given = torch.as_tensor(forget).cpu().numpy()
        if given.dtype == bool and given.shape == (size,):
            given = np.flatnonzero(given)
        if given.ndim != 1 or (given.size and not np.issubdtype(given.dtype, np.integer)):
            raise RemibenchError(
                f"{name} is {given.dtype} of shape {given.shape}; give positions (F,) among the "
                f"{size} training images, or a mask ({size},) of them"
            )
        positions, counts = np.unique(given, return_counts=True)
        if not 0 < len(positions) < size:
            raise RemibenchError(
                f"{name} has {len(positions)} of the {size} training images; give at least one, "
                "and keep at least one"
            )
        if positions[0] < 0 or positions[-1] >= size:
            wrong = positions[0] if positions[0] < 0 else positions[-1]
            raise RemibenchError(
                f"{name} has position {wrong}; there are {size} training images, 0 to {size - 1}"
            )
        if (counts > 1).any():
            raise RemibenchError(
                f"{name} has position {positions[counts > 1][0]} more than once; give it once"
            )
        return positions.astype(np.int64)


def check_labels(name: str, labels: torch.Tensor, classes: int) -> None:
    """Hold labels (N,) to a model's number of classes.

    Raises:
        RemibenchError: A label is none of them.
    """
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise RemibenchError(
            f"`{name}` has the label {wrong[0].item()}; the model has {classes} classes, 0 to "
            f"{classes - 1}"
        )


def labelled(name: str, part: Labelled) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a pair (images, labels) or a Dataset, which messages call by a name."""
    if isinstance(part, tuple | list) and len(part) != 2:
        raise RemibenchError(f"`{name}` has {len(part)} elements; give (images, labels)")
    if not isinstance(part, tuple | list):
        part = _read_dataset(name, part)
    images, labels = (_tensor(name, each) for each in part)
    if labels.dim() != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise RemibenchError(
            f"the labels of `{name}` are {labels.dtype} of shape {tuple(labels.shape)}; "
            "give integers (N,)"
        )
    if len(images) != len(labels) or len(labels) == 0:
        raise RemibenchError(
            f"`{name}` has {len(images)} images and {len(labels)} labels; give one label each, "
            "and at least one image"
        )
    if images.dim() == 4 and images.shape[-1] in (1, 3, 4) and images.shape[1] not in (1, 3, 4):
        images = images.permute(0, 3, 1, 2)
    if images.dim() == 3:
        images = images[:, None]
    if images.is_floating_point():
        images = images.float()
        if not images.isfinite().all():
            raise RemibenchError(f"an image of `{name}` is not finite; repair or remove it")
    elif images.dtype != torch.uint8:
        raise RemibenchError(f"the images of `{name}` are {images.dtype}; give uint8 or float")
    return images.contiguous(), labels.long()


def _tensor(name: str, values: Any) -> torch.Tensor:
    try:
        return torch.as_tensor(values).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise RemibenchError(
            f"`{name}` is no pair (images, labels) of tensors or arrays, and no Dataset of such "
            f"pairs: {error}"
        ) from error


def _read_dataset(name: str, dataset: Any) -> tuple[torch.Tensor, Sequence[int]]:
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise RemibenchError(
            f"`{name}` is a {type(dataset).__name__}; give (images, labels) or a Dataset"
        )
    images, labels = [], []
    for index in range(len(dataset)):
        image, label = _example(dataset, index)
        if index < PROBED and not torch.equal(image, _example(dataset, index)[0]):
            raise RemibenchError(
                f"`{name}` gives another image {index} every time; give the Dataset without "
                "random augmentation"
            )
        images.append(image)
        labels.append(label)
    if len({image.shape for image in images}) > 1:
        raise RemibenchError(f"the images of `{name}` differ in shape; give them one size")
    return torch.stack(images), labels


def _example(dataset: Any, index: int) -> tuple[torch.Tensor, int]:
    image, label = dataset[index]
    if isinstance(image, Image):
        image = np.array(image)
    return torch.as_tensor(image), int(label)
