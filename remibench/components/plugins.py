"""Plug-in folders: their modules become components of the package in this process.

A plug-in folder mirrors the package: its ``unlearning/x.py`` is imported as
``remibench.unlearning.x``. Every job runs this, so that an edit here makes every job run again;
which components there are is told by :mod:`remibench.components.registry`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from remibench.errors import RemibenchError

ROOT = Path(__file__).parents[1]
PACKAGES = {  # kind of component, the name of its plug-in folder → sub-package
    "across_seeds": "evaluation.across_seeds",
    "attacks": "attacks",
    "controls": "controls",
    "data": "data",
    "metrics": "evaluation.metrics",
    "models": "models",
    "reporting": "reporting",
    "selections": "selections",
    "unlearning": "unlearning",
}
_plugins: dict[str, Path] = {}  # module → file


def own_files(package: str) -> list[Path]:
    """The package's modules of a kind and those in its rooms, by name."""
    folder = ROOT.joinpath(*PACKAGES[package].split("."))
    return sorted(folder.rglob("*.py"), key=lambda file: file.stem)


class _Finder:
    """Lets the import system find the modules of plug-in folders.

    To append the folders to the packages' ``__path__`` would import the packages, and torch.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = _plugins.get(name)
        return spec_from_file_location(name, file.resolve()) if file else None


def activate(folders: Sequence[str | Path]) -> None:
    """Make the modules of these folders, and of no others, part of the package in this process.

    Raises:
        RemibenchError: A folder does not exist or holds no sub-folder of ``PACKAGES``; the name of
            a module is taken, or cannot be a module's; an ``__init__.py`` is not empty.
    """
    modules: dict[str, Path] = {}
    for folder in map(Path, folders):
        root = folder.expanduser()
        if not root.is_dir():
            raise RemibenchError(f"`plugins`: {folder} is no folder; paths start where you run")
        if not any((root / kind).is_dir() for kind in PACKAGES):
            raise RemibenchError(
                f"`plugins`: {folder} has none of the folders {', '.join(PACKAGES)}; "
                "a method is a file unlearning/NAME.py in it"
            )
        for kind in PACKAGES:
            for file in sorted((root / kind).glob("*.py")):
                if file.stem == "__init__":
                    if file.read_bytes().strip():
                        raise RemibenchError(f"{file}: the package has one; delete the file")
                    continue
                if not file.stem.isidentifier():
                    raise RemibenchError(f"{file}: no module's name; use letters, digits and _")
                module = f"remibench.{PACKAGES[kind]}.{file.stem}"
                builtin = {file.stem: file for file in own_files(kind)}
                taken = builtin.get(file.stem) or modules.get(module)
                if taken:
                    raise RemibenchError(
                        f"{file}: the name {file.stem!r} is taken by {taken}; rename the file"
                    )
                modules[module] = file
    _plugins.clear()
    _plugins.update(modules)
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)


def plugin_files() -> dict[str, Path]:
    """The modules of the active plug-in folders, by full name, helpers included."""
    return dict(_plugins)


def broken(module: str, problem: str) -> RemibenchError:
    """The error of a component that breaks its contract: its file, and what is wrong.

    Args:
        module: Full name of the component's module.
        problem: The function, what it did, and what it should.
    """
    return RemibenchError(f"{getattr(sys.modules.get(module), '__file__', module)}: {problem}")


def call(module: ModuleType, function: str, kind: type, *arguments: Any, **options: Any) -> Any:
    """Call a function of a component, which returns something of that kind.

    Raises:
        RemibenchError: It returned something else; names the component's file.
    """
    value = getattr(module, function)(*arguments, **options)
    if not isinstance(value, kind):
        raise broken(
            module.__name__, f"`{function}` returned {value!r:.60}; it returns a {kind.__name__}"
        )
    return value


def origin(error: BaseException) -> str:
    """``file, line n`` of the last line of a plug-in that an error came through; or nothing."""
    files = {str(file.resolve()): file for file in _plugins.values()}
    place, trace = "", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code.co_filename
        if code in files:
            place = f"{files[code]}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
