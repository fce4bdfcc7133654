"""Times two functions in turn, and writes tables."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence

REPEATS = 5


def seconds(function: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, and of the kernels that it left to a GPU."""
    _wait_for_gpu()
    started = time.perf_counter()
    function()
    _wait_for_gpu()
    return time.perf_counter() - started


def _wait_for_gpu() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def compare(
    ours: Callable[[], object],
    reference: Callable[[], object],
    share: float = 1.0,
    repeats: int = REPEATS,
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of both, called in turn so that a drifting machine favours neither, and the ratios.

    Args:
        ours, reference: What to time. Ours runs once before, unmeasured.
        share: The share of ours' work that the reference does; its seconds are divided by it.
        repeats: Pairs of calls.
    """
    ours()
    pairs = [(seconds(ours), seconds(reference) / share) for _ in range(repeats)]
    fast, slow = (list(values) for values in zip(*pairs, strict=True))
    return fast, slow, [b / a for a, b in pairs]


def spread(values: Sequence[float], digits: int = 3) -> str:
    """``median (least–greatest)``, to that many significant digits."""
    numbers = [statistics.median(values), min(values), max(values)]
    middle, least, greatest = (f"{float(f'{number:.{digits}g}'):g}" for number in numbers)
    return f"{middle} ({least}–{greatest})"


def ratio_row(name: str, timed: tuple[list[float], list[float], list[float]], target: float):
    """A row of a table of ratios, its ratio beside the least that it is meant to be."""
    ours, reference, ratios = timed
    met = "yes" if statistics.median(ratios) >= target else "**no**"
    print(f"{name}: {statistics.median(ratios):.3g}×", file=sys.stderr, flush=True)
    return [name, spread(ours), spread(reference), spread(ratios), f"{target:g}", met]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str) -> str:
    """A section in Markdown."""
    lines = [f"## {title}", "", note, ""]
    lines += ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([*lines, ""])
