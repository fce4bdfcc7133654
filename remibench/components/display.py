"""Display of methods and controls: label, colour, marker and place, as their files declare them.

A module of ``unlearning`` or ``controls`` may declare ``LABEL`` (text), ``COLOUR`` (``"#0072b2"``),
``MARKER`` (of Matplotlib, ``"s"``) and ``ORDER`` (a number: the smaller, the nearer to the front).
With ``GUIDES``, colour and marker are one for each guide, ``{"whitebox": "#0072b2", …}``. What is
not declared is made of the name; modules without a place follow those that have one. No digest of a
training or an evaluation covers these declarations, so that restyling runs tables and figures
alone. How figures use them is in :mod:`remibench.reporting.style`.

A module of ``data`` or ``models`` may declare ``LABEL``, its name as a person writes it:
``"Fashion-MNIST"``. Without it, it is shown by the name that the config has.
"""

from __future__ import annotations

import colorsys
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from remibench.components import registry
from remibench.components.declarations import constant


class Display(NamedTuple):
    """The label of a method in tables and figures, its colour and its marker."""

    label: str
    colour: str
    marker: str


DRAWABLE = "osD^v<>pPXhH8d*"  # Matplotlib's markers with a face, which open points leave white
TARGET = Display("Before", "#7f7f7f", "o")  # the target model itself: no file declares it


def displays() -> dict[str, Display]:
    """The displays of all methods and controls by name, in the order of display.

    Looked up when asked, since a job knows its plug-ins only after it has imported this.
    """
    plugins = (registry.plugin_components(kind) for kind in ("unlearning", "controls"))
    files = [file for files_by_name in plugins for file in files_by_name.values()]
    return _displays(tuple((file, file.stat().st_mtime_ns) for file in files))


@cache
def _displays(_: tuple[tuple[Path, int], ...]) -> dict[str, Display]:
    entries = [
        *registry.methods().items(),
        *((name, registry.MethodSpec(name, None)) for name in registry.controls()),
    ]
    files = registry.components("unlearning") | registry.controls()
    entries.sort(key=lambda item: constant(files[item[1].module], "ORDER", math.inf))
    shown = {name: _display(name, entry, files[entry.module]) for name, entry in entries}
    return {registry.ORIGINAL: TARGET} | shown


def _display(name: str, entry: registry.MethodSpec, file: Path) -> Display:
    label, colour, marker = (
        constant(file, declaration) for declaration in ("LABEL", "COLOUR", "MARKER")
    )
    if label is None:
        label = name.replace("_", " ").capitalize()
    elif entry.guide:
        label = f"{label} ({entry.guide.replace('box', '-box').replace('_', ' ')})"
    if entry.guide:  # one look for several methods tells none of them apart
        colour, marker = (
            look.get(entry.guide) if isinstance(look, dict) else None for look in (colour, marker)
        )
    return Display(label, colour or made_colour(name), marker or made_marker(name))


def made_colour(name: str) -> str:
    """A colour made of a name, the same everywhere; two names may come near each other."""
    digest = hashlib.sha256(name.encode()).digest()
    hue, light = digest[0] / 256, 0.35 + 0.2 * digest[1] / 256
    channels = colorsys.hls_to_rgb(hue, light, 0.65)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)


def made_marker(name: str) -> str:
    """A marker made of a name, the same everywhere; not retraining's star."""
    markers = DRAWABLE.replace("*", "")
    return markers[hashlib.sha256(name.encode()).digest()[2] % len(markers)]


class _Lookup(Mapping[str, str]):
    """A text of each of the components that there are when it is asked, by their names."""

    def __init__(
        self, components: Callable[[], Mapping[str, Any]], text: Callable[[str], str]
    ) -> None:
        self._components, self._text = components, text

    def __getitem__(self, name: str) -> str:
        return self._text(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._components())

    def __len__(self) -> int:
        return len(self._components())


def _name(kind: str, name: str) -> str:
    """The label of a component of a kind; a name that is none stands for itself."""
    file = registry.components(kind).get(name)
    return name if file is None else constant(file, "LABEL", name)


# Name in config and CSV → label, in the order of display.
METHODS = _Lookup(displays, lambda method: displays()[method].label)
COLORS = _Lookup(displays, lambda method: displays()[method].colour)
MARKERS = _Lookup(displays, lambda method: displays()[method].marker)
DATASETS = _Lookup(partial(registry.components, "data"), partial(_name, "data"))
ARCHITECTURES = _Lookup(partial(registry.components, "models"), partial(_name, "models"))
NAMES = {"dataset": DATASETS, "architecture": ARCHITECTURES}  # by the column that has them


def cell_label(dataset: str, architecture: str) -> str:
    """``Fashion-MNIST, CNN``: a dataset and an architecture in prose."""
    return f"{DATASETS[dataset]}, {ARCHITECTURES[architecture]}"
