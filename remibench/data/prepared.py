"""A prepared dataset as jobs read it: images and labels by role, and the spec of a classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from remibench.artifacts.io import load_array, load_arrays, load_json, unreadable
from remibench.data.splits import wrong_positions

# Both are imported by the methods that need them: `remibench.data` imports no torch, for which a
# reader of roles and metadata alone would wait longer than for all else.
if TYPE_CHECKING:
    import torch

    from remibench.models import ModelSpec


class RoleImages(Protocol):
    """Images by role, wherever they lie: all that an evaluation asks of a dataset.

    Attributes and methods as in :class:`PreparedDataset`.
    """

    roles: Mapping[str, np.ndarray]

    def select(
        self, indices: np.ndarray, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels at these positions, on a device."""

    def role(self, name: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Images and labels of a role, on a device."""


@dataclass(frozen=True)
class PreparedDataset:
    """The files of a prepared dataset, its metadata, and the roles of its split.

    Images and labels stay on disk. Each selection maps the images, checks both files, and copies
    the selected rows: nothing but a selection stays in memory.

    Attributes:
        images_path: npy file of (N, C, S, S) uint8 images.
        labels_path: npy file of (N,) int64 labels.
        metadata: What :func:`remibench.data.preparation.prepare_dataset` says of the images.
        roles: Sorted int64 positions among the N images by the name of their role, see
            :func:`remibench.data.splits.split_dataset`.
    """

    images_path: Path
    labels_path: Path
    metadata: dict[str, Any]
    roles: Mapping[str, np.ndarray]

    @classmethod
    def open(
        cls, images: str | Path, labels: str | Path, metadata: str | Path, splits: str | Path
    ) -> PreparedDataset:
        """Open the files that ``prepare_dataset`` and ``split_dataset`` wrote.

        Args:
            images, labels: npy files; read by :meth:`select`, not here.
            metadata: JSON file.
            splits: npz file of the roles.

        Raises:
            RemibenchError: The metadata or the splits are missing or damaged, or a role is none of
                images of this dataset.
        """
        record, roles = load_json(metadata), load_arrays(splits)
        for name, positions in roles.items():
            if reason := wrong_positions(positions, record["images"]):
                raise unreadable(splits, f"role {name} of {record['images']} images: {reason}")
        return cls(Path(images), Path(labels), record, roles)

    def select(
        self, indices: np.ndarray, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Read some images and their labels to a device.

        Args:
            indices: (M,) positions among the N images.
            device: Where the tensors are to lie.

        Returns:
            Images (M, C, S, S) uint8 and labels (M,) int64, in the order of ``indices``.

        Raises:
            RemibenchError: The images or the labels are missing or damaged, or are none.
        """
        import torch

        images, labels = load_array(self.images_path, mmap=True), load_array(self.labels_path)
        for path, array, dtype, axes in (
            (self.images_path, images, np.uint8, 4),
            (self.labels_path, labels, np.int64, 1),
        ):
            if array.dtype != dtype or array.ndim != axes or len(array) != len(labels):
                raise unreadable(
                    path,
                    f"{array.dtype} of shape {array.shape}, expected {np.dtype(dtype)} of {axes} "
                    f"axes, the first of length {len(labels)}",
                )
        return torch.from_numpy(images[indices]).to(device), torch.from_numpy(labels[indices]).to(
            device
        )

    def role(self, name: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Read the images and labels of a role to a device, see :meth:`select`."""
        return self.select(self.roles[name], device)

    def spec(self, architecture: str) -> ModelSpec:
        """Return the spec of a classifier of that architecture for these images."""
        from remibench.models import ModelSpec

        return ModelSpec.of(architecture, self.metadata)
