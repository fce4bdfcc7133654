"""Promises of plug-ins that are checked whenever one runs, besides by the contract tests.

Each costs a few checksums. The package's own components keep them by their tests, and are not
checked again.
"""

from __future__ import annotations

import contextlib
import random
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from remibench.components.plugins import broken, plugin_files

if TYPE_CHECKING:  # metrics across seeds need no torch
    import torch


def is_plugin(module: str) -> bool:
    """Tell whether a module, by its full name, is one of an active plug-in folder."""
    return module in plugin_files()


def checksums(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """CRC-32 of the bytes of each tensor."""
    import torch

    return {
        name: zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
        for name, tensor in tensors.items()
    }


@contextlib.contextmanager
def guarded(
    module: str,
    function: str,
    *,
    unchanged: Mapping[str, torch.Tensor] | None = None,
    evaluating: torch.nn.Module | None = None,
    draws: tuple[str, ...] = (),
) -> Iterator[None]:
    """Hold a plug-in's function, which the block calls, to what it leaves alone.

    Args:
        module: Full name of the component's module; nothing is checked unless it is a plug-in's.
        function: The function's name, for the error.
        unchanged: Tensors that it does not change, by the name that the error has.
        evaluating: A module that it leaves in evaluation mode.
        draws: Global generators that it may draw from: ``torch`` where the caller has seeded it.

    Raises:
        RemibenchError: A tensor was changed, a module left in training mode, or a global random
            generator used; names the plug-in's file.
    """
    if not is_plugin(module):
        yield
        return
    before, generators = checksums(unchanged or {}), _generators(draws)
    yield
    for name, checksum in checksums(unchanged or {}).items():
        if checksum != before[name]:
            raise broken(module, f"`{function}` changed {name}; it leaves it as it is (copy it)")
    if evaluating is not None and evaluating.training:
        raise broken(module, f"`{function}` left the model in training mode; end with .eval()")
    for name, state in _generators(draws).items():
        if state != generators.get(name, state):
            raise broken(
                module,
                f"`{function}` drew from the global random generator of {name}, so that its result "
                "depends on what ran before; make a generator from the seed that it is given",
            )


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter and persistent buffer of a model."""
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def check_model(
    module: str, function: str, model: torch.nn.Module, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Hold a model that a component changed in place to what others take it for.

    Raises:
        RemibenchError: A tensor is missing, new or of another shape, or the model is in training
            mode; names the component's file.
    """
    if wrong := set(shapes.items()) ^ set(shapes_of(model).items()):
        raise broken(
            module, f"`{function}` changed the shape of {min(wrong)[0]!r}; it changes values alone"
        )
    if model.training:
        raise broken(
            module, f"`{function}` left the model in training mode; end with task.model.eval()"
        )


def _generators(draws: tuple[str, ...]) -> dict[str, object]:
    keys, place = np.random.get_state()[1:3]  # noqa: NPY002 - to see whether somebody used it
    states = {"numpy": (keys.tobytes(), place), "Python's module random": random.getstate()}
    if torch := sys.modules.get("torch"):  # no job imports it for this
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return {name: state for name, state in states.items() if name not in draws}


def check_rows(
    module: str, measured: object, subsets: Iterable[str]
) -> list[tuple[str, str, float]]:
    """The rows that a metric yields, each (subset, metric, number) once.

    Raises:
        RemibenchError: It returned no rows, one of them is something else, or two are of the same
            quantity; names the metric's file.
    """
    if not isinstance(measured, Iterable):
        raise broken(
            module, f"`measure` returned {measured!r:.80}; it yields (subset, metric, number)"
        )
    known, rows = [*subsets], {}
    for row in measured:
        match row:
            case (str() as subset, str() as metric, Real()) if metric and subset in (*known, ""):
                if (subset, metric) in rows:
                    raise broken(
                        module,
                        f"`measure` yielded {metric!r} of {subset or 'no subset'} twice, which "
                        "would be averaged; yield it once",
                    )
                rows[subset, metric] = row
            case _:
                raise broken(
                    module,
                    f"`measure` yielded {row!r:.80}; it yields (subset, metric, number), the "
                    f'subset one of {", ".join(known)} and ""',
                )
    return list(rows.values())


def check_history(
    module: str,
    history: object,
    elapsed: float | None = None,
    snapshot: Mapping[str, float] | None = None,
) -> None:
    """Hold the history of an unlearning method to its form.

    Args:
        module: Full name of the method's module.
        history: What ``unlearn`` returned.
        elapsed: Seconds that ``unlearn`` took; None where it resumed an earlier run.
        snapshot: That of the target, which a record of epoch 0 has to hold; None: not compared.

    Raises:
        RemibenchError: It is no list of records of numbers, its epochs are not 1, 2, … (with or
            without the target's snapshot as epoch 0), or its seconds are not those of epochs; names
            the method's file.
    """
    if not isinstance(history, list) or not history or not all(map(_is_record, history)):
        raise broken(
            module,
            f"`unlearn` returned {history!r:.80}; it returns one record of numbers per epoch, with "
            "`epoch` and `seconds`",
        )
    epochs = [record["epoch"] for record in history]
    at_target = "accuracy_forget" in history[0] and all(
        history[0].get(name) == value for name, value in (snapshot or {}).items()
    )
    first = 0 if epochs[0] == 0 and at_target else 1
    if epochs != list(range(first, first + len(epochs))):
        raise broken(
            module,
            f"`unlearn` numbered its epochs {', '.join(map(str, epochs[:4]))}"
            f"{', …' if len(epochs) > 4 else ''}; they are 1, 2, 3, …, a record each (epoch 0 is "
            "the target, with **task.snapshot())",
        )
    seconds = [record["seconds"] for record in history]
    total = sum(seconds)
    if not all(0 <= each < float("inf") for each in seconds) or (
        elapsed is not None and total > 1.01 * elapsed + 0.01
    ):
        took = "" if elapsed is None else f", of {elapsed:.3g} s that it took"
        raise broken(
            module,
            f"`unlearn` recorded {total:.3g} s{took}; `seconds` are of one epoch each, not since "
            "the start",
        )


def _is_record(record: object) -> bool:
    return (
        isinstance(record, Mapping)
        and {"epoch", "seconds"} <= record.keys()
        and all(isinstance(value, Real) for value in record.values())
    )
