"""Reading and writing artifacts: nothing half-written, nothing unpickled, clear errors.

Models are safetensors files with one JSON header, arrays are npy/npz without pickle, tables are
CSV, records are JSON. Every writer goes through :func:`atomic_path`. Binary files hold a CRC-32
that every reader checks: in the header of safetensors, behind the array in npy, and that of zip in
npz. Text files, which are small, are only checked for being whole and well-formed. The artifacts
of single jobs also state which they are (:mod:`remibench.artifacts.identity`), at the same places
and in a key of JSON records, and every reader compares that with the path that it reads.
"""

from __future__ import annotations

import contextlib
import glob
import json
import logging
import os
import shlex
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from remibench.artifacts import lock
from remibench.artifacts.identity import KEY, mismatch, origin, state
from remibench.artifacts.identity import sha256 as sha256  # for whoever reads raw files
from remibench.artifacts.paths import identify, place
from remibench.errors import DivergedError, RemibenchError

if TYPE_CHECKING:  # many jobs never import these
    import torch

logger = logging.getLogger("remibench")

_HEADER = "remibench"  # a single metadata key: safetensors does not keep the order of several
_NPY_END = b"CRC-32: "  # behind the array, where numpy does not look; 8 hexadecimal digits follow
_NPY_END_SIZE = len(_NPY_END) + 8
_NPY_IDENTITY = b"IDENTITY"  # between its JSON and the length of that, 8 hexadecimal digits
_MAX_YAML, _MAX_DEPTH = 2**20, 32  # letters and levels; ours have 5,000 and four
_CHUNK = 2**24  # bytes that a checksum reads at once


def unreadable(path: str | Path, reason: object) -> RemibenchError:
    """The error of an artifact that cannot be read: its file, the reason, and how to remake it."""
    return RemibenchError(
        f"cannot read {path}: {reason}; `rm {shlex.quote(str(path))}` and run the same snakemake "
        "command again, which makes it anew"
    )


@contextlib.contextmanager
def atomic_path(
    path: str | Path, remedy: str = "free space on that disk or choose another `results` directory"
) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name only when the block succeeds.

    In a job, it does so only if the results tree still is that of the job's run.

    Args:
        path: The final path.
        remedy: Remedy for a write that the file system refuses, for the error message.

    Raises:
        RemibenchError: The file system refused the write (disk full, read-only, no permission), or
            another run writes the results tree (:mod:`remibench.artifacts.lock`).
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
        lock.check()
        temporary.replace(path)
    except OSError as error:
        raise RemibenchError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_leftovers(path: str | Path) -> None:
    """Remove what :func:`atomic_path` left beside ``path`` in a process that was killed.

    To be called by the only process that writes ``path``.
    """
    path = Path(path)
    name = f".{glob.escape(path.stem)}.????????{glob.escape(path.suffix)}"  # as mkstemp's
    for leftover in path.parent.glob(name):
        leftover.unlink(missing_ok=True)


def save_tensors(
    path: str | Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]
) -> None:
    """Write named tensors and a JSON header (what the tensors are) to a safetensors file.

    The same tensors and header give the same bytes. The format has no checksum: the header gets
    one, ``crc32``, of itself and of the tensors. An artifact's header also states which it is.

    Raises:
        DivergedError: A tensor is not finite: whatever made it diverged in its last step.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise DivergedError(
                f"{path} is not written: tensor {name!r} is not finite; lower the learning rate"
            )
    from safetensors.torch import save

    if (stated := state(path)) is not None:
        header = {**header, KEY: stated}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sealed = {**header, "crc32": _tensors_crc32(contiguous, header)}
    # Keys keep their order: that of a history's records is the order of its columns.
    data = save(contiguous, metadata={_HEADER: json.dumps(sealed)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def _tensors_crc32(tensors: Mapping[str, torch.Tensor], header: Mapping[str, Any]) -> str:
    import torch

    checksum = zlib.crc32(json.dumps(header).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        what = f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        checksum = zlib.crc32(what.encode(), checksum)
        checksum = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy(), checksum)
    return f"{checksum:08x}"


def load_tensors(
    path: str | Path, expected: Mapping[str, Any]
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what :func:`save_tensors` wrote, if its header says what ``expected`` says.

    Returns:
        The tensors on the CPU, and the whole header.

    Raises:
        RemibenchError: The file is missing, damaged, not of this project, another than its path
            says, or its header differs from ``expected``; the message names the file, the expected
            value and the actual one.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except FileNotFoundError as error:
        raise unreadable(path, "no such file") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise unreadable(path, f"not a whole safetensors file ({error})") from error
    try:
        header = json.loads(metadata[_HEADER])
        stated = header.pop("crc32")
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise unreadable(path, f"not written by remibench (no `{_HEADER}` header)") from error
    if stated != (actual := _tensors_crc32(tensors, header)):
        raise unreadable(path, f"damaged (CRC-32 {actual}, expected {stated})")
    _check_identity(path, header.get(KEY))
    for key, value in expected.items():
        if header.get(key) != value:
            raise unreadable(path, f"it holds {key}={header.get(key)!r}, expected {value!r}")
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
    state = module.state_dict()
    wanted = {name: tuple(tensor.shape) for name, tensor in state.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for name in sorted(wanted.keys() | shapes.keys()):
        if wanted.get(name) != shapes.get(name):
            raise unreadable(
                path,
                f"tensor {name!r} has shape {shapes.get(name, 'missing')}, expected "
                f"{wanted.get(name, 'no such tensor')}: another architecture, image size or number "
                "of classes",
            )
    copies = {name: tensors[name].to(tensor.dtype, copy=True) for name, tensor in state.items()}
    module.load_state_dict(copies, assign=True)


def _check_identity(path: str | Path, stated: Any) -> None:
    if stated is not None and not isinstance(stated, Mapping):
        raise unreadable(path, f"it says of itself {stated!r:.80}")
    if (reason := mismatch(path, stated)) is not None:
        raise unreadable(path, reason)
    current = origin()
    if not (current and stated and identify(path)):
        return
    # A model that was brought in may come from the same place of another tree.
    inputs = {at: sha for at, sha in stated.get("inputs", {}).items() if at != place(path)}
    if other := current.other_input(inputs):
        input_path, reason = other
        _refuse_damaged(input_path)  # or that is the file to make anew
        raise unreadable(path, reason)


def _refuse_damaged(path: str) -> None:
    if Path(path).suffix == ".json":
        load_json(path)
    check_file(path)


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write one array as npy, without pickle, its identity and a checksum behind it."""
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        seal_array(temporary, path)


def seal_array(temporary: Path, path: str | Path) -> None:
    """Append what :func:`load_array` checks to a finished npy file.

    Args:
        temporary: The file.
        path: The name that it is going to have.
    """
    with temporary.open("r+b") as file:
        if (stated := state(path)) is not None:
            text = json.dumps(stated).encode()
            file.seek(0, os.SEEK_END)
            file.write(text + _NPY_IDENTITY + b"%08x" % len(text))
            file.seek(0)
        checksum = _file_crc32(file, os.fstat(file.fileno()).st_size)
        file.write(_NPY_END + checksum)


def _npy_identity(file: BinaryIO, end: int) -> dict[str, Any] | None:
    """What an npy file says of itself before the checksum, which begins at ``end``."""
    size = len(_NPY_IDENTITY) + 8
    file.seek(max(end - size, 0))
    mark = file.read(size)
    if not mark.startswith(_NPY_IDENTITY):
        return None
    length = int(mark[len(_NPY_IDENTITY) :], 16)
    file.seek(end - size - length)
    return json.loads(file.read(length))


def _file_crc32(file: BinaryIO, size: int) -> bytes:
    """CRC-32 of the next ``size`` bytes, as 8 hexadecimal digits."""
    checksum = 0
    while size and (chunk := file.read(min(size, _CHUNK))):
        checksum = zlib.crc32(chunk, checksum)
        size -= len(chunk)
    return b"%08x" % checksum


def load_array(path: str | Path, mmap: bool = False) -> np.ndarray:
    """Read one npy array, memory-mapped if asked for, after checking its checksum.

    Raises:
        RemibenchError: The file is missing, damaged, another than its path says, or would need
            unpickling.
    """
    try:
        with Path(path).open("rb") as file:
            end = Path(path).stat().st_size - _NPY_END_SIZE
            actual = _file_crc32(file, end)
            if file.read() != _NPY_END + actual:
                raise ValueError(f"damaged, or not written by remibench; CRC-32 {actual.decode()}")
            stated = _npy_identity(file, end)
        array = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except FileNotFoundError as error:
        raise unreadable(path, "no such file") from error
    except Exception as error:  # numpy believes the shape and the syntax that a header states
        raise unreadable(path, f"not a whole npy file ({error!r})") from error
    _check_identity(path, stated)
    return array


def array_identity(path: str | Path) -> dict[str, Any] | None:
    """What an npy file that :func:`load_array` can read says of itself; None if nothing."""
    with Path(path).open("rb") as file:
        return _npy_identity(file, Path(path).stat().st_size - _NPY_END_SIZE)


def save_json(path: str | Path, record: Any) -> None:
    """Write a JSON record with sorted keys."""
    if (stated := state(path)) is not None:
        record = {**record, KEY: stated}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_json(path: str | Path) -> Any:
    """Read a JSON record as it was given to :func:`save_json`.

    Raises:
        RemibenchError: The file is missing, not JSON, or another than its path says.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise unreadable(path, "no such file") from error
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, f"not a whole JSON file ({error})") from error
    if identify(path):
        _check_identity(path, record.pop(KEY, None) if isinstance(record, dict) else None)
    return record


def load_yaml(path: str | Path) -> Any:
    """Read a YAML file of a results tree: plain values, no aliases, little nesting.

    Raises:
        RemibenchError: The file is missing, no YAML, or one with which few lines can be many.
    """
    import yaml

    try:
        text = Path(path).read_text(encoding="utf-8")
        if len(text) > _MAX_YAML:
            raise ValueError(f"it has more than {_MAX_YAML:,} letters")
        depth = 0
        for event in yaml.parse(text):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH or isinstance(event, yaml.AliasEvent):
                raise ValueError("it has aliases or deep nesting, with which few lines can be many")
        return yaml.safe_load(text)
    except FileNotFoundError as error:
        raise RemibenchError(
            f"cannot read {path}: no such file; every results tree has one"
        ) from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise unreadable(path, f"not a whole YAML file ({error})") from error


def load_settings(path: str | Path, *axes: str) -> dict[str, Any]:
    """Read the resolved config of a results tree.

    Args:
        path: The file.
        axes: Keys that are to hold lists.

    Raises:
        RemibenchError: As :func:`load_yaml`, or it holds no keys, or no list of one of the axes.
    """
    config = load_yaml(path)
    if not isinstance(config, dict):
        raise unreadable(path, "no config: it holds no keys")
    for key in axes:
        if not isinstance(config.get(key), list):
            raise unreadable(path, f"no config: it lacks a list of {key}")
    return config


def check_file(path: str | Path) -> None:
    """Compare a model's, an attack's or an array's file with its checksum.

    Raises:
        RemibenchError: It is damaged, or another than its path says.
    """
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        load_tensors(path, {})
    elif suffix == ".npy":
        load_array(path, mmap=True)
    elif suffix == ".npz":
        load_arrays(path)


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as npz, without pickle; the member ``identity`` says which they are."""
    if (stated := state(path)) is not None:
        arrays = {**arrays, KEY: np.array(json.dumps(stated))}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read the named arrays of an npz file as they were given to :func:`save_arrays`.

    Raises:
        RemibenchError: The file is missing, damaged, another than its path says, or would need
            unpickling.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if sum(entry.file_size for entry in file.infolist()) > Path(path).stat().st_size:
                raise ValueError("it unpacks to more than it holds")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("it holds something else than arrays")
        stated = json.loads(str(arrays.pop(KEY, "null"))) if identify(path) else None
    except FileNotFoundError as error:
        raise unreadable(path, "no such file") from error
    except Exception as error:  # zipfile believes lengths and methods that a damaged file states
        raise unreadable(path, f"not a whole npz file ({error!r})") from error
    _check_identity(path, stated)
    return arrays
