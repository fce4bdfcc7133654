"""The tables and figures of the report, as their modules describe themselves.

No training, attack or evaluation imports this module, so that a title or caption re-runs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from remibench.components.declarations import declared
from remibench.components.registry import components, module_name, percent
from remibench.errors import RemibenchError

ACCESS = {"whitebox": "white-box", "blackbox": "black-box"}  # of the paper's attacks, as written
FURTHER_INPUTS = ("across_seeds", "curves", "forget_images", "hyperparameters")  # for ``INPUTS``


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

    def __repr__(self) -> str:
        """The label, which the report shows among the properties of a job."""
        return self.label

    @property
    def label(self) -> str:
        """The title behind the number that its name has: ``07: MIA before and after, 50%``."""
        number = self.name.partition("_")[0].removeprefix(self.kind)
        return f"{number}: {self.title}" if number else self.title


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
        known, _, docstring = declared(file)
        caption = docstring or stem.replace("_", " ")
        title = known.get("TITLE") or caption.partition("\n")[0].rstrip(".")
        variants = known.get("VARIANTS", {})
        has_variants = bool(variants)
        if has_variants and ratios is not None:
            variants = _at_ratios(variants, known.get("BY_RATIO", {}), ratios)
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
                inputs=tuple(known.get("INPUTS", ())),
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
