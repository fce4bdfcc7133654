"""The configuration: one typed model, closed at every level, from which the JSON schema is made.

The sections of unlearning methods and attacks are made of their signatures.
"""

from __future__ import annotations

import csv
import difflib
import itertools
from collections.abc import Collection, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
    model_validator,
)

from remibench.components.bounds import BatchSize, Positive, PositiveFloat, Ratio, Share
from remibench.components.contracts import check_plugins
from remibench.components.declarations import constant
from remibench.components.plugins import activate, own_files, plugin_files
from remibench.components.registry import (
    ORIGINAL,
    PAPER_SELECTION,
    components,
    controls,
    methods,
    selection_restricts,
    selection_uses,
)
from remibench.components.sections import read_section
from remibench.config.folders import FolderName, locate, normalise_results
from remibench.config.variants import combinations, method_of, named_variants, variant_rows
from remibench.errors import RemibenchError
from remibench.evaluation.published import published_rates

REQUIRED_ATTACKS = ("whitebox", "blackbox")  # of the paper's tables and figures
RENAMED = {  # key of an earlier version → its name now, and what to write there
    "accesses": ("attacks", "rename it"),
    "tune": ("variants", "rename it"),
    "halves": ("swap_target_and_shadow", "write true for tuning, false for reported"),
    "values_from": ("per_cell_values", "rename it"),
}
NULLS = ("null", "Null", "NULL", "~")  # YAML's
SEEDS_ACROSS = 4  # the fewest that can be compared


Section = TypeVar("Section", bound=BaseModel)


class Closed(BaseModel):
    """A section that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nulls(cls, raw: Any) -> Any:
        """Read ``null`` as YAML does where a key can be null: the command line gives it as text."""
        if not isinstance(raw, dict):
            return raw
        return {
            key: None if value in NULLS and _takes_null(cls, key) else value
            for key, value in raw.items()
        }


def _takes_null(section: type[BaseModel], key: str) -> bool:
    field = section.model_fields.get(key)
    return field is not None and NoneType in get_args(field.annotation)


class Data(Closed):
    """Source of the images, their preparation and their split."""

    search_path: list[FolderName] = Field(
        ["data"],
        min_length=1,
        description="Folders searched for dataset files (~ is your home); what is downloaded or "
        "unpacked goes to the first.",
    )
    published_only: bool = Field(
        True,
        description="Refuse dataset files that are not the published ones; false accepts them, and "
        "every table says so.",
    )
    skip_unusable: bool = Field(
        False,
        description="Leave out images that cannot be used (UTKFace: malformed name, race 4, "
        "unreadable file) instead of stopping; the metadata lists them.",
    )
    image_size: Positive = Field(64, description="Side in pixels that every image is resized to.")
    limit: Positive | None = Field(
        None, description="Use only the first so many images of a dataset (quick looks, tests)."
    )
    split_seed: int = Field(0, ge=0, description="Seed of the split, shared by all model seeds.")
    swap_target_and_shadow: bool = Field(
        False,
        description="Give the target's images to the shadow and the other way round. A search "
        "does, so that it measures nothing on an image of a reported number.",
    )
    out_of_sample_fraction: Share = Field(
        0.5,
        description="Share of target_test that the defender uses as out-of-sample images; the rest "
        "is the test role, which no method sees.",
    )


class Training(Closed):
    """Training of target and shadow models and of retraining (the paper's values)."""

    epochs: Positive = Field(50, description="Passes over the training set.")
    learning_rate: PositiveFloat = Field(1e-2, description="Learning rate of SGD, constant.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(5e-4, ge=0, allow_inf_nan=False, description="Weight decay of SGD.")
    batch_size: BatchSize = Field(64, description="Images per step.")
    precision: Literal["bf16", "fp32"] = Field(
        "bf16", description="bf16 autocast, or fp32 (faster on CPUs without bf16 instructions)."
    )


class Models(Closed):
    """Trained models that are brought in, in place of training them."""

    target: str | None = Field(
        None,
        min_length=1,
        description="Checkpoint of the target, .safetensors or .pt (read by PyTorch's weights-only "
        "loader), {dataset}, {architecture} and {seed} filled in: a model of `architectures`, "
        "trained on the role target_train as `training` says, which retraining follows.",
    )
    shadow: str | None = Field(
        None,
        min_length=1,
        description="The same of the attacker's shadow model, trained on the role shadow_train.",
    )

    @property
    def brought(self) -> set[str]:
        """The roles whose models are brought in."""
        return {role for role in type(self).model_fields if getattr(self, role) is not None}

    def checkpoint(self, role: str, dataset: str, architecture: str, seed: int) -> str:
        """The file of a model that is brought in.

        Raises:
            ValueError: The path has something else in braces.
        """
        path = getattr(self, role)
        try:
            filled = path.format(dataset=dataset, architecture=architecture, seed=seed)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"`models.{role}`: {path} cannot be filled in ({error}); in braces it may have "
                "{dataset}, {architecture} and {seed}"
            ) from error
        return str(Path(filled).expanduser())


class Adversaries(Closed):
    """Attacks and their fit, by adversary: the defender (mf) and the attacker (mia)."""


class Forgetting(Closed):
    """Choice of the forget sets."""

    selection: str = Field(
        "membership",
        description="Module of remibench/selections. membership: the images that white-box MF is "
        "surest of (the paper); memorised: those with the highest loss, in the mean over all "
        "seeds' targets, the same for all seeds: another seed changes them; random: the same "
        "random images for all seeds; class: whole classes, or a share of them; file: the images "
        "that a file lists; subgroup: images by a column of the dataset's metadata.",
    )

    @field_validator("selection")
    @classmethod
    def _selection(cls, name: str) -> str:
        return _known(name, components("selections"))

    @model_validator(mode="before")
    @classmethod
    def _section(cls, raw: Any) -> Any:
        """Ask for the section of the selection where its parameters have no defaults."""
        name = raw.get("selection") if isinstance(raw, dict) else None
        return {name: {}} | raw if name != "selection" and name in cls.model_fields else raw

    @model_validator(mode="after")
    def _path(self) -> Forgetting:
        path = self.parameters.get("path")
        if path is not None and not Path(path).is_file():
            raise ValueError(f"{self.selection}.path: {path} is no file; paths start where you run")
        return self

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the selection."""
        section = getattr(self, self.selection, None)
        return section.model_dump() if section else {}

    @property
    def uses(self) -> tuple[str, ...]:
        """What the selection looks at beyond labels and positions."""
        return selection_uses(self.selection)

    @property
    def described(self) -> str:
        """The selection in words, for tables: ``class (classes: sandal, bag)``."""
        values = [
            f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}"
            for key, value in self.parameters.items()
            if value is not None
        ]
        return f"{self.selection} ({'; '.join(values)})" if values else self.selection


class Tunable(Closed):
    """Parameters of an unlearning method, which may differ by cell."""

    per_cell_values: str | None = Field(
        None,
        description="CSV with the columns dataset, architecture, forget_ratio and some keys of "
        "this section: values for single cells, instead of the section's (paper/table2_…, or what "
        "`snakemake tune` writes). Cells without a row: see `per_cell_values` at the top level.",
    )


class Unlearning(Closed):
    """Parameters of every unlearning method, by its name in ``methods``."""

    def parameters(
        self, method: str, dataset: str, architecture: str, forget_ratio: float
    ) -> dict[str, Any]:
        """The parameters of a method in one cell of the grid: the section's, and its row's.

        Raises:
            ValueError: Its ``per_cell_values`` cannot be read.
        """
        parameters = getattr(self, method).model_dump(exclude={"per_cell_values"})
        return parameters | self._rows(method).get((dataset, architecture, forget_ratio), {})

    def lacks_row(self, method: str, *cell: Any) -> bool:
        """Tell whether a method's ``per_cell_values`` names a file without a row for this cell.

        Raises:
            ValueError: The file cannot be read.
        """
        return self._path(method) is not None and cell not in self._rows(method)

    def _path(self, method: str) -> str | None:
        return getattr(getattr(self, method), "per_cell_values", None)

    def _rows(self, method: str) -> dict[tuple[str, str, float], dict[str, Any]]:
        path = self._path(method)
        return _read_cells(path, type(getattr(self, method))) if path else {}


@cache
def _read_cells(path: str, section: type[Tunable]) -> dict[tuple[str, str, float], dict[str, Any]]:
    """Read a ``per_cell_values`` file: (dataset, architecture, forget ratio) → checked values."""
    keys = ("dataset", "architecture", "forget_ratio")
    known = [name for name in section.model_fields if name != "per_cell_values"]
    try:
        with locate(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    cells = {}
    for line, row in enumerate(rows, 2):
        for key in keys:
            if not row.get(key):
                raise ValueError(f"{path}, line {line}: no value in column `{key}`")
        values = {name: value for name, value in row.items() if name not in keys and value}
        if None in values:
            raise ValueError(f"{path}, line {line}: more values than columns")
        for name in values:
            if name not in known:
                raise ValueError(f"{path}: unknown column {name!r}; {suggest(name, known)}")
        try:
            cell = (row["dataset"], row["architecture"], float(row["forget_ratio"]))
            checked = section.model_validate(values)
        except ValueError as error:
            problem = error.errors()[0] if isinstance(error, ValidationError) else None
            text = f"`{problem['loc'][0]}`: {problem['msg'].lower()}" if problem else str(error)
            raise ValueError(f"{path}, line {line}: {text}") from error
        if cell in cells:
            raise ValueError(f"{path}, line {line}: {', '.join(map(str, cell))} is listed twice")
        cells[cell] = checked.model_dump(include=set(values))
    return cells


def _known(value: str, choices: Collection[str]) -> str:
    if value not in choices:
        raise ValueError(f"unknown name {value!r}; {suggest(value, choices)}")
    return value


def suggest(value: str, choices: Collection[str]) -> str:
    """The choice that a mistaken value is nearest to, as a question, and all choices."""
    near = [choice for choice in choices if choice.startswith(value)]
    near = near or difflib.get_close_matches(value, choices, n=1, cutoff=0.4)
    return (f"did you mean {near[0]!r}? " if near else "") + f"choices: {', '.join(choices)}"


class Config(Closed):
    """The whole configuration of a results tree."""

    plugins: list[FolderName] = Field(
        [],
        description="Folders of plug-ins: datasets, architectures, attacks, methods, controls, "
        "metrics, figures and tables of your own, found like those of the package (docs/extend).",
    )
    results: FolderName = Field(
        "results",
        pattern=r"^[^{}<>]*$",  # Snakemake's own signs
        description="Folder of this config's artifacts (~ is your home).",
    )
    datasets: list[str] = Field(min_length=1, description="Modules of remibench/data.")
    architectures: list[str] = Field(min_length=1, description="Modules of remibench/models.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="One target and one shadow model each."
    )
    forget_ratios: list[Ratio] = Field(
        min_length=1,
        description="Shares to forget of every class's training images, or of those among them "
        "that `forgetting.selection` chooses from: 1 is a whole class, list or subgroup.",
    )
    methods: list[str] = Field(
        min_length=1, description="original (the target model, required) and unlearning methods."
    )
    controls: list[str] = Field(
        [],
        description="Modules of remibench/controls: changes to the target model that forget "
        "nothing, evaluated like methods.",
    )
    attacks: list[str] = Field(
        list(REQUIRED_ATTACKS),
        min_length=1,
        description="Modules of remibench/attacks: each is fitted as MF and as MIA, and judges "
        "every model. whitebox and blackbox, the paper's, are required.",
    )
    metrics: list[str] = Field(
        ["accuracy", "cost", "efficacy", "membership"],
        min_length=1,
        description="Modules of remibench/evaluation/metrics.",
    )
    across_seeds: list[str] = Field(
        [],
        description="Modules of remibench/evaluation/across_seeds: what compares, image by "
        "image, the models of all seeds with the retrained ones. They need retraining, forget "
        "sets that are the same for all seeds (`forgetting.selection`), and at least 4 seeds.",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="Device that models compute on.")
    checkpoint_seconds: float = Field(
        60,
        ge=0,
        allow_inf_nan=False,
        description="Save the progress of trainings and unlearning at most this often, at the end "
        "of an epoch; no result depends on it.",
    )
    keep_unlearned: bool = Field(
        True,
        description="Keep the checkpoints of unlearned models; false deletes each of them once it "
        "is evaluated. Whatever evaluates anew (a ratio more, another metric or attack) then "
        "unlearns anew, all ratios of a method.",
    )
    data: Data = Data()
    training: Training = Training()
    models: Models = Models()
    adversaries: Adversaries = Adversaries()
    forgetting: Forgetting = Forgetting()
    unlearning: Unlearning = Unlearning()
    per_cell_values: Literal["present", "required"] | None = Field(
        "present",
        description="Values of single cells, from the files that the key of this name gives in "
        "`unlearning`. present: cells without a row take their section's values, the published "
        "ones where the config sets no others, which is said in log and tables; required: such a "
        "cell is an error; null: no such file is read.",
    )
    variants: dict[str, dict[str, list[Any]] | list[dict[str, Any]] | None] = Field(
        {},
        description="Variants of methods, for `snakemake tune`, `study` and `mechanism`, as many "
        "for each method: all combinations of the values listed by parameter, a list of variants "
        "with their values (see config/study_remi.yaml), or null: the combinations that the method "
        "declares (SEARCH).",
    )

    @model_validator(mode="before")
    @classmethod
    def _no_cell_values(cls, raw: Any) -> Any:
        """Leave the files of single cells out of all sections where none is to be read."""
        sections = raw.get("unlearning") if isinstance(raw, dict) else None
        ignored = isinstance(sections, dict) and raw.get("per_cell_values", "") in (None, *NULLS)
        if not ignored:
            return raw
        kept = {
            method: {key: value for key, value in section.items() if key != "per_cell_values"}
            if isinstance(section, dict)
            else section
            for method, section in sections.items()
        }
        return raw | {"unlearning": kept}

    @field_validator("results")
    @classmethod
    def _results(cls, path: str) -> str:
        return normalise_results(path)

    @field_validator("datasets", "architectures", "attacks", "metrics", "across_seeds")
    @classmethod
    def _modules(cls, names: list[str], info: ValidationInfo) -> list[str]:
        package = {"datasets": "data", "architectures": "models"}
        known = components(package.get(info.field_name, info.field_name))
        return [_known(name, known) for name in names]

    @field_validator("attacks")
    @classmethod
    def _required_attacks(cls, names: list[str]) -> list[str]:
        for name in REQUIRED_ATTACKS:
            if name not in names:
                raise ValueError(f"{name!r} is missing; the paper's tables and figures show it")
        return names

    @field_validator("methods")
    @classmethod
    def _methods(cls, names: list[str]) -> list[str]:
        names = [_known(name, [ORIGINAL, *methods()]) for name in names]
        if ORIGINAL not in names:
            raise ValueError("'original' is missing; every table compares with the target model")
        return names

    @field_validator("controls")
    @classmethod
    def _controls(cls, names: list[str], info: ValidationInfo) -> list[str]:
        known = controls()
        for name in names:
            uses = constant(known[_known(name, known)], "USES", ())
            if "retrained" in uses and "retrain" not in info.data.get("methods", ["retrain"]):
                raise ValueError(
                    f"{name!r} is made from the retrained model; list retrain in `methods`, or "
                    "leave it out of `controls`"
                )
        return names

    @field_validator(
        *("datasets", "architectures", "seeds", "forget_ratios"),
        *("methods", "controls", "attacks", "metrics", "across_seeds"),
    )
    @classmethod
    def _unique(cls, values: list) -> list:
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"{value!r} is listed twice; list it once")
        return values

    @field_validator("variants", mode="before")
    @classmethod
    def _declared_variants(cls, searches: Any) -> Any:
        if not isinstance(searches, dict):
            return searches
        return {method: None if each in NULLS else each for method, each in searches.items()}

    @field_validator("variants")
    @classmethod
    def _variants(cls, searches: dict[str, Any]) -> dict[str, Any]:
        tunable = {
            name: field.annotation
            for name, field in cls.model_fields["unlearning"].annotation.model_fields.items()
            if issubclass(field.annotation, Tunable)
        }
        checked = {}
        for method, listed in searches.items():
            section = tunable[_known(method, list(tunable))]
            search = _declared_search(method) if listed is None else listed
            valid = partial(_valid, section, method)
            if isinstance(search, dict):
                checked[method] = {
                    name: cls._unique([valid(name, value) for value in values])
                    for name, values in search.items()
                }
            else:
                checked[method] = cls._unique(
                    [{name: valid(name, value) for name, value in each.items()} for each in search]
                )
                if not all(checked[method]):
                    raise ValueError(f"{method}: a variant without a value; give it at least one")
        budgets = {m: len(combinations(each)) if each else 0 for m, each in checked.items()}
        if len(set(budgets.values())) > 1 or 0 in budgets.values():
            raise ValueError(f"every method needs as many variants as the others; got {budgets}")
        return checked

    @model_validator(mode="after")
    def _searches_swap(self) -> Config:
        if bool(self.variants) != self.data.swap_target_and_shadow:
            raise ValueError(
                "`variants` and `data.swap_target_and_shadow: true` belong together: what is "
                "searched is never reported (see config/tune.yaml)"
            )
        if self.variants and not {"accuracy", "membership"} <= set(self.metrics):
            raise ValueError("`metrics`: `variants` are judged by accuracy and membership")
        if self.variants and "retrain" not in self.methods:
            raise ValueError("`methods`: `variants` are compared with retraining; list retrain")
        return self

    @model_validator(mode="after")
    def _comparable_seeds(self) -> Config:
        if not self.across_seeds:
            return self
        if "membership" in self.forgetting.uses:
            raise ValueError(
                f"`across_seeds`: with `forgetting.selection: {self.forgetting.selection}` every "
                "seed forgets other images; set it to random or memorised"
            )
        if "retrain" not in self.methods:
            raise ValueError(
                "`across_seeds`: metrics compare with retraining; list retrain in `methods`"
            )
        if len(self.seeds) < SEEDS_ACROSS:
            raise ValueError(
                f"`across_seeds`: metrics need at least {SEEDS_ACROSS} seeds, two for each half of "
                f"them; `seeds` lists {len(self.seeds)}"
            )
        return self

    @model_validator(mode="after")
    def _something_is_retained(self) -> Config:
        name = self.forgetting.selection
        if 1 in self.forget_ratios and not selection_restricts(name):
            raise ValueError(
                f"`forget_ratios`: 1.0 leaves nothing to retain with `forgetting.selection: {name}`"
                "; lower it, or select a class, a file or a subgroup"
            )
        return self

    @model_validator(mode="after")
    def _published_rates(self) -> Config:
        """Refuse a control that is made from a number of the paper where the paper has none."""
        from remibench.data import dataset_info  # numpy: only where it is needed

        for name in self.controls:
            if "published" not in constant(controls()[name], "USES", ()):
                continue
            if self.forgetting.selection != PAPER_SELECTION:
                raise ValueError(
                    f"`controls`: {name} is made from the paper's Table IV, which is of forget "
                    f"sets by {PAPER_SELECTION}; take it out of `controls`"
                )
            for dataset, architecture, ratio in itertools.product(
                self.datasets, self.architectures, self.forget_ratios
            ):
                if components("data")[dataset] not in own_files("data"):
                    continue  # nothing of a plug-in is evaluated here: `split_dataset` looks
                known = dataset_info(dataset).paper_dataset
                if ratio not in published_rates(architecture).get(known, {}):
                    raise ValueError(
                        f"`controls`: {name} is made from the paper's Table IV, which has no "
                        f"number for {dataset}, {architecture}, {ratio}; take it out of `controls`"
                    )
        return self

    @model_validator(mode="after")
    def _checkpoints(self) -> Config:
        for role in sorted(self.models.brought):
            cells: dict[str, tuple] = {}
            for cell in itertools.product(self.datasets, self.architectures, self.seeds):
                path = self.models.checkpoint(role, *cell)
                other = cells.setdefault(path, cell)
                if other != cell:
                    raise ValueError(
                        f"`models.{role}`: {path} stands for {', '.join(map(str, other))} and for "
                        f"{', '.join(map(str, cell))}; write {{dataset}}, {{architecture}} or "
                        "{seed} where the files' names differ"
                    )
                if not Path(path).is_file():
                    raise ValueError(
                        f"`models.{role}`: {path} is no file; paths start where you run"
                    )
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Config:
        for architecture in self.architectures:
            smallest = constant(components("models")[architecture], "MIN_IMAGE_SIZE", 1)
            if self.data.image_size < smallest:
                raise ValueError(
                    f"`data.image_size`: {self.data.image_size} is too small for architecture "
                    f"{architecture}; it needs at least {smallest}"
                )
        return self

    def variants_of(self, method: str) -> dict[str, dict[str, Any]]:
        """The values of every variant of a method, by the variant's name (``fisher~03``)."""
        return named_variants(method, self.variants[method])

    def variant_rows(self) -> list[dict[str, Any]]:
        """Meaning of every variant: ``variant``, ``method``, ``parameter`` and ``value``."""
        return list(variant_rows(self.variants))

    def parameters(
        self, method: str, dataset: str, architecture: str, forget_ratio: float
    ) -> dict[str, Any]:
        """The parameters of a method, or of a variant of one, in one cell of the grid."""
        name = method_of(method)
        parameters = self.unlearning.parameters(name, dataset, architecture, forget_ratio)
        return parameters if name == method else parameters | self.variants_of(name)[method]

    def searched(self) -> dict[str, list[str]]:
        """Parameters that a search decides by cell: every method's, and those of `per_cell_values`.

        The others stay where they are, in the config.
        """
        searched = {}
        for method, search in self.variants.items():
            cells = self.unlearning._rows(method)
            names = itertools.chain(*combinations(search), *cells.values())
            searched[method] = list(dict.fromkeys(names))
        return searched

    @model_validator(mode="after")
    def _cells(self) -> Config:
        for method, *cell in self._methods_in_cells():
            try:
                lacking = self.unlearning.lacks_row(method, *cell)
            except ValueError as error:
                raise ValueError(f"`unlearning.{method}.per_cell_values`: {error}") from error
            if lacking and self.per_cell_values == "required":
                path = getattr(self.unlearning, method).per_cell_values
                raise ValueError(
                    f"`unlearning.{method}.per_cell_values`: {path} has no row for "
                    f"{', '.join(map(str, cell))}; add one (`snakemake tune` finds values), or set "
                    "`per_cell_values: present` at the top level"
                )
            for name in (method, *(self.variants_of(method) if method in self.variants else ())):
                self._check_values(name, self.parameters(name, *cell))
        return self

    @staticmethod
    def _check_values(name: str, parameters: Mapping[str, Any]) -> None:
        """Refuse values that the method declares to contradict each other (REFUSES)."""
        file = components("unlearning")[methods()[method_of(name)].module]
        for values, reason in constant(file, "REFUSES", ()):
            if values.items() <= parameters.items():
                raise ValueError(f"`unlearning.{method_of(name)}`: {reason}")

    def _methods_in_cells(self) -> Iterator[tuple[str, str, str, float]]:
        methods = dict.fromkeys([*self.methods, *self.variants])
        methods.pop(ORIGINAL, None)
        return itertools.product(methods, self.datasets, self.architectures, self.forget_ratios)

    def unsearched(self) -> list[tuple[str, str, str, float]]:
        """List the methods, each with the cell, whose ``per_cell_values`` has no row for the cell.

        They are run with their section's values.
        """
        return [each for each in self._methods_in_cells() if self.unlearning.lacks_row(*each)]

    def hyperparameters(self) -> Iterator[dict[str, Any]]:
        """Yield every method's parameters in every cell: one record per parameter.

        For a method that has variants, those that the variants start from.
        """
        for method, *cell in self._methods_in_cells():
            parameters = self.unlearning.parameters(method, *cell)
            record = dict(zip(("dataset", "architecture", "forget_ratio"), cell, strict=True))
            for name, value in parameters.items():
                yield {**record, "method": method, "parameter": name, "value": value}


def _declared_search(method: str) -> dict[str, list[Any]]:
    """The values to search that a method's module declares."""
    file = components("unlearning")[methods()[method].module]
    if (search := constant(file, "SEARCH")) is None:
        raise ValueError(f"{method} declares no SEARCH in {file}; list its values")
    return search


def _valid(section: type[Tunable], method: str, name: str, value: Any) -> Any:
    """A variant's value of one parameter, as the section takes it."""
    _known(name, [key for key in section.model_fields if key != "per_cell_values"])
    try:
        return getattr(section.model_validate({name: value}), name)
    except ValidationError as error:
        problem = error.errors()[0]
        message = f"{method}.{name}: {problem['msg'].lower()}; got {problem['input']!r}"
        raise ValueError(message) from error


def config_model() -> type[Config]:
    """The configuration with a section for every unlearning method and attack that there is.

    Raises:
        RemibenchError: A plug-in, or a signature, breaks its contract.
    """
    plugins = sorted(plugin_files().items())
    return _config_model(tuple((name, file, file.stat().st_mtime_ns) for name, file in plugins))


@cache
def _config_model(_: tuple[tuple[str, Path, int], ...]) -> type[Config]:
    check_plugins()
    parameters = {
        name: _method_section(name, file) for name, file in components("unlearning").items()
    }
    sections = {name: parameters[entry.module] for name, entry in methods().items()}
    unlearning = create_model(
        "Unlearning",
        __base__=Unlearning,
        __doc__=Unlearning.__doc__,
        **{name: (section, section()) for name, section in sections.items()},
    )
    fits = {
        name: read_section(file, "fit_attack", Closed, _camel(name))
        for name, file in components("attacks").items()
    }
    membership_models = create_model(
        "MembershipModels",
        __base__=Closed,
        __doc__="One membership model for each attack.",
        **{name: (section, section()) for name, section in fits.items()},
    )
    described = {
        "mf": "Membership fingerprinting: the defender's, guides ReMI.",
        "mia": "Membership inference: the attacker's, trained on the shadow model.",
    }
    adversaries = create_model(
        "Adversaries",
        __base__=Adversaries,
        __doc__=Adversaries.__doc__,
        **{
            name: (membership_models, Field(membership_models(), description=description))
            for name, description in described.items()
        },
    )
    selections = {
        name: read_section(file, "prioritise", Closed, _camel(name))
        for name, file in components("selections").items()
    }
    for name in selections:
        if hasattr(Forgetting, name) or name in Forgetting.model_fields:
            file = components("selections")[name]
            raise RemibenchError(f"{file}: the name {name!r} is taken; rename the file")
    forgetting = create_model(
        "Forgetting",
        __base__=Forgetting,
        __doc__=Forgetting.__doc__,
        **{
            name: (section | None, Field(None, description=section.__doc__))
            for name, section in selections.items()
            if section.model_fields
        },
    )
    return create_model(
        "Config",
        __base__=Config,
        __doc__=Config.__doc__,
        adversaries=(adversaries, adversaries()),
        forgetting=(forgetting, forgetting()),
        unlearning=(unlearning, unlearning()),
    )


def _method_section(name: str, file: Path) -> type[BaseModel]:
    section = read_section(file, "unlearn", Tunable, _camel(name))
    if set(section.model_fields) == set(Tunable.model_fields):  # there is nothing to tune
        return create_model(_camel(name), __base__=Closed, __doc__=section.__doc__)
    return section


def _camel(name: str) -> str:
    return "".join(map(str.capitalize, name.split("_")))


def load_config(raw: Mapping[str, Any]) -> Config:
    """Activate the plug-ins of a configuration as read from YAML, and validate it.

    Raises:
        RemibenchError: The first problem, in one line: key, value, and the nearest key or choices;
            or the file of a plug-in, and what it breaks.
    """
    folders = raw.get("plugins")
    try:
        activate(folders if isinstance(folders, list) and all(map(_is_path, folders)) else [])
        model = config_model()
    except RemibenchError as error:
        raise RemibenchError(f"config: {error}") from error
    return validate(model, raw, "config")


def validate(
    model: type[Section], raw: Mapping[str, Any], name: str, example: str = "config.yaml"
) -> Section:
    """Validate a section, or a whole configuration.

    Args:
        model: Its class.
        raw: Its values.
        name: What messages call it.
        example: A file that shows all keys, for the message on a missing one.

    Raises:
        RemibenchError: The first problem, in one line: key, value, and the nearest key or choices.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        # A misspelt key is also a missing one: name what was written, not what was not.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] == "missing")
        raise RemibenchError(f"{name}: {_explain(problems[0], model, example)}") from error


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _explain(problem: Mapping[str, Any], model: type[BaseModel], example: str) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        section = _section(path[:-1], model)
        new, fix = RENAMED.get(path[-1], ("", ""))
        if new in section.model_fields:
            return f"`{key}` is now `{'.'.join([*path[:-1], new])}`; {fix}"
        where = f"in `{'.'.join(path[:-1])}`" if path[:-1] else "at the top level"
        return (
            f"unknown key {path[-1]!r} {where}; {suggest(path[-1], sorted(section.model_fields))}"
        )
    if key == "attacks" and isinstance(problem["input"], Mapping):
        return "the section `attacks` is now `adversaries`; rename it (`attacks` lists the attacks)"
    if problem["type"] == "missing":
        return f"key `{key}` is missing; add it (see {example})"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:  # a check of the whole config names its keys itself
        return message
    message = message[0].lower() + message[1:]
    return f"`{key}`: {message}" + (
        "" if "value_error" in problem["type"] else f"; got {problem['input']!r}"
    )


def _section(path: list[str], section: type[BaseModel]) -> type[BaseModel]:
    for part in path:
        annotation = section.model_fields[part].annotation
        section = next(iter(get_args(annotation)), annotation)  # an optional section is X | None
    return section


def json_schema() -> dict[str, Any]:
    """JSON schema of the configuration, for editors; ``workflow/schemas`` holds a copy."""
    schema = config_model().model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
