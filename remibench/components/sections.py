"""Config sections from signatures: ``unlearn(task, *, epochs: Positive = 5)`` is a section.

Signatures are read from the source, without importing the module: the config is checked in a
process that never imports torch. What they may be made of is small and evaluated here; it runs
nothing of the module.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, create_model

from remibench.components import bounds
from remibench.components.declarations import constants, parse
from remibench.errors import RemibenchError

CALLED_WITH = {  # function → its positional arguments, and the keywords that are no parameters
    "unlearn": (("task",), ()),
    "fit_attack": (("members", "nonmembers"), ("label", "seed", "progress")),
    "prioritise": (("images",), ()),
}
MAY_REQUIRE = ("prioritise",)  # whose section is read only where a config asks for it
NAMES = {
    **{each.__name__: each for each in (bool, int, float, str, list)},
    "Annotated": Annotated,
    "Literal": Literal,
    **{name: value for name, value in vars(bounds).items() if name[0].isupper()},
}


def read_section(file: Path, function: str, base: type[BaseModel], name: str) -> type[BaseModel]:
    """Make the config section of a function's keyword parameters: types, defaults, descriptions.

    Args:
        file: The module.
        function: One of ``CALLED_WITH``.
        base: The class that the section derives from.
        name: The name of the section's class.

    Raises:
        RemibenchError: The module has no such function, or a parameter without type or default, or
            one that cannot be read, or whose default is not of its type.
    """
    tree = parse(file)
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if function not in definitions:
        raise RemibenchError(f"{file}: defines no function `{function}`")
    node = definitions[function]
    positional, passed = CALLED_WITH[function]
    arguments = node.args
    first = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if len(first) != len(positional) or arguments.vararg or arguments.kwarg:
        raise RemibenchError(
            f"{file}, line {node.lineno}: `{function}` takes ({', '.join(positional)}, *, …), its "
            f"parameters after the star; got ({ast.unparse(arguments)})"
        )
    keywords = [argument.arg for argument in arguments.kwonlyargs]
    for keyword in passed:
        if keyword not in keywords:
            raise RemibenchError(
                f"{file}, line {node.lineno}: `{function}` takes no `{keyword}`; it is called with "
                f"({', '.join(positional)}, *, {', '.join(passed)}, …)"
            )
    described = describe(ast.get_docstring(node) or "")
    names = constants(tree) | NAMES
    fields: dict[str, Any] = {}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if argument.arg in passed:
            continue
        if argument.arg.startswith("_"):
            raise RemibenchError(f"{file}: the parameter `{argument.arg}` begins with _; rename it")
        if argument.arg in base.model_fields or hasattr(base, argument.arg):  # ``copy``, …
            raise RemibenchError(f"{file}: the parameter `{argument.arg}` is taken; rename it")
        where = f"{file}, line {argument.lineno}: parameter `{argument.arg}` of `{function}`"
        required = default is None and function in MAY_REQUIRE
        if argument.annotation is None or (default is None and not required):
            raise RemibenchError(
                f"{where} needs a type and a default: {argument.arg}: Positive = 5"
            )
        try:
            annotation = _evaluate(argument.annotation, names)
            parameter, value = create_model("Parameter", x=(annotation, ...)), ...
            if not required:
                value = _evaluate(default, names)
                value = parameter.model_validate({"x": value}, strict=True).x
            field = Field(value, description=described.get(argument.arg))
        except ValidationError as error:
            message = error.errors()[0]["msg"].lower()
            raise RemibenchError(f"{where}: the default: {message}; got {value!r}") from error
        except Exception as error:  # pydantic refuses types with many kinds of errors
            raise RemibenchError(
                f"{where}: {error}; types are bool, int, float, str, Literal, Annotated with Field "
                "and those of remibench.components.bounds"
            ) from error
        fields[argument.arg] = (annotation, field)
    doc = (ast.get_docstring(tree) or name).partition("\n")[0]
    return create_model(name, __base__=base, __doc__=doc, **fields)


def _evaluate(node: ast.expr, names: dict[str, Any]) -> Any:
    """The value of a type or default: literals, known names, ``X[…]``, ``X | Y``, ``Field(…)``."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name) if name in names:
            return names[name]
        case ast.UnaryOp(ast.USub(), operand):
            return -_evaluate(operand, names)
        case ast.Tuple(elements):
            return tuple(_evaluate(element, names) for element in elements)
        case ast.Subscript(value, index):
            return _evaluate(value, names)[_evaluate(index, names)]
        case ast.BinOp(left, ast.BitOr(), right):
            return _evaluate(left, names) | _evaluate(right, names)
        case ast.Call(ast.Name("Field"), [], keywords):
            return Field(**{each.arg: _evaluate(each.value, names) for each in keywords})
    raise ValueError(f"cannot read {ast.unparse(node)!r}")


def describe(docstring: str) -> dict[str, str]:
    """The description of each argument in a docstring's section ``Args:``, on one line."""
    descriptions: dict[str, str] = {}
    current: list[str] = []
    for line in docstring.partition("Args:\n")[2].splitlines():
        if line and not line.startswith(" "):
            break
        entry = re.fullmatch(r" {4}(\w+(?:, \w+)*): (.*)", line)
        if entry:
            current = entry[1].split(", ")
            descriptions |= dict.fromkeys(current, entry[2].strip())
        elif line.strip():
            descriptions |= {name: f"{descriptions[name]} {line.strip()}" for name in current}
    return descriptions
