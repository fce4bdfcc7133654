"""Reading and writing artifacts: nothing half-written, nothing unpickled, clear errors.

Models are safetensors files with one JSON header, arrays are npy/npz without pickle, tables are
CSV, records are JSON. Every writer goes through :func:`atomic_path`.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from remibench.errors import DivergedError, RemibenchError

if TYPE_CHECKING:  # numpy-only jobs never import torch
    import torch

_HEADER = "remibench"  # a single metadata key: safetensors does not keep the order of several


@contextlib.contextmanager
def atomic_path(
    path: str | Path,
    remedy: str = "free space on that disk or choose another `results` directory",
) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name only when the block succeeds.

    Args:
        path: The final path.
        remedy: What to do when the file system refuses the write, for the error message.

    Raises:
        RemibenchError: The file system refused the write (disk full, read-only, no permission).
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.stem}.", suffix=path.suffix
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        raise RemibenchError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def save_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write named tensors and a JSON header (what the tensors are) to a safetensors file.

    The same tensors and header give the same bytes.

    Raises:
        DivergedError: A tensor is not finite: whatever made it diverged in its last step.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise DivergedError(
                f"{path} is not written: tensor {name!r} is not finite; lower the learning rate"
            )
    from safetensors.torch import save

    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = save(contiguous, metadata={_HEADER: json.dumps(header, sort_keys=True)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def load_tensors(
    path: str | Path, expected: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote, if its header says what ``expected`` says.

    Returns:
        The tensors on the CPU, and the whole header.

    Raises:
        RemibenchError: The file is missing, corrupt, truncated, not of this project, or its header
            differs from ``expected``; the message names the file, what was expected and found.
    """
    from safetensors import SafetensorError, safe_open

    remedy = "delete it and run snakemake again to make it anew"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        reason = (
            "no such file" if not Path(path).exists() else f"not a whole safetensors file ({error})"
        )
        raise RemibenchError(f"cannot read checkpoint {path}: {reason}; {remedy}") from error
    try:
        header = json.loads(metadata[_HEADER])
    except (KeyError, json.JSONDecodeError) as error:
        raise RemibenchError(
            f"checkpoint {path} was not written by remibench (no `{_HEADER}` header); {remedy}"
        ) from error
    for key, value in expected.items():
        if header.get(key) != value:
            raise RemibenchError(
                f"checkpoint {path} holds {key}={header.get(key)!r}, expected {value!r}; {remedy}"
            )
    return tensors, header


def fill_module(
    module: torch.nn.Module, tensors: Mapping[str, torch.Tensor], path: str | Path
) -> None:
    """Load tensors read from ``path`` into a module of exactly their names and shapes.

    The module may be on the meta device. It gets copies: what was read is a window on the file and
    changes with it.

    Raises:
        RemibenchError: A tensor is missing, unknown or of another shape; the message names it.
    """
    own = module.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in own.items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise RemibenchError(
                f"checkpoint {path}: tensor {name!r} has shape {found.get(name, 'missing')}, "
                f"expected {wanted.get(name, 'no such tensor')}; it belongs to another "
                "architecture, image size or number of classes"
            )
    copies = {name: tensors[name].to(tensor.dtype, copy=True) for name, tensor in own.items()}
    module.load_state_dict(copies, assign=True)


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array as npy, without pickle."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load_array(path: str | Path, mmap: bool = False) -> np.ndarray:
    """Read one npy array, memory-mapped if asked for.

    Raises:
        RemibenchError: The file is missing, truncated, or would need unpickling.
    """
    try:
        return np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise RemibenchError(
            f"cannot read array {path}: {error}; delete it and run snakemake again to make it anew"
        ) from error


def load_images(
    images_path: str | Path, labels_path: str | Path, indices: np.ndarray, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read some images (uint8, N×C×S×S) and labels (int64, N) of a prepared dataset to a device."""
    import torch

    images, labels = load_array(images_path, mmap=True), load_array(labels_path)
    return torch.from_numpy(images[indices]).to(device), torch.from_numpy(labels[indices]).to(
        device
    )


def save_json(path: str | Path, record: Any) -> None:
    """Write a JSON record with sorted keys."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_json(path: str | Path) -> Any:
    """Read a JSON record.

    Raises:
        RemibenchError: The file is missing or not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RemibenchError(
            f"cannot read {path}: {error}; delete it and run snakemake again to make it anew"
        ) from error


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as npz, without pickle."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read the named arrays of an npz file.

    Raises:
        RemibenchError: The file is missing, damaged, or would need unpickling.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise RemibenchError(
            f"cannot read arrays {path}: {error}; delete it and run snakemake again to make it anew"
        ) from error


def save_table(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write records as CSV; floats with the fewest digits that read back to the same number.

    The columns are those of the first record that has the most. (Not pandas: its import takes
    longer than many jobs.)
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, max(rows, key=len).keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class EpochCheckpoint:
    """Where a long job keeps its progress, so that an interrupted job resumes.

    The file lies outside the declared outputs (Snakemake removes those of a failed job) under a
    name made from the job's parameters: a job with other parameters never picks it up. Every
    epoch's randomness is derived from the seed and the epoch number, so model, optimiser and
    history are the whole state.

    Args:
        directory: Directory for progress files.
        key: Whatever determines the job's result; JSON-serialisable.
        every_seconds: Save at most this often; a run shorter than this never writes.
    """

    def __init__(self, directory: str | Path, key: Any, every_seconds: float = 60.0) -> None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.path = Path(directory) / f"{digest[:32]}.safetensors"
        self._expected = {"kind": "epoch checkpoint", "key": digest}
        self._every_seconds = every_seconds
        self._last = time.monotonic()

    def save(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        history: list[dict[str, float]],
    ) -> None:
        """Save the state after an epoch, unless the last save was moments ago."""
        if time.monotonic() - self._last < self._every_seconds:
            return
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        state = optimizer.state_dict()["state"]
        for parameter, values in state.items():
            tensors |= {f"optimizer.{parameter}.{name}": value for name, value in values.items()}
        save_tensors(self.path, tensors, {**self._expected, "history": history})
        self._last = time.monotonic()

    def restore(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> list[dict[str, float]]:
        """Load the saved state, if there is one, and return the history of the finished epochs."""
        import torch

        if not self.path.exists():
            return []
        try:
            tensors, header = load_tensors(self.path, self._expected)
        except RemibenchError:  # an unreadable progress file costs time, not correctness
            self.path.unlink()
            return []
        model.load_state_dict(
            {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
        )
        states: dict[int, dict[str, torch.Tensor]] = {}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, field = name.split(".", 2)
                parameter = parameters[int(index)]
                if value.shape == parameter.shape:  # fused optimizers need the same memory layout
                    value = torch.empty_like(parameter).copy_(value)
                states.setdefault(int(index), {})[field] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
        return header["history"]

    def delete(self) -> None:
        """Remove the saved state; called once the job's outputs are complete."""
        self.path.unlink(missing_ok=True)
