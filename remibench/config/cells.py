"""Cells of the grid for which no values were searched, in words for log and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from remibench.components.registry import percent


def describe_unsearched(
    runs: Iterable[tuple[str, str, str, float]], label: Callable[[str], str] = str
) -> str:
    """Say which methods are run with default values in one sentence.

    Args:
        runs: Method, dataset, architecture and forget ratio of each.
        label: The name of a method in the sentence, from its name in the config.

    Returns:
        ``No values were searched for fisher (fmnist, cnn, 20%); …``; one phrase for all cells that
        the same methods lack.
    """
    cells: dict[tuple[str, str, float], list[str]] = {}
    for method, *cell in runs:
        cells.setdefault(tuple(cell), []).append(label(method))
    grouped: dict[tuple[str, ...], list[str]] = {}
    for (dataset, architecture, ratio), methods in cells.items():
        where = f"{dataset}, {architecture}, {percent(ratio)}"
        grouped.setdefault(tuple(methods), []).append(where)
    phrases = (f"{', '.join(names)} ({'; '.join(where)})" for names, where in grouped.items())
    return (
        f"no values were searched for {' and for '.join(phrases)}: run with the default values of "
        "the method's section, the published ones where the config sets no others"
    )
