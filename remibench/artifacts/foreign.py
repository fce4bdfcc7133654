"""Files that remibench did not write: checkpoints, arrays, functions of a user.

Nothing is unpickled. What runs code is a function that the user names in a file of Python.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from remibench.errors import RemibenchError

PICKLES = (".pt", ".pth", ".bin", ".ckpt")  # read by PyTorch's weights-only loader


def load_function(place: str, folder: Path) -> Callable[..., Any]:
    """Import ``file.py:function``.

    Args:
        place: The file, relative to ``folder``, and a name in it. Its folder is put on the path,
            so that it can import its neighbours.
        folder: The folder that relative paths start from.

    Raises:
        RemibenchError: There is no such file or function, or to import it failed.
    """
    name, colon, function = place.rpartition(":")
    path = folder / Path(name).expanduser()
    if not colon or not path.is_file() or path.suffix != ".py":
        raise RemibenchError(f"{place!r} names no function; write FILE.py:FUNCTION, of a file")
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RemibenchError(f"{path}: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, function, None)):
        raise RemibenchError(f"{path} defines no function {function!r}")
    return getattr(module, function)


def load_weights(path: Path, module: nn.Module) -> nn.Module:
    """Fill a module with a checkpoint of exactly its names and shapes, and return it.

    Args:
        path: A safetensors file, or one that ``torch.save`` wrote of a ``state_dict`` or of a
            dictionary with an entry ``state_dict``. The latter is read by PyTorch's weights-only
            loader, which runs nothing of it.
        module: The module, on any device.

    Raises:
        RemibenchError: The file is missing, damaged, holds objects other than tensors, or tensors
            of another model; the message names the file and the first tensor.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors = load_file(path)
        elif path.suffix in PICKLES:
            tensors = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise RemibenchError(
                f"{path}: a checkpoint's name ends with .safetensors or {', '.join(PICKLES)}"
            )
    except FileNotFoundError as error:
        raise RemibenchError(f"{path}: no such file") from error
    except RemibenchError:
        raise
    except Exception as error:  # each loader has many kinds of its own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise RemibenchError(
            f"cannot read {path}: {first:.200}; save `model.state_dict()` as safetensors"
        ) from error
    if isinstance(tensors, Mapping) and isinstance(tensors.get("state_dict"), Mapping):
        tensors = tensors["state_dict"]
    if not isinstance(tensors, Mapping):
        raise RemibenchError(f"{path} holds a {type(tensors).__name__}; save `model.state_dict()`")
    found = {name: tuple(getattr(value, "shape", ())) for name, value in tensors.items()}
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    for name in [*wanted, *found]:
        if found.get(name) != wanted.get(name):
            raise RemibenchError(
                f"{path} is of another model: tensor {name!r} has shape "
                f"{found.get(name, 'missing')}, the model's has {wanted.get(name, 'none')}"
            )
    module.load_state_dict(tensors)
    return module


def load_numbers(path: Path) -> np.ndarray:
    """Read an npy file.

    Raises:
        RemibenchError: The file is missing, damaged, or would need unpickling.
    """
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise RemibenchError(f"{path}: no such file") from error
    except (OSError, ValueError, EOFError) as error:
        raise RemibenchError(
            f"cannot read {path}: {error}; write it by numpy.save, of a plain array"
        ) from error
