"""The configuration: one typed model, closed at every level, from which the JSON schema is made."""

from __future__ import annotations

import ast
import csv
import difflib
import itertools
import json
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from remibench.errors import RemibenchError

Positive = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=1e-4, lt=1)]  # smaller ones have no plain decimal file name

ACCESSES = ("whitebox", "blackbox")
ORIGINAL = "original"
SEEDS_ACROSS = 4  # the fewest that can be compared


class MethodEntry(NamedTuple):
    """An entry of ``methods``: its module in ``remibench/unlearning``, and its guide's access."""

    module: str
    guide: str | None


METHODS = {
    "retrain": MethodEntry("retrain", None),
    "fisher": MethodEntry("fisher", None),
    "remi_whitebox": MethodEntry("remi", "whitebox"),
    "remi_blackbox": MethodEntry("remi", "blackbox"),
    **{
        name: MethodEntry(name, None)
        for name in (
            *("fine_tune", "neggrad_plus", "random_labels", "bad_teacher"),
            *("scrub", "salun", "ssd"),
        )
    },
}


def modules(package: str) -> list[str]:
    """Names of the modules of a sub-package, without importing them."""
    folder = Path(__file__).parent / package
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


class Closed(BaseModel):
    """A section that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Closed):
    """Where images come from and how they are prepared and split."""

    search_path: list[Annotated[str, Field(min_length=1)]] = Field(
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
    halves: Literal["reported", "tuning"] = Field(
        "reported",
        description="Which half of the images is the target's, and which the shadow's; tuning "
        "exchanges them, so that no number is measured on an image of a reported one.",
    )
    out_of_sample_fraction: Share = Field(
        0.5,
        description="Share of target_test that the defender uses as out-of-sample images; the rest "
        "is the test role, which no method sees.",
    )


class Training(Closed):
    """Training of target and shadow models and of retraining (the paper's values)."""

    epochs: Positive = Field(50, description="Passes over the training set.")
    learning_rate: PositiveFloat = Field(1e-2, description="Of SGD, constant.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of SGD.")
    weight_decay: float = Field(5e-4, ge=0, allow_inf_nan=False, description="Of SGD.")
    batch_size: Positive = Field(64, description="Images per step.")
    precision: Literal["bf16", "fp32"] = Field(
        "bf16", description="bf16 autocast, or fp32 (faster on CPUs without bf16 instructions)."
    )


class WhiteBox(Closed):
    """Training of a white-box attack network (Adam)."""

    epochs: Positive = Field(50, description="Passes over the attack's training features.")
    learning_rate: PositiveFloat = Field(1e-5, description="Of Adam.")
    batch_size: Positive = Field(64, description="Samples per step.")


class BlackBox(Closed):
    """Training of ART's black-box attack network; the defaults are ART's."""

    epochs: Positive = Field(100, description="ART's nn_model_epochs.")
    learning_rate: PositiveFloat = Field(1e-4, description="ART's nn_model_learning_rate.")
    batch_size: Positive = Field(100, description="ART's nn_model_batch_size.")


class Accesses(Closed):
    """One membership model for each access."""

    whitebox: WhiteBox = WhiteBox()
    blackbox: BlackBox = BlackBox()


class Attacks(Closed):
    """The membership models."""

    mf: Accesses = Field(
        Accesses(), description="Membership fingerprinting: the defender's, guides ReMI."
    )
    mia: Accesses = Field(
        Accesses(), description="Membership inference: the attacker's, trained on the shadow model."
    )


class Forgetting(Closed):
    """How forget sets are chosen."""

    selection: Literal["membership", "memorised", "random"] = Field(
        "membership",
        description="membership: the images that white-box MF is surest of (the paper); "
        "memorised: those with the highest loss, in the mean over all seeds' targets, the same for "
        "all seeds: another seed changes them; random: the same random images for all seeds.",
    )


class Tunable(Closed):
    """Parameters of an unlearning method, which may differ by cell."""

    values_from: str | None = Field(
        None,
        description="CSV with the columns dataset, architecture, forget_ratio and some keys of "
        "this section: values for single cells, instead of the section's (paper/table2_…, or what "
        "`snakemake tune` writes). Every cell of the grid needs a row.",
    )


class Retrain(Closed):
    """Naive retraining has no parameters of its own."""


class Fisher(Tunable):
    """Fisher forgetting."""

    alpha: PositiveFloat = Field(3e-6, description="Scale of the noise's variance.")
    max_std: PositiveFloat = Field(1e-3, description="Greatest standard deviation of the noise.")
    last_layer_factor: PositiveFloat = Field(10.0, description="Noise factor of the last layer.")


class Remi(Tunable):
    """ReMI."""

    loss: Literal["gaussian_kl", "gaussian_bound", "bernoulli_kl", "paired_kl"] = Field(
        "gaussian_kl", description="Reading of L_G, see docs/remi.md."
    )
    scores: Literal["probability", "logit"] = Field(
        "probability", description="What the Gaussian readings compare."
    )
    std_floor: PositiveFloat = Field(
        0.2, description="Added to both deviations in gaussian_kl; the deviation in gaussian_bound."
    )
    direction: Literal["from_forget", "from_out_of_sample"] = Field(
        "from_forget", description="First argument of the divergence."
    )
    out_of_sample_gradient: bool = Field(
        False, description="Let gradients flow through the out-of-sample branch, too."
    )
    learning_rate: PositiveFloat = Field(1e-2, description="η of SGD.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of SGD.")
    lambda2: float = Field(0.98, gt=0, le=1, description="Weight of L_G; L_cls has 1 − λ2.")
    max_epochs: Positive = Field(60, description="Epochs at most.")
    epoch_over: Literal["forget", "retain"] = Field(
        "forget", description="What an epoch is a pass over."
    )
    stop: Literal["matched", "never"] = Field(
        "matched",
        description="matched: once MF calls no larger share of D_f members than of out-of-sample "
        "images; never: after max_epochs.",
    )
    batch_size: Positive = Field(64, description="Forget images per step.")
    classification_batch_size: Positive = Field(256, description="Images in L_cls per step.")
    classification_data: Literal["train", "retain", "forget"] = Field(
        "train", description="Images of L_cls: all training images, or those of one set."
    )


class FineTune(Tunable):
    """Fine-tuning; defaults as published."""

    learning_rate: PositiveFloat = Field(0.02, description="Of SGD.")
    epochs: Positive = Field(5, description="Passes over the retain set.")


class NegGradPlus(Tunable):
    """NegGrad+; defaults as published."""

    learning_rate: PositiveFloat = Field(0.01, description="Of SGD.")
    alpha: float = Field(0.95, gt=0, lt=1, description="α, the weight of the retain set.")
    epochs: Positive = Field(5, description="Passes over the retain set.")


class RandomLabels(Tunable):
    """Random labels; defaults as published."""

    learning_rate: PositiveFloat = Field(1e-4, description="Of Adam.")
    epochs: Positive = Field(3, description="Passes over the training set.")


class BadTeacher(Tunable):
    """Bad teacher; defaults as published."""

    learning_rate: PositiveFloat = Field(1e-4, description="Of Adam.")
    epochs: Positive = Field(1, description="Passes over forget set and share of the retain set.")
    retain_share: float = Field(0.3, gt=0, le=1, description="Share of the retain set used.")
    temperature: PositiveFloat = Field(1.0, description="Of teachers and student.")
    batch_size: Positive = Field(256, description="Images per step.")


class Scrub(Tunable):
    """SCRUB; defaults as published for large data."""

    learning_rate: PositiveFloat = Field(5e-4, description="Of SGD.")
    alpha: float = Field(0.001, ge=0, allow_inf_nan=False, description="α, weight of KL on D_r.")
    gamma: float = Field(0.99, ge=0, allow_inf_nan=False, description="γ, weight of L on D_r.")
    temperature: PositiveFloat = Field(4.0, description="Of teacher and student in KL.")
    max_steps: Positive = Field(2, description="Epochs that begin with a pass over D_f.")
    epochs: Positive = Field(3, description="Passes over the retain set.")
    batch_size: Positive = Field(64, description="Images per step.")


class SalUn(Tunable):
    """SalUn; defaults as published."""

    learning_rate: PositiveFloat = Field(0.013, description="Of SGD.")
    epochs: Positive = Field(10, description="Passes over the training set.")
    share: float = Field(0.5, gt=0, le=1, description="Share of the weights that may change.")


class SSD(Tunable):
    """Selective synaptic dampening; defaults as published."""

    alpha: PositiveFloat = Field(10.0, description="α, selects weights.")
    dampening: PositiveFloat = Field(1.0, description="λ, dampens them.")


class Unlearning(Closed):
    """Parameters of every unlearning method, by its name in ``methods``."""

    retrain: Retrain = Retrain()
    fisher: Fisher = Fisher()
    remi_whitebox: Remi = Remi()
    remi_blackbox: Remi = Remi()
    fine_tune: FineTune = FineTune()
    neggrad_plus: NegGradPlus = NegGradPlus()
    random_labels: RandomLabels = RandomLabels()
    bad_teacher: BadTeacher = BadTeacher()
    scrub: Scrub = Scrub()
    salun: SalUn = SalUn()
    ssd: SSD = SSD()

    def parameters(
        self, method: str, dataset: str, architecture: str, forget_ratio: float
    ) -> dict[str, Any]:
        """The parameters of a method in one cell of the grid.

        Args:
            method: Its name, or that of a candidate (:meth:`Config.candidates`): the method's and
                its own values, ``fisher,alpha=1e-06,max_std=0.01``.
            dataset, architecture, forget_ratio: The cell.

        Raises:
            ValueError: Its ``values_from`` cannot be read, or has no row for the cell.
        """
        name, *settings = method.split(",")
        section = getattr(self, name)
        parameters = section.model_dump(exclude={"values_from"})
        path = getattr(section, "values_from", None)
        if path is not None:
            cell = (dataset, architecture, forget_ratio)
            values = _read_cells(path, type(section))
            if cell not in values:
                raise ValueError(
                    f"{path} has no row for {', '.join(map(str, cell))}; "
                    "add one (`snakemake tune` finds values), or set `values_from: null`"
                )
            parameters |= values[cell]
        given = dict(setting.split("=", 1) for setting in settings)
        return parameters | type(section).model_validate(given).model_dump(include=set(given))


@cache
def _read_cells(path: str, section: type[Tunable]) -> dict[tuple[str, str, float], dict[str, Any]]:
    """Read a ``values_from`` file: (dataset, architecture, forget ratio) → checked values."""
    keys = ("dataset", "architecture", "forget_ratio")
    known = [name for name in section.model_fields if name != "values_from"]
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read {path}: {error}") from error
    cells = {}
    for line, row in enumerate(rows, 2):
        for key in keys:
            if not row.get(key):
                raise ValueError(f"{path}, line {line}: no value in column `{key}`")
        given = {name: value for name, value in row.items() if name not in keys and value}
        if None in given:
            raise ValueError(f"{path}, line {line}: more values than columns")
        for name in given:
            if name not in known:
                raise ValueError(f"{path}: unknown column {name!r}; {_suggest(name, known)}")
        try:
            cell = (row["dataset"], row["architecture"], float(row["forget_ratio"]))
            checked = section.model_validate(given)
        except ValueError as error:
            problem = error.errors()[0] if isinstance(error, ValidationError) else None
            text = f"`{problem['loc'][0]}`: {problem['msg'].lower()}" if problem else str(error)
            raise ValueError(f"{path}, line {line}: {text}") from error
        if cell in cells:
            raise ValueError(f"{path}, line {line}: {', '.join(map(str, cell))} is listed twice")
        cells[cell] = checked.model_dump(include=set(given))
    return cells


def _min_image_size(architecture: str) -> int:
    """Read ``MIN_IMAGE_SIZE`` of an architecture from its file: to import it takes seconds."""
    source = Path(__file__).parent / "models" / f"{architecture}.py"
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign([ast.Name("MIN_IMAGE_SIZE")], ast.Constant(int(size))) | ast.AnnAssign(
                ast.Name("MIN_IMAGE_SIZE"), _, ast.Constant(int(size))
            ):
                return size
    return 1


def _known(value: str, choices: list[str]) -> str:
    if value not in choices:
        raise ValueError(f"unknown name {value!r}; {_suggest(value, choices)}")
    return value


def _suggest(value: str, choices: list[str]) -> str:
    near = [choice for choice in choices if choice.startswith(value)]
    near = near or difflib.get_close_matches(value, choices, n=1, cutoff=0.4)
    return (f"did you mean {near[0]!r}? " if near else "") + f"choices: {', '.join(choices)}"


class Config(Closed):
    """The whole configuration of a results tree."""

    results: str = Field(
        "results",
        min_length=1,
        pattern=r"^[^{}<>]*$",  # Snakemake's own signs
        description="Folder of this config's artifacts.",
    )
    datasets: list[str] = Field(min_length=1, description="Modules of remibench/data.")
    architectures: list[str] = Field(min_length=1, description="Modules of remibench/models.")
    seeds: list[Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="One target and one shadow model each."
    )
    forget_ratios: list[Share] = Field(
        min_length=1, description="Shares of every class's training images to forget."
    )
    methods: list[str] = Field(
        min_length=1, description="original (the target model, required) and unlearning methods."
    )
    metrics: list[str] = Field(
        ["accuracy", "cost", "efficacy", "membership"],
        min_length=1,
        description="Modules of remibench/metrics.",
    )
    across_seeds: list[str] = Field(
        [],
        description="Modules of remibench/across_seeds: what compares, image by image, the models "
        "of all seeds with the retrained ones. They need retraining, forget sets that are the same "
        "for all seeds (`forgetting.selection`), and at least 4 seeds.",
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where models compute.")
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
    attacks: Attacks = Attacks()
    forgetting: Forgetting = Forgetting()
    unlearning: Unlearning = Unlearning()
    tune: dict[str, dict[str, list[Any]] | list[dict[str, Any]]] = Field(
        {},
        description="Candidates of `snakemake tune` and `study`, by method, as many for each: all "
        "combinations of the values listed by parameter (see config/tune.yaml), or a list of "
        "candidates, each with its values (see config/study_remi.yaml).",
    )

    @field_validator("datasets", "architectures", "metrics", "across_seeds")
    @classmethod
    def _modules(cls, names: list[str], info: ValidationInfo) -> list[str]:
        folders = {"datasets": "data", "architectures": "models"}
        package = folders.get(info.field_name, info.field_name)
        return [_known(name, modules(package)) for name in names]

    @field_validator("methods")
    @classmethod
    def _methods(cls, names: list[str]) -> list[str]:
        names = [_known(name, [ORIGINAL, *METHODS]) for name in names]
        if ORIGINAL not in names:
            raise ValueError("'original' is missing; every table compares with the target model")
        return names

    @field_validator(
        *("datasets", "architectures", "seeds", "forget_ratios"),
        *("methods", "metrics", "across_seeds"),
    )
    @classmethod
    def _unique(cls, values: list) -> list:
        for value in values:
            if values.count(value) > 1:
                raise ValueError(f"{value!r} is listed twice; list it once")
        return values

    @field_validator("tune")
    @classmethod
    def _tune(cls, searches: dict[str, Any]) -> dict[str, Any]:
        tunable = {
            name: field.annotation
            for name, field in Unlearning.model_fields.items()
            if issubclass(field.annotation, Tunable)
        }
        checked = {}
        for method, search in searches.items():
            section = tunable[_known(method, list(tunable))]
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
                    raise ValueError(f"{method}: a candidate without a value; give it at least one")
        budgets = {m: len(_combinations(each)) if each else 0 for m, each in checked.items()}
        if len(set(budgets.values())) > 1 or 0 in budgets.values():
            raise ValueError(f"every method needs as many candidates as the others; got {budgets}")
        return checked

    @model_validator(mode="after")
    def _tuning_halves(self) -> Config:
        if bool(self.tune) != (self.data.halves == "tuning"):
            raise ValueError(
                "`tune` and `data.halves: tuning` belong together: what is tuned is never reported "
                "(see config/tune.yaml)"
            )
        if self.tune and not {"accuracy", "membership"} <= set(self.metrics):
            raise ValueError("`metrics`: `tune` judges by accuracy and membership; list both")
        if self.tune and "retrain" not in self.methods:
            raise ValueError("`methods`: `tune` compares with retraining; list retrain")
        return self

    @model_validator(mode="after")
    def _comparable_seeds(self) -> Config:
        if not self.across_seeds:
            return self
        if self.forgetting.selection == "membership":
            raise ValueError(
                "`across_seeds`: with `forgetting.selection: membership` every seed forgets other "
                "images; set it to random or memorised"
            )
        if "retrain" not in self.methods:
            raise ValueError("`across_seeds`: it compares with retraining; list it in `methods`")
        if len(self.seeds) < SEEDS_ACROSS:
            raise ValueError(
                f"`across_seeds`: it needs at least {SEEDS_ACROSS} seeds, two for each half of "
                f"them; `seeds` lists {len(self.seeds)}"
            )
        return self

    @model_validator(mode="after")
    def _sizes(self) -> Config:
        for architecture in self.architectures:
            if self.data.image_size < (smallest := _min_image_size(architecture)):
                raise ValueError(
                    f"`data.image_size`: {self.data.image_size} is too small for architecture "
                    f"{architecture}; it needs at least {smallest}"
                )
        return self

    def candidates(self, method: str) -> list[str]:
        """The candidates of a method's search, by name: ``fisher,alpha=1e-06,max_std=0.01``."""
        return [
            ",".join([method, *(f"{name}={value}" for name, value in candidate.items())])
            for candidate in _combinations(self.tune[method])
        ]

    def searched(self) -> dict[str, list[str]]:
        """What a search decides by cell: every method's parameters, and those of `values_from`.

        The others stay where they are, in the config.
        """
        searched = {}
        for method, search in self.tune.items():
            section = getattr(self.unlearning, method)
            cells = _read_cells(section.values_from, type(section)) if section.values_from else {}
            names = itertools.chain(*_combinations(search), *cells.values())
            searched[method] = list(dict.fromkeys(names))
        return searched

    @model_validator(mode="after")
    def _cells(self) -> Config:
        for _ in self.hyperparameters():
            pass
        return self

    def hyperparameters(self) -> Iterator[dict[str, Any]]:
        """Yield every method's parameters in every cell: one record per parameter.

        Of a method that is searched, those that its candidates start from.
        """
        methods = dict.fromkeys([*self.methods, *self.tune])
        methods.pop(ORIGINAL, None)
        axes = (methods, self.datasets, self.architectures, self.forget_ratios)
        for method, *cell in itertools.product(*axes):
            try:
                parameters = self.unlearning.parameters(method, *cell)
            except ValueError as error:
                raise ValueError(f"`unlearning.{method}.values_from`: {error}") from error
            record = dict(zip(("dataset", "architecture", "forget_ratio"), cell, strict=True))
            for name, value in parameters.items():
                yield {**record, "method": method, "parameter": name, "value": value}


def _valid(section: type[Tunable], method: str, name: str, value: Any) -> Any:
    """A candidate's value of one parameter, as the section takes it."""
    _known(name, [key for key in section.model_fields if key != "values_from"])
    try:
        return getattr(section.model_validate({name: value}), name)
    except ValidationError as error:
        problem = error.errors()[0]
        message = f"{method}.{name}: {problem['msg'].lower()}; got {problem['input']!r}"
        raise ValueError(message) from error


def _combinations(search: Mapping[str, list[Any]] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(search, list):
        return search
    return [
        dict(zip(search, values, strict=True)) for values in itertools.product(*search.values())
    ]


def load_config(raw: Mapping[str, Any]) -> Config:
    """Validate a configuration as read from YAML.

    Raises:
        RemibenchError: The first problem, in one line: key, value, and the nearest key or choices.
    """
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        # A misspelt key is also a missing one: name what was written, not what was not.
        problems = sorted(error.errors(), key=lambda problem: problem["type"] == "missing")
        raise RemibenchError("config: " + _explain(problems[0])) from error


def _explain(problem: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        section = _section(path[:-1])
        where = f"in `{'.'.join(path[:-1])}`" if path[:-1] else "at the top level"
        return (
            f"unknown key {path[-1]!r} {where}; {_suggest(path[-1], sorted(section.model_fields))}"
        )
    if problem["type"] == "missing":
        return f"key `{key}` is missing; add it (see config.yaml)"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:  # a check of the whole config names its keys itself
        return message
    message = message[0].lower() + message[1:]
    return f"`{key}`: {message}" + (
        "" if "value_error" in problem["type"] else f"; got {problem['input']!r}"
    )


def _section(path: list[str]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for part in path:
        section = section.model_fields[part].annotation
    return section


def json_schema() -> dict[str, Any]:
    """JSON schema of the configuration, for editors; ``workflow/schemas`` holds a copy."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
