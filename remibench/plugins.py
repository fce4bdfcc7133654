"""The parts that a config names, found by their files: the package's own, and those of plug-ins.

A plug-in folder mirrors the package: its ``unlearning/x.py`` is imported as
``remibench.unlearning.x``. Which parts there are, and what they promise, is read from their source:
nothing here imports one, since that takes seconds and some need no torch otherwise.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from remibench.errors import RemibenchError

ROOT = Path(__file__).parent
ORIGINAL = "original"
CONTRACTS = {  # sub-package → what a module of it defines at its top level
    "attacks": ("ACCESS", "fit_attack", "load_attack"),
    "data": ("INFO", "load"),
    "metrics": ("measure",),
    "models": ("build_backbone",),
    "reporting": (),  # see _required
    "unlearning": ("unlearn",),
}
SHARED = {"attacks": {"features"}}  # no parts, though their names begin with no underscore
_plugins: dict[str, Path] = {}  # module → file


class MethodEntry(NamedTuple):
    """An entry of ``methods``: its module in ``remibench/unlearning``, and its guide's access."""

    module: str
    guide: str | None


class _Finder:
    """Lets the import system find the modules of plug-in folders.

    To append the folders to the packages' ``__path__`` would import the packages, and torch.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        file = _plugins.get(name)
        return spec_from_file_location(name, file.resolve()) if file else None


def activate(folders: Sequence[str | Path]) -> None:
    """Make the modules of these folders, and of no others, parts of the package in this process.

    Raises:
        RemibenchError: A folder does not exist or holds no sub-folder of ``CONTRACTS``; the name of
            a module is taken, or cannot be a module's; an ``__init__.py`` is not empty.
    """
    found: dict[str, Path] = {}
    for folder in map(Path, folders):
        root = folder.expanduser()
        if not root.is_dir():
            raise RemibenchError(f"`plugins`: {folder} is no folder; paths start where you run")
        if not any((root / kind).is_dir() for kind in CONTRACTS):
            raise RemibenchError(
                f"`plugins`: {folder} has none of the folders {', '.join(CONTRACTS)}; "
                "a method is a file unlearning/NAME.py in it"
            )
        for kind in CONTRACTS:
            for file in sorted((root / kind).glob("*.py")):
                if file.stem == "__init__":
                    if file.read_bytes().strip():
                        raise RemibenchError(f"{file}: the package has its own; delete the file")
                    continue
                if not file.stem.isidentifier():
                    raise RemibenchError(f"{file}: no module's name; use letters, digits and _")
                module, own = f"remibench.{kind}.{file.stem}", ROOT / kind / file.name
                taken = own if own.exists() else found.get(module)
                if taken:
                    raise RemibenchError(
                        f"{file}: the name {file.stem!r} is taken by {taken}; rename the file"
                    )
                found[module] = file
    _plugins.clear()
    _plugins.update(found)
    if _Finder not in sys.meta_path:
        sys.meta_path.append(_Finder)


def plugin_files() -> dict[str, Path]:
    """The modules of the active plug-in folders, by full name, helpers included."""
    return dict(_plugins)


def modules(package: str) -> dict[str, Path]:
    """The parts in a sub-package by name, the package's own first, with their files."""
    own = {file.stem: file for file in sorted((ROOT / package).glob("*.py"))}
    every = own | plugin_modules(package)
    return {
        name: file
        for name, file in every.items()
        if not name.startswith("_") and name not in SHARED.get(package, ())
    }


def plugin_modules(package: str) -> dict[str, Path]:
    """The parts of a sub-package that plug-ins add."""
    names = {name.removeprefix(f"remibench.{package}."): name for name in _plugins}
    return {
        short: _plugins[full]
        for short, full in names.items()
        if short != full and not short.startswith("_")
    }


def methods() -> dict[str, MethodEntry]:
    """The unlearning methods by the names that a config lists.

    A module is one method of its own name, or with a constant ``GUIDES`` one for each of those
    attacks: ``remi_whitebox``.

    Raises:
        RemibenchError: Two modules have a method of the same name.
    """
    entries: dict[str, MethodEntry] = {}
    for module, file in modules("unlearning").items():
        guides = constant(file, "GUIDES", (None,))
        for guide in guides:
            name = module if guide is None else f"{module}_{guide}"
            if name == ORIGINAL or name in entries:
                other = entries.get(name)
                owner = modules("unlearning")[other.module] if other else "the target itself"
                raise RemibenchError(
                    f"{file}: the method {name!r} is taken by {owner}; rename the file"
                )
            entries[name] = MethodEntry(module, guide)
    return entries


def parse(file: Path) -> ast.Module:
    """The syntax tree of a module.

    Raises:
        RemibenchError: It cannot be read, or is no Python.
    """
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise RemibenchError(f"{file}, line {error.lineno}: {error.msg}") from error
    except (OSError, ValueError) as error:  # of bytes that are no text, too
        raise RemibenchError(f"{file}: {error}") from error


def constants(tree: ast.Module) -> dict[str, Any]:
    """The names that a module binds to literals at its top level."""
    found = {}
    for statement in tree.body:
        match statement:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, value):
                try:
                    found[name] = ast.literal_eval(value)
                except (TypeError, ValueError):
                    continue
    return found


def constant(file: Path, name: str, default: Any = None) -> Any:
    """A constant of a module, read from its file."""
    return _constants(file, file.stat().st_mtime_ns).get(name, default)


@cache
def _constants(file: Path, _: int) -> dict[str, Any]:
    return constants(parse(file))


def check_plugins() -> None:
    """Hold every active plug-in to what can be seen of its contract without importing it.

    Raises:
        RemibenchError: The first one that breaks it: its file, and what is wrong.
    """
    for package in CONTRACTS:
        for name, file in plugin_modules(package).items():
            _check(package, name, file)
    methods()


def _check(package: str, name: str, file: Path) -> None:
    tree = parse(file)
    bound, known = set(_bound(tree)), constants(tree)
    for required in _required(package, name, file):
        if required not in bound:
            raise RemibenchError(
                f"{file}: defines no `{required}`; {package}/{name}.py needs "
                f"{' and '.join(f'`{each}`' for each in _required(package, name, file))}"
            )
    if package == "attacks" and known.get("ACCESS") != name:
        raise RemibenchError(f"{file}: `ACCESS` is the attack's name; write ACCESS = {name!r}")
    if "GUIDES" in bound and package == "unlearning":
        guides, attacks = known.get("GUIDES"), list(modules("attacks"))
        if not isinstance(guides, tuple | list) or not guides or not set(guides) <= set(attacks):
            raise RemibenchError(
                f"{file}: `GUIDES` lists attacks ({', '.join(attacks)}); got {guides!r}"
            )
    for constant_name, valid, form in (
        ("LABEL", lambda value: isinstance(value, str) and value, "text"),
        ("COLOUR", _is_colour, 'a colour, like "#cc79a7"'),
        ("MIN_IMAGE_SIZE", lambda value: type(value) is int and value > 0, "a number of pixels"),
    ):
        if constant_name in bound and not valid(known.get(constant_name)):
            raise RemibenchError(
                f"{file}: `{constant_name}` is {form}, written out; "
                f"got {known.get(constant_name)!r}"
            )


def _is_colour(value: object) -> bool:
    digits = value[1:] if isinstance(value, str) and value.startswith("#") else ""
    return len(digits) == 6 and all(digit in "0123456789abcdefABCDEF" for digit in digits)


def _required(package: str, name: str, file: Path) -> tuple[str, ...]:
    if package != "reporting":
        return CONTRACTS[package]
    if name.startswith("figure"):
        return ("draw",)
    if name.startswith("table"):
        return ("TITLE", "build", "layout", "explain")
    raise RemibenchError(
        f"{file}: a figure's name begins with figure, a table's with table, a helper's with _"
    )


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that a module binds at its top level."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Assign(targets):
                yield from (node.id for target in targets for node in _names(target))
            case ast.AnnAssign(ast.Name(name)):
                yield name
            case ast.Import(aliases) | ast.ImportFrom(_, aliases):
                yield from (alias.asname or alias.name for alias in aliases)


def _names(target: ast.expr) -> Iterable[ast.Name]:
    return (node for node in ast.walk(target) if isinstance(node, ast.Name))


def title_and_caption(file: Path) -> tuple[str, str]:
    """Of a figure or table of a plug-in: the first sentence of its docstring, and the whole."""
    text = ast.get_docstring(parse(file)) or file.stem.replace("_", " ")
    return text.partition("\n")[0].rstrip("."), text


def broken(module: str, problem: str) -> RemibenchError:
    """The error of a part that breaks its contract: its file, and what is wrong.

    Args:
        module: Its full name.
        problem: The function, what it did, and what it should.
    """
    return RemibenchError(f"{getattr(sys.modules.get(module), '__file__', module)}: {problem}")


def call(module: ModuleType, function: str, kind: type, *arguments: Any, **options: Any) -> Any:
    """Call a function of a part, which returns something of that kind.

    Raises:
        RemibenchError: It returned something else; names the part's file.
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
    found, trace = "", error.__traceback__
    while trace:
        code = trace.tb_frame.f_code.co_filename
        if code in files:
            found = f"{files[code]}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return found
