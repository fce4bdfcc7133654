"""What a module declares at its top level, read from its source without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from remibench.errors import RemibenchError


class Declarations(NamedTuple):
    """What a module declares.

    Attributes:
        constants: The names that it binds to literals.
        names: All names that it binds.
        docstring: Its docstring, empty if there is none.
    """

    constants: dict[str, Any]
    names: frozenset[str]
    docstring: str


def declared(file: Path) -> Declarations:
    """What a module declares.

    Raises:
        RemibenchError: It cannot be read, or is no Python.
    """
    return _declared(file, file.stat().st_mtime_ns)


@cache
def _declared(file: Path, _: int) -> Declarations:
    tree = parse(file)
    return Declarations(constants(tree), frozenset(_bound(tree)), ast.get_docstring(tree) or "")


def constant(file: Path, name: str, default: Any = None) -> Any:
    """A constant of a module, read from its file."""
    return declared(file).constants.get(name, default)


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
    values = {}
    for statement in tree.body:
        match statement:
            case ast.Assign([ast.Name(name)], value) | ast.AnnAssign(ast.Name(name), _, value):
                try:
                    values[name] = ast.literal_eval(value)
                except (TypeError, ValueError):
                    continue
    return values


def _bound(tree: ast.Module) -> Iterator[str]:
    """Names that a module binds at its top level."""
    for statement in tree.body:
        match statement:
            case ast.FunctionDef(name) | ast.ClassDef(name):
                yield name
            case ast.Assign(targets):
                nodes = (node for target in targets for node in ast.walk(target))
                yield from (node.id for node in nodes if isinstance(node, ast.Name))
            case ast.AnnAssign(ast.Name(name)):
                yield name
            case ast.Import(aliases) | ast.ImportFrom(_, aliases):
                yield from (alias.asname or alias.name for alias in aliases)
