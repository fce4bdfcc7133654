"""The components that a config names, found by their files: the package's, and those of plug-ins.

Which components there are, and what they promise, is read from their source: nothing here imports
one, since that takes seconds, and some jobs need no torch otherwise.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

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
    "reporting": (),  # see _required
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
CONTROL_USES = ("retrained", "attack", "published")  # what ``USES`` of a control can list
SELECTION_USES = ("membership", "losses", "attributes")  # the same of a selection
ATTACK = r"(?:mf|mia|calibrated)_\w+?"  # an attack's name in those of metrics, as an expression
DERIVED = ("log10_efficacy", "tow", "tow_mia_whitebox", "tow_mia_blackbox")  # the analysis' metrics
ACCESS = {"whitebox": "white-box", "blackbox": "black-box"}  # of the paper's attacks, as written
MARKERS = "osD^v<>pPXhH8d*"  # of Matplotlib's, those with a face, which open points leave white
FURTHER_INPUTS = (
    "across_seeds",
    "curves",
    "forget_images",
    "hyperparameters",
)  # what ``INPUTS`` of a table can list


class Product(NamedTuple):
    """A table or figure of the report, as its module describes itself.

    Attributes:
        name: Name of its files.
        kind: "table" or "figure".
        module: The full name of its module.
        title: Title, one line.
        caption: Explanation for its readers, in reStructuredText.
        options: Arguments of its function ``build`` or ``draw``, beside the results.
        inputs: The files of ``FURTHER_INPUTS`` that it is made from, beside the gathered ones.
    """

    name: str
    kind: str
    module: str
    title: str
    caption: str
    options: dict[str, Any]
    inputs: tuple[str, ...]

    @property
    def label(self) -> str:
        """The title behind the number that its name has: ``07: MIA before and after, 50%``."""
        number = self.name.partition("_")[0].removeprefix(self.kind)
        return f"{number}: {self.title}" if number else self.title


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
    return set(CONTRACTS[package]) <= _names_bound(file, file.stat().st_mtime_ns)


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
        guides = constant(file, "GUIDES", (None,))
        for guide in guides:
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


def constant(file: Path, name: str, default: Any = None) -> Any:
    """A constant of a module, read from its file."""
    return _constants(file, file.stat().st_mtime_ns).get(name, default)


@cache
def _constants(file: Path, _: int) -> dict[str, Any]:
    return constants(parse(file))


@cache
def _names_bound(file: Path, _: int) -> frozenset[str]:
    return frozenset(_bound(parse(file)))


def percent(share: float) -> str:
    """``0.1`` → ``10%``, ``0.125`` → ``12.5%``."""
    return f"{100 * share:.4g}%"


def products(ratios: Sequence[float] | None = None) -> dict[str, Product]:
    """The tables and figures of the report by name: the package's, then those of plug-ins.

    A module makes one of its own name or, with ``VARIANTS`` (name → options), those that are named
    there. Their titles are ``TITLE``, in which braces name options (``"{access}"``) if there are
    variants, and ``{percent}`` an option ``ratio``; without it, the first line of the docstring.
    The caption is the docstring.

    Args:
        ratios: The forget ratios of a run. Variants of other ratios are left out, and each of
            ``BY_RATIO`` (name → options) is made at those ratios that no variant has. None: the
            variants as they are declared.

    Raises:
        RemibenchError: Two modules make a table or figure of the same name.
    """
    by_name: dict[str, Product] = {}
    for stem, file in components("reporting").items():
        declared = _constants(file, file.stat().st_mtime_ns)
        caption = _docstring(file, file.stat().st_mtime_ns) or stem.replace("_", " ")
        title = declared.get("TITLE") or caption.partition("\n")[0].rstrip(".")
        variants = declared.get("VARIANTS", {})
        has_variants = bool(variants)
        if has_variants and ratios is not None:
            variants = _at_ratios(variants, declared.get("BY_RATIO", {}), ratios)
            if not variants:
                continue
        for name, options in (variants or {stem: {}}).items():
            if name in by_name:
                raise RemibenchError(
                    f"{file}: the name {name!r} is taken by {by_name[name].module}; rename the file"
                )
            by_name[name] = Product(
                name=name,
                kind="table" if stem.startswith("table") else "figure",
                module=module_name("reporting", stem),
                title=titled(title, options) if has_variants else title,
                caption=caption,
                options=options,
                inputs=tuple(declared.get("INPUTS", ())),
            )
    return by_name


def _at_ratios(
    variants: Mapping[str, dict], by_ratio: Mapping[str, dict], ratios: Sequence[float]
) -> dict[str, dict[str, Any]]:
    """The variants of these ratios or of none, and what ``BY_RATIO`` adds to them."""
    kept = (None, *ratios)
    made = {name: options for name, options in variants.items() if options.get("ratio") in kept}
    for stem, others in by_ratio.items():
        for ratio in ratios:
            if (options := {**others, "ratio": ratio}) not in variants.values():
                made[f"{stem}_{percent(ratio)[:-1].replace('.', '_')}pct"] = options
    return made


def titled(title: str, options: Mapping[str, Any]) -> str:
    """A title with its options filled in, and ``{percent}``, an option ``ratio`` in percent.

    An option ``access`` is written as in ``ACCESS``.
    """
    named = {"percent": percent(options["ratio"])} if "ratio" in options else {}
    if "access" in options:
        named["access"] = ACCESS.get(options["access"], options["access"])
    return title.format(**options | named)


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


def _check_product(name: str, file: Path, bound: set[str], known: dict[str, Any]) -> None:
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
    return value in MARKERS or (len(value) > 2 and value[0] == value[-1] == "$")


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


@cache
def _docstring(file: Path, _: int) -> str:
    return ast.get_docstring(parse(file)) or ""
