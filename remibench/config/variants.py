"""Variants of a method: the same method with other values, run and judged side by side.

The search for hyper-parameters, the study of ReMI's loss and the trace of a run are all variants
of methods. A variant has a short name, the method's and a number (``fisher~03``), which stands in
paths and tables; what it stands for is one table, ``candidates.csv``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

Search = Mapping[str, list[Any]] | list[dict[str, Any]]


def combinations(search: Search) -> list[dict[str, Any]]:
    """List the values of every variant: as listed, or all combinations of those by parameter."""
    if isinstance(search, list):
        return search
    return [
        dict(zip(search, values, strict=True)) for values in itertools.product(*search.values())
    ]


def named_variants(method: str, search: Search) -> dict[str, dict[str, Any]]:
    """Map the name of every variant of a method to its values."""
    return {f"{method}~{n:02}": values for n, values in enumerate(combinations(search), 1)}


def method_of(name: str) -> str:
    """The method of a variant's name (``fisher~03``), or the name itself, that of a method."""
    return name.partition("~")[0]


def variant_rows(searches: Mapping[str, Search]) -> Iterator[dict[str, Any]]:
    """Yield the table of variants: ``variant``, ``method``, ``parameter``, ``value``."""
    for method, search in searches.items():
        for variant, values in named_variants(method, search).items():
            for parameter, value in values.items():
                yield {"variant": variant, "method": method, "parameter": parameter, "value": value}
