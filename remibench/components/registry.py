"""The components that a config names, found by their files: the package's, and those of plug-ins.

Which components there are, and what they promise, is read from their source: nothing here imports
one, since that takes seconds, and some jobs need no torch otherwise.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from remibench.components.declarations import constant, declared
from remibench.components.plugins import PACKAGES, ROOT, own_files, plugin_files
from remibench.errors import RemibenchError

ORIGINAL = "original"
PAPER_SELECTION = "membership"  # the published numbers are of these forget sets, no others
CONTRACTS = {  # kind of component → what a module of it defines at its top level
    "across_seeds": ("measure",),
    "attacks": ("ACCESS", "fit_attack", "load_attack"),
    "controls": ("alter",),
    "data": ("INFO", "load"),
    "metrics": ("measure",),
    "models": ("build_backbone",),
    "reporting": (),  # tables and figures have different ones: remibench.components.contracts
    "selections": ("prioritise",),
    "unlearning": ("unlearn",),
}
# Declarations that change no result: no digest of a job covers them. Whoever reads them brings them
# to the jobs that they do change, as params or like remibench.components.display.
UNDIGESTED = {  # kind of component → names
    "attacks": ("VARIES_WITH", "build_attack"),
    "controls": ("LABEL", "COLOUR", "MARKER", "ORDER"),
    "data": ("LABEL",),
    "metrics": ("NAMES",),
    "models": ("LABEL", "RESOURCES"),
    "unlearning": ("LABEL", "COLOUR", "MARKER", "ORDER", "REFUSES", "SEARCH", "passes"),
}
ATTACK = r"(?:mf|mia|calibrated)_\w+?"  # an attack's name in those of metrics, as an expression
DERIVED = ("log10_efficacy", "tow", "tow_mia_whitebox", "tow_mia_blackbox")  # the analysis' metrics


class MethodSpec(NamedTuple):
    """A method that a config names.

    Attributes:
        module: Name of the method's module in ``remibench/unlearning``.
        guide: The attack that guides it, or None.
    """

    module: str
    guide: str | None


def components(package: str) -> dict[str, Path]:
    """The components of a kind by name, those of the package first, with their files.

    A module of the package is a component if it defines what the kind's contract asks for; others
    beside it (``attacks/features.py``, ``data/splits.py``) are ordinary modules.
    """
    return _own_modules(package) | plugin_components(package)


def _own_modules(package: str) -> dict[str, Path]:
    return {
        file.stem: file
        for file in own_files(package)
        if file.stem != "__init__" and _is_component(package, file)
    }


def module_name(package: str, name: str) -> str:
    """The full name under which a component is imported: ``remibench.reporting.paper.table5_…``.

    Components of plug-ins are modules of the package itself, those of the package may lie in one
    of its rooms.
    """
    if name in plugin_components(package):
        return f"{ROOT.name}.{PACKAGES[package]}.{name}"
    file = _own_modules(package)[name]
    return ".".join(file.relative_to(ROOT.parent).with_suffix("").parts)


def kind_of(module: str) -> str | None:
    """The kind of component that a module of this full name is, None for other modules."""
    package, _, name = module.removeprefix(f"{ROOT.name}.").rpartition(".")
    for kind, folder in PACKAGES.items():
        if folder == package and name in components(kind):
            return kind
    return None


def _is_component(package: str, file: Path) -> bool:
    if package == "reporting":
        return file.stem.startswith(("figure", "table"))
    return set(CONTRACTS[package]) <= declared(file).names


def plugin_components(package: str) -> dict[str, Path]:
    """The components of a kind that plug-ins add."""
    prefix = f"remibench.{PACKAGES[package]}."
    modules = {
        name.removeprefix(prefix): file
        for name, file in plugin_files().items()
        if name.startswith(prefix)
    }
    return {name: file for name, file in modules.items() if not name.startswith("_")}


def methods() -> dict[str, MethodSpec]:
    """The unlearning methods by the names that a config lists.

    A module is one method of its own name, or with a constant ``GUIDES`` one for each of those
    attacks: ``remi_whitebox``.

    Raises:
        RemibenchError: Two modules have a method of the same name.
    """
    specs: dict[str, MethodSpec] = {}
    for module, file in components("unlearning").items():
        for guide in constant(file, "GUIDES", (None,)):
            name = module if guide is None else f"{module}_{guide}"
            if name == ORIGINAL or name in specs:
                other = specs.get(name)
                owner = components("unlearning")[other.module] if other else "the target itself"
                raise RemibenchError(
                    f"{file}: the method {name!r} is taken by {owner}; rename the file"
                )
            specs[name] = MethodSpec(module, guide)
    return specs


def controls() -> dict[str, Path]:
    """The controls by the names that a config lists, with their files.

    Raises:
        RemibenchError: An unlearning method has the same name.
    """
    files, taken = components("controls"), {ORIGINAL, *methods()}
    for name, file in files.items():
        if name in taken:
            raise RemibenchError(
                f"{file}: the control {name!r} has the name of a method; rename the file"
            )
    return files


def selection_uses(name: str) -> tuple[str, ...]:
    """What a selection looks at beyond labels and positions: some of ``SELECTION_USES``."""
    return tuple(constant(components("selections")[name], "USES", ()))


def selection_restricts(name: str) -> bool:
    """Tell whether a selection never forgets some of the training images."""
    return constant(components("selections")[name], "RESTRICTS", False)


def metric_owner(name: str) -> str | None:
    """The module of the package that yields rows of a metric's name, or None.

    Modules declare the names of their rows, ``NAMES``: ``{attack}`` stands for any attack's name,
    ``*`` for any ending. Those that the analysis derives are *Gaps to retraining*'s.
    """
    for metric, patterns in _metric_names().items():
        if any(re.fullmatch(pattern, name) for pattern in patterns):
            return metric
    return None


@cache
def _metric_names() -> dict[str, list[str]]:
    own = {metric: constant(file, "NAMES", ()) for metric, file in _own_modules("metrics").items()}
    return {
        metric: [
            re.escape(name).replace(r"\{attack\}", ATTACK).replace(r"\*", ".*") for name in names
        ]
        for metric, names in {**own, "table_gaps": DERIVED}.items()
    }


def percent(share: float) -> str:
    """``0.1`` → ``10%``, ``0.125`` → ``12.5%``."""
    return f"{100 * share:.4g}%"
