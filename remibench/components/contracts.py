"""What can be seen of a plug-in's contract without importing it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remibench.components.declarations import declared
from remibench.components.display import DRAWABLE
from remibench.components.products import FURTHER_INPUTS, products, titled
from remibench.components.registry import (
    CONTRACTS,
    components,
    controls,
    methods,
    plugin_components,
)
from remibench.errors import RemibenchError

CONTROL_USES = ("retrained", "attack", "published")  # what ``USES`` of a control can list
SELECTION_USES = ("membership", "losses", "attributes")  # the same of a selection


def check_plugins() -> None:
    """Hold every active plug-in to what can be seen of its contract without importing it.

    Raises:
        RemibenchError: The first one that breaks it: its file, and what is wrong.
    """
    for package in CONTRACTS:
        for name, file in plugin_components(package).items():
            _check(package, name, file)
    methods()
    controls()
    products()


def _check(package: str, name: str, file: Path) -> None:
    known, bound, _ = declared(file)
    for required in _required(package, name, file):
        if required not in bound:
            raise RemibenchError(
                f"{file}: defines no `{required}`; {package}/{name}.py needs "
                f"{' and '.join(f'`{each}`' for each in _required(package, name, file))}"
            )
    if package == "attacks" and known.get("ACCESS") != name:
        raise RemibenchError(f"{file}: `ACCESS` is the attack's name; write ACCESS = {name!r}")
    if "GUIDES" in bound and package == "unlearning":
        guides, attacks = known.get("GUIDES"), list(components("attacks"))
        if not isinstance(guides, tuple | list) or not guides or not set(guides) <= set(attacks):
            raise RemibenchError(
                f"{file}: `GUIDES` lists attacks ({', '.join(attacks)}); got {guides!r}"
            )
    usable = {"controls": CONTROL_USES, "selections": SELECTION_USES}.get(package)
    if "USES" in bound and usable:
        uses = known.get("USES")
        if not isinstance(uses, tuple | list) or not set(uses) <= set(usable):
            raise RemibenchError(f"{file}: `USES` lists some of {', '.join(usable)}; got {uses!r}")
    if package == "reporting":
        _check_product(name, file, bound, known)
    for constant_name, valid, form in (
        ("LABEL", lambda value: isinstance(value, str) and value, "text"),
        ("COLOUR", _is_colour, 'a colour, like "#cc79a7", or one for each guide'),
        ("MARKER", _is_marker, 'a marker of Matplotlib, like "s", or one for each guide'),
        ("ORDER", lambda value: type(value) in (int, float), "a number"),
        ("REFUSES", _is_refusals, '(({"loss": "a", "scores": "b"}, "why, and the fix"),)'),
        ("SEARCH", _is_search, '{parameter: [values]}, {"epochs": [1, 5]}'),
        ("MIN_IMAGE_SIZE", _is_count, "a number of pixels"),
        ("RESTRICTS", lambda value: isinstance(value, bool), "True or False"),
        ("RESOURCES", _is_resources, '{rule: (MB of memory, minutes)}, {"unlearn": (2000, 40)}'),
    ):
        if constant_name in bound and not valid(known.get(constant_name)):
            raise RemibenchError(
                f"{file}: `{constant_name}` is {form}, written out; "
                f"got {known.get(constant_name)!r}"
            )


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _is_search(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(each, list) for each in value.values())


def _is_refusals(value: object) -> bool:
    return isinstance(value, tuple | list) and all(
        isinstance(each, tuple | list) and list(map(type, each)) == [dict, str] for each in value
    )


def _is_resources(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(need, tuple) and len(need) == 2 and all(map(_is_count, need))
        for need in value.values()
    )


def _check_product(name: str, file: Path, bound: frozenset[str], known: dict[str, Any]) -> None:
    kind = "table" if name.startswith("table") else "figure"
    variants = known.get("VARIANTS")
    if "TITLE" in bound and not isinstance(known.get("TITLE"), str):
        raise RemibenchError(f"{file}: `TITLE` is text, written out; got {known.get('TITLE')!r}")
    inputs = known.get("INPUTS")
    if "INPUTS" in bound and not (
        isinstance(inputs, tuple | list) and set(inputs) <= set(FURTHER_INPUTS)
    ):
        raise RemibenchError(
            f"{file}: `INPUTS` lists some of {', '.join(FURTHER_INPUTS)}; got {inputs!r}"
        )
    if "VARIANTS" not in bound:
        return
    if not _are_variants(variants, kind):
        raise RemibenchError(
            f"{file}: `VARIANTS` maps names that begin with {kind} to options, "
            f"written out; got {variants!r}"
        )
    by_ratio = known.get("BY_RATIO", {})
    if "BY_RATIO" in bound and not _are_variants(by_ratio, kind):
        raise RemibenchError(
            f"{file}: `BY_RATIO` maps names that begin with {kind} to options other than `ratio`, "
            f"written out; got {by_ratio!r}"
        )
    for options in (*variants.values(), *({**each, "ratio": 0.5} for each in by_ratio.values())):
        try:
            titled(known.get("TITLE", ""), options)
        except (KeyError, IndexError, ValueError) as error:
            raise RemibenchError(
                f"{file}: `TITLE` names {error} in braces, which is no option of every variant"
            ) from error


def _are_variants(value: object, kind: str) -> bool:
    return isinstance(value, dict) and all(
        each.isidentifier() and each.startswith(kind) and isinstance(options, dict)
        for each, options in value.items()
    )


def _is_colour(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_colour, value.values()))
    digits = value[1:] if isinstance(value, str) and value.startswith("#") else ""
    return len(digits) == 6 and all(digit in "0123456789abcdefABCDEF" for digit in digits)


def _is_marker(value: object) -> bool:
    if isinstance(value, dict):
        return all(map(_is_marker, value.values()))
    if not isinstance(value, str):
        return False
    return value in DRAWABLE or (len(value) > 2 and value[0] == value[-1] == "$")


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
