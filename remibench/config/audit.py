"""The file that ``remibench audit`` reads: models, images and forget set, by their files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from remibench.config.model import Closed, Data, validate
from remibench.errors import RemibenchError

if TYPE_CHECKING:
    from remibench.reporting.audit import Audit

EXAMPLE = "docs/own_model.md"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _named(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {"after": value}


Paths = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
Pair = Annotated[list[str], Field(min_length=2, max_length=2)]


class Arrays(Closed):
    """Pairs of npy files, images and labels."""

    train: Pair = Field(description="The images that the model was trained on.")
    test: Pair = Field(description="Images that it was not trained on.")
    shadow_train: Pair | None = Field(None, description="Images that a shadow model is trained on.")
    shadow_test: Pair | None = Field(None, description="Images that it is not trained on.")
    out_of_sample_fraction: float = Field(
        0.5, gt=0, lt=1, description="Share of test that the auditor's attacks are fitted on."
    )
    seed: int = Field(0, description="Seed of that division.")


class Dataset(Data):
    """A dataset of the library, in the roles of the workflow."""

    name: str = Field(description="fmnist_embedded, fmnist, cifar10, stl10 or utkface.")


class AuditConfig(Closed):
    """The configuration of an audit. Relative paths start at the file's folder."""

    model: str = Field(description="FILE.py:FUNCTION, which builds the model without arguments.")
    before: Paths = Field(
        description="Checkpoint of the model before unlearning; or several, of models that differ "
        "by the seed of their training."
    )
    after: Annotated[dict[str, Paths], BeforeValidator(_named)] = Field(
        description="Checkpoint of the unlearned model, as many as before; or such by the name of "
        "the method."
    )
    retrained: Paths | None = Field(None, description="Checkpoint of the retrained model.")
    shadow: Paths | None = Field(None, description="Checkpoint of the shadow model.")
    arrays: Arrays | None = Field(None, description="Images from files; or `dataset`.")
    dataset: Dataset | None = Field(None, description="Images of the library; or `arrays`.")
    transform: str | None = Field(
        None, description="FILE.py:FUNCTION, what a batch goes through on its way into the model."
    )
    forget: str = Field(
        description="Positions among the training images: npy, or text with one number a line."
    )
    classes: list[int] | None = Field(
        None, description="Classes that the forget set is of, where it is no sample of all."
    )
    attacks: dict[str, dict[str, Any]] = Field(
        {"whitebox": {}, "blackbox": {}}, description="Attacks with their parameters."
    )
    controls: list[str] | None = Field(None, description="Controls; null for all that can be made.")
    metrics: list[str] | None = Field(None, description="Metrics; null for those of the library.")
    training: dict[str, Any] = Field({}, description="How the model was trained.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Device that models compute on.")
    seed: int = Field(0, ge=0, description="Seed of all random numbers.")
    output: str = Field("audit", min_length=1, description="Folder of the page and the tables.")

    @model_validator(mode="after")
    def _one_source(self) -> AuditConfig:
        if (self.arrays is None) == (self.dataset is None):
            raise ValueError("give the images as `arrays` or as `dataset`, one of them")
        return self


def read_audit(path: Path) -> AuditConfig:
    """Read and check the configuration of an audit.

    Raises:
        RemibenchError: The file cannot be read, or a key or value is wrong; one line.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RemibenchError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise RemibenchError(f"{path} is no YAML: {error}") from error
    if not isinstance(raw, Mapping):
        raise RemibenchError(f"{path} has no keys; see {EXAMPLE}")
    return validate(AuditConfig, raw, str(path), EXAMPLE)


def run_audit(path: Path) -> tuple[Audit, Path]:
    """Carry out the audit that a file describes, and write its page and tables.

    Returns:
        The audit, and the path of its page.

    Raises:
        RemibenchError: A key, a value or a file is wrong.
    """
    import remibench
    from remibench.artifacts.foreign import load_function, load_numbers, load_weights
    from remibench.data.forget_sets import read_positions
    from remibench.jobs.torch_setup import select_device

    config, folder = read_audit(path), path.parent
    build, device = load_function(config.model, folder), select_device(config.device)

    def place(name: str) -> Path:
        return folder / Path(name).expanduser()

    def made() -> Any:
        try:
            return build()
        except Exception as error:
            raise RemibenchError(f"{config.model}: {type(error).__name__}: {error}") from error

    def models(paths: list[str] | None) -> list | None:
        if paths is None:
            return None
        return [load_weights(place(each), made()).to(device) for each in paths]

    transform = load_function(config.transform, folder) if config.transform else None
    if config.dataset is not None:
        options = config.dataset.model_dump(exclude={"name"})
        options["search_path"] = [str(place(each)) for each in config.dataset.search_path]
        data = remibench.load_data(config.dataset.name, transform=transform, **options)
    else:
        settings = config.arrays.model_dump(exclude_none=True)
        pairs = {
            role: tuple(load_numbers(place(each)) for each in pair)
            for role, pair in settings.items()
            if isinstance(pair, list)
        }
        data = remibench.Data(**settings | pairs, transform=transform)
    source = place(config.forget)
    optional = {} if config.metrics is None else {"metrics": config.metrics}
    audit = remibench.audit(
        models(config.before),
        {name: models(paths) for name, paths in config.after.items()},
        data,
        data.forget_set(read_positions(source), str(source)),
        retrained=models(config.retrained),
        shadow=models(config.shadow),
        attacks=config.attacks,
        classes=config.classes,
        controls=config.controls,
        training=config.training,
        factory=made,
        seed=config.seed,
        **optional,
    )
    output = place(config.output)
    audit.to_csv(output)
    return audit, audit.to_html(output / "audit.html")
