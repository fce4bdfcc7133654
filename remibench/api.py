"""The library for models and data of your own: unlearn, fit attacks, evaluate, audit.

These functions use the objects of the workflow (:class:`~remibench.unlearning.UnlearningTask`,
:class:`~remibench.evaluation.metrics.Evaluation`, its methods, attacks, metrics, controls and
verdicts) on any classifier that ends in a linear layer. A model that is given is never changed.
Everything is computed on the device of the model, to which the images are copied.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from remibench.analysis.gaps import REFERENCE
from remibench.artifacts.io import load_json
from remibench.attacks import membership
from remibench.attacks.features import MembershipFeatures, model_features
from remibench.components import registry
from remibench.components.plugins import call
from remibench.components.sections import read_section
from remibench.config.model import Closed, Training, suggest, validate
from remibench.config.model import Data as DataSection
from remibench.controls import ControlTask, run_control
from remibench.data import LoadOptions, load_dataset
from remibench.data.in_memory import Data, Labelled, check_labels, labelled
from remibench.data.preparation import prepare_dataset
from remibench.data.prepared import PreparedDataset
from remibench.data.splits import DEFENDER, FITTED_ON, JUDGED_ON, split_dataset
from remibench.errors import RemibenchError
from remibench.evaluation.evaluate import UnlearnedModel, evaluate_method
from remibench.evaluation.metrics.membership import attack_quality
from remibench.models import ModelSpec
from remibench.models.adapted import AdaptedClassifier, Transform, fresh_copy
from remibench.reporting.audit import Audit
from remibench.seeding import derive_seed
from remibench.training import fit_classifier
from remibench.unlearning import UnlearningTask, run_method

__all__ = ["Audit", "Data", "audit", "evaluate", "fit_attack", "load_data", "unlearn"]

Factory = Callable[[], nn.Module]
Models = nn.Module | Sequence[nn.Module]
METRICS = ("accuracy", "membership", "operating_points", "two_models")
ATTACKS = ("whitebox", "blackbox")
AXES = ["dataset", "architecture", "seed", "method", "forget_ratio", "subset", "metric", "value"]
CPU = torch.device("cpu")
CONTROLS = {  # that can be made of any model → what it takes
    "shift": "a last layer with a bias",
    "temperature": "a retrained model",
}


def load_data(name: str, *, transform: Transform | None = None, **options: Any) -> Data:
    """Read a dataset of the library, in the roles of the workflow's protocol.

    Args:
        name: ``fmnist_embedded``, ``fmnist``, ``cifar10``, ``stl10`` or ``utkface``.
        transform: See :class:`remibench.Data`.
        **options: Keys of the section ``data`` of the workflow's config: ``image_size`` (64),
            ``limit``, ``search_path``, ``split_seed``, ``out_of_sample_fraction`` ….

    Returns:
        The dataset's uint8 images (N, channels, image_size, image_size), with all roles of the
        workflow; those of the shadow model, too.

    Raises:
        RemibenchError: There is no such dataset or option, or its files are not found or damaged.
    """
    _check_name("dataset", name, registry.components("data"))
    section = validate(DataSection, options, "load_data", "`data` in config.yaml")
    folders = [Path(folder).expanduser() for folder in section.search_path]
    raw = load_dataset(name, LoadOptions(folders, section.published_only, section.skip_unusable))
    with TemporaryDirectory() as folder:
        names = ("images.npy", "labels.npy", "metadata.json", "attributes.npz")
        files = [Path(folder, name) for name in names]
        prepare_dataset(name, raw, section.image_size, section.limit, *files)
        metadata = load_json(files[2])
        roles = split_dataset(
            metadata["images"],
            section.split_seed,
            section.out_of_sample_fraction,
            section.swap_target_and_shadow,
        )
        return Data.of_prepared(PreparedDataset(files[0], files[1], metadata, roles), transform)


def unlearn(
    model: nn.Module,
    data: Data,
    forget: Any,
    method: str = "scrub",
    *,
    training: Mapping[str, Any] | None = None,
    factory: Factory | None = None,
    guide: nn.Module | None = None,
    seed: int = 0,
    **parameters: Any,
) -> nn.Module:
    """Make a copy of a trained classifier forget some of its training images.

    Args:
        model: The classifier, of any class; its output is that of a linear layer.
        data: The images that it was trained on, and others.
        forget: Positions in the training images, or a mask over them.
        method: A method of the workflow: ``retrain``, ``fine_tune``, ``scrub``, ``ssd``,
            ``remi_whitebox`` … (docs/methods.md).
        training: How the model was trained, where that is not the default of the workflow's
            section ``training``: ``epochs`` (50), ``learning_rate`` (.01), ``momentum`` (.9),
            ``weight_decay`` (5e-4), ``batch_size`` (64); and ``precision``, here ``fp32``.
            Retraining trains so; others take momentum, weight decay and batch size from here.
        factory: Builds the model afresh, for ``retrain`` and ``bad_teacher``. None: a deep copy
            whose layers are initialised by their ``reset_parameters``.
        guide: The membership model that guides ReMI. None: the method's attack, fitted on the model
            with retained images as members and the role ``out_of_sample`` as non-members.
        seed: Seed of all random numbers.
        **parameters: Parameters of the method (docs/methods.md); others are its defaults.

    Returns:
        The unlearned model, of the class of ``model`` and on its device, in evaluation mode.

    Raises:
        RemibenchError: The model, an image, a name or a value cannot be used; or the method
            diverged (:class:`~remibench.errors.DivergedError`).
    """
    entries = registry.methods()
    _check_name("method", method, entries)
    entry, file = entries[method], registry.components("unlearning")
    section = read_section(file[entry.module], "unlearn", Closed, method)
    checked = validate(section, parameters, f"unlearn, {method}", "docs/methods.md")
    settings = _training(training)
    positions = data.forget_set(forget)
    adapted = _adapt(model, data)
    device = _device(model)
    if guide is None and entry.guide is not None:
        guide = _auditors_attack(adapted, data, positions, entry.guide, {}, settings, seed)[0]
    roles = [data.roles[role] for role in DEFENDER]
    images, labels = data.select(np.concatenate(roles), device)
    size = len(roles[0])
    task = UnlearningTask(
        model=adapted,
        spec=_spec(adapted, data),
        images=images,
        labels=labels,
        forget=torch.from_numpy(positions).to(device),
        retain=torch.from_numpy(np.setdiff1d(np.arange(size), positions)).to(device),
        out_of_sample=torch.arange(size, len(labels), device=device),
        guide=guide,
        training=settings,
        training_seed=derive_seed("target", seed),
        seed=derive_seed(method, seed),
        build=lambda fresh: _adapt(fresh_copy(model, fresh, factory), data),
    )
    run_method(entry.module, task, checked.model_dump())
    return adapted.module


def fit_attack(
    model: nn.Module,
    members: Labelled,
    nonmembers: Labelled,
    attack: str = "whitebox",
    *,
    transform: Transform | None = None,
    precision: str = "fp32",
    seed: int = 0,
    **parameters: Any,
) -> nn.Module:
    """Fit a membership inference attack on a model whose training images are known.

    An attacker fits it on a shadow model, an auditor on the target model itself.

    Args:
        model: The classifier that the attack is fitted on.
        members: Images that it was trained on: (images, labels), or a Dataset of such pairs.
        nonmembers: Images that it was not trained on; as many as members, or about.
        attack: ``whitebox``, ``blackbox`` or ``whitebox_published``.
        transform: See :class:`remibench.Data`.
        precision: ``fp32``, or ``bf16`` for mixed precision in the model.
        seed: Seed of initialisation and shuffling.
        **parameters: Parameters of the attack: ``epochs``, ``learning_rate``, ``batch_size`` ….

    Returns:
        The fitted attack, on the model's device: maps
        :class:`~remibench.attacks.features.MembershipFeatures` to P(member) (N,).

    Raises:
        RemibenchError: The model, an image, a name or a value cannot be used.
    """
    pairs = labelled("members", members), labelled("nonmembers", nonmembers)
    adapted = _adapt_to(model, pairs[0][0][:2], transform)
    device = _device(model)
    features = []
    for name, (images, labels) in zip(("members", "nonmembers"), pairs, strict=True):
        check_labels(name, labels, adapted.head.out_features)
        pair = images.to(device), labels.to(device)
        features.append(model_features(adapted, *pair, precision))
    return _fit(attack, *features, parameters, seed)


def evaluate(
    model: nn.Module,
    data: Data,
    forget: Any,
    *,
    before: nn.Module | None = None,
    retrained: nn.Module | None = None,
    shadow: nn.Module | None = None,
    attacks: Mapping[str, nn.Module] | None = None,
    classes: Sequence[int] | None = None,
    metrics: Sequence[str] = ("accuracy", "membership"),
    training: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Measure an unlearned model, and beside it the model before and the retrained one.

    Args:
        model: The unlearned classifier.
        data: The images that the model before was trained on, and others.
        forget: Positions in the training images, or a mask over them.
        before: The model before unlearning, which some metrics ask for.
        retrained: The model that was trained without the forget set.
        shadow: The model that ``mia_`` attacks were fitted on; with it they are also made after
            calibration (``calibrated_``), on the role ``shadow_test``.
        attacks: Fitted attacks (:func:`fit_attack`) by name: ``mf_whitebox`` for one that was
            fitted on the model before, ``mia_whitebox`` for one that was fitted on a shadow model.
        classes: The classes that the forget set is of, where it is no sample of all: it is then
            compared with test images of these classes. None: those that are forgotten whole, if
            there is nothing else in the forget set.
        metrics: Metrics of the workflow (docs/metrics.md).
        training: See :func:`unlearn`; ``relearn`` trains so.
        seed: Seed of the metrics' random numbers.

    Returns:
        The tidy table of the workflow's ``evaluation.csv``: ``dataset``, ``architecture``,
        ``seed``, ``method`` (``original`` for the model before, ``after``, ``retrain``),
        ``forget_ratio``, ``subset`` (``forget``, ``retain``, ``test`` or ""), ``metric``,
        ``value``.

    Raises:
        RemibenchError: A model, an image or a name cannot be used, or a metric needs ``before``.
    """
    for metric in metrics:
        _check_name("metric", metric, registry.components("metrics"))
    models = {"original": before, "after": model, REFERENCE: retrained}
    device = _device(model)
    adapted = {
        name: _adapt(each, data, device) for name, each in models.items() if each is not None
    }
    return _evaluate(
        adapted,
        data,
        data.forget_set(forget),
        shadow=None if shadow is None else _adapt(shadow, data, device),
        attacks={name: attack.to(device) for name, attack in (attacks or {}).items()},
        classes=classes,
        metrics=metrics,
        training=_training(training),
        seed=seed,
    )


def audit(
    before: Models,
    after: Models | Mapping[str, Models],
    data: Data,
    forget: Any,
    *,
    retrained: Models | None = None,
    shadow: Models | None = None,
    attacks: Sequence[str] | Mapping[str, Mapping[str, Any]] = ATTACKS,
    classes: Sequence[int] | None = None,
    controls: Sequence[str] | None = None,
    metrics: Sequence[str] = METRICS,
    training: Mapping[str, Any] | None = None,
    factory: Factory | None = None,
    seed: int = 0,
) -> Audit:
    """Audit unlearned models: does what is left of the forget set look as after retraining?

    Two adversaries judge. The *auditor* knows which images the model before was trained on, and
    fits attacks on it (``mf_…``). The *attacker* knows no such thing and fits them on a shadow
    model (``mia_…``), for which ``data`` must have ``shadow_train`` and ``shadow_test``; without
    them the audit is the auditor's alone.

    Args:
        before: The model before unlearning; or several, which differ by the seed of their training
            alone. With two or more of each, gaps to retraining have intervals and verdicts.
        after: The unlearned model, or as many as ``before``; or a dictionary of such by the name of
            the method.
        data: The images that the model before was trained on, and others.
        forget: Positions in the training images, or a mask over them.
        retrained: The model that was trained without the forget set, or as many as ``before``. None
            if there is none: then there is no gap and no verdict.
        shadow: The model that was trained on ``shadow_train``, or as many as ``before``. None: a
            fresh copy of ``before`` (see ``factory``) is trained on it, as ``training`` says.
        attacks: The attacks that are fitted, or a dictionary of their parameters by their names.
        classes: See :func:`evaluate`.
        controls: Changes of the model before that forget nothing, measured beside the unlearned
            models: ``shift``, ``temperature``. None: those that can be made.
        metrics: Metrics of the workflow (docs/metrics.md).
        training: See :func:`unlearn`.
        factory: See :func:`unlearn`; builds the shadow model.
        seed: Seed of all random numbers.

    Returns:
        The tables of the audit, with a page and a figure of them.

    Raises:
        RemibenchError: A model, an image, a name or a value cannot be used.
    """
    settings, positions = _training(training), data.forget_set(forget)
    fits = attacks if isinstance(attacks, Mapping) else {name: {} for name in attacks}
    for kind, names in (("attack", fits), ("metric", metrics)):
        for name in names:
            _check_name(kind, name, registry.components(f"{kind}s"))
    named = dict(after) if isinstance(after, Mapping) else {"after": after}
    for name in named:
        if not isinstance(name, str) or name in {"original", REFERENCE, *registry.controls()}:
            raise RemibenchError(f"`after` has the name {name!r}, which is taken; choose another")
    models = {"original": before, **named}
    if retrained is not None:
        models[REFERENCE] = retrained
    per_seed = _by_seed(models)
    shadows: Sequence[nn.Module | None] = [None] * len(per_seed)
    has_shadow = "shadow_train" in data.roles
    if shadow is not None:
        if not has_shadow:
            data.role("shadow_train")  # says what is missing
        shadows = _listed(shadow)
        if len(shadows) != len(per_seed):
            raise RemibenchError(f"`shadow` has {len(shadows)} models, `before` {len(per_seed)}")
    chosen = next((name for name in fits if name == ATTACKS[0]), next(iter(fits), ATTACKS[0]))
    judge = f"{'mia' if has_shadow else 'mf'}_{chosen}"  # the attack that verdicts are of
    tables, qualities = [], []
    for number, of_seed in enumerate(per_seed):
        own = derive_seed("audit", seed, number)
        device = _device(of_seed["original"])
        adapted = {name: _adapt(model, data, device) for name, model in of_seed.items()}
        target, fitted, quality = adapted["original"], {}, {}
        for name, given in fits.items():
            fitted[f"mf_{name}"], quality[f"mf_{name}"] = _auditors_attack(
                target, data, positions, name, given, settings, own
            )
        shadowed = None
        if has_shadow:
            shadowed = _shadow(shadows[number], of_seed["original"], data, settings, factory, own)
            for name, given in fits.items():
                fitted[f"mia_{name}"], quality[f"mia_{name}"] = _attackers_attack(
                    shadowed, target, data, name, given, settings, own
                )
        for name in _controls(controls, target, retrained is not None and judge in fitted):
            adapted[name] = _control(name, adapted, data, positions, fitted.get(judge), settings)
        tables.append(
            _evaluate(
                adapted,
                data,
                positions,
                shadow=shadowed,
                attacks=fitted,
                classes=classes,
                metrics=metrics,
                training=settings,
                seed=number,
            )
        )
        qualities += [
            {"seed": number, "attack": name, **numbers} for name, numbers in quality.items()
        ]
    sizes = {role: len(at) for role, at in data.roles.items()}
    return Audit(
        evaluation=pd.concat(tables, ignore_index=True),
        attacks=pd.DataFrame(qualities),
        images=sizes | {"forget": len(positions)},
        rate=f"{judge}_rate",
        shadow="given" if shadow is not None else "trained" if has_shadow else "",
    )


def _check_name(kind: str, name: Any, choices: Collection[str]) -> None:
    if name not in choices:
        raise RemibenchError(f"unknown {kind} {name!r}; {suggest(str(name), choices)}")


def _training(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """How the target was trained; in single precision unless it is said."""
    values = {"precision": "fp32", **(given or {})}
    return validate(Training, values, "training", "`training` in config.yaml").model_dump()


def _adapt_to(
    model: nn.Module, images: torch.Tensor, transform: Transform | None
) -> AdaptedClassifier:
    """A copy of the model in evaluation mode, as the library uses it."""
    return AdaptedClassifier(copy.deepcopy(model), images.to(_device(model)), transform).eval()


def _device(model: nn.Module) -> torch.device:
    """Where a model lies.

    Raises:
        RemibenchError: It is no model.
    """
    if not isinstance(model, nn.Module) or next(model.parameters(), None) is None:
        raise RemibenchError(f"{model!r:.60} is no torch.nn.Module with parameters")
    return next(model.parameters()).device


def _adapt(model: nn.Module, data: Data, device: torch.device | None = None) -> AdaptedClassifier:
    images, _ = data.select(data.roles["target_train"][:2], CPU)
    adapted = _adapt_to(model, images, data.transform).to(device)
    data.check_labels(adapted.head.out_features)
    return adapted


def _spec(adapted: AdaptedClassifier, data: Data) -> ModelSpec:
    """The shape of a user's model; it normalises its images itself."""
    images, _ = data.select(data.roles["target_train"][:1], CPU)
    return ModelSpec(
        architecture=type(adapted.module).__name__,
        channels=images.shape[1],
        image_size=images.shape[-1],
        classes=adapted.head.out_features,
        mean=(),
        std=(),
    )


def _fit(
    attack: str,
    members: MembershipFeatures,
    nonmembers: MembershipFeatures,
    parameters: Mapping[str, Any],
    seed: int,
) -> nn.Module:
    known = registry.components("attacks")
    _check_name("attack", attack, known)
    section = read_section(known[attack], "fit_attack", Closed, attack)
    checked = validate(section, parameters, f"attack {attack}", "docs/metrics.md")
    module, options = import_module(registry.module_name("attacks", attack)), checked.model_dump()
    options |= {"label": attack, "seed": derive_seed(attack, seed), "progress": None}
    fitted, _ = call(module, "fit_attack", tuple, members, nonmembers, **options)
    return fitted.to(members.loss.device).eval()


def _auditors_attack(
    target: AdaptedClassifier,
    data: Data,
    forget: np.ndarray,
    name: str,
    parameters: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
) -> tuple[nn.Module, dict[str, float]]:
    """Fit an attack on the target with retained images as members; and its quality on others.

    As many members as ``out_of_sample`` has images, at most half of the retained ones; no image
    of the forget set is among them.
    """
    train, outside = data.roles["target_train"], data.roles["out_of_sample"]
    retained = np.setdiff1d(np.arange(len(train)), forget)
    order = np.random.default_rng(derive_seed("members", seed)).permutation(retained)
    count = max(1, min(len(outside), len(order) // 2))
    known, others = (train[np.sort(part)] for part in np.split(order, [count]))
    features = _features(target, data, training)
    attack = _fit(name, features(known), features(outside), parameters, seed)
    judged = (membership(attack, features(at)) for at in (others, data.roles["test"]))
    return attack, attack_quality(*judged)


def _attackers_attack(
    shadow: AdaptedClassifier,
    target: AdaptedClassifier,
    data: Data,
    name: str,
    parameters: Mapping[str, Any],
    training: Mapping[str, Any],
    seed: int,
) -> tuple[nn.Module, dict[str, float]]:
    """Fit an attack on the shadow model; and its quality on the target."""
    seen, attacked = (_features(model, data, training) for model in (shadow, target))
    fitted_on = (seen(data.roles[role]) for role in FITTED_ON["mia"])
    attack = _fit(name, *fitted_on, parameters, seed)
    judged = (membership(attack, attacked(data.roles[role])) for role in JUDGED_ON["mia"])
    return attack, attack_quality(*judged)


def _features(
    model: AdaptedClassifier, data: Data, training: Mapping[str, Any]
) -> Callable[[np.ndarray], MembershipFeatures]:
    """Positions among all images → attack features under the model."""
    device = _device(model)
    return lambda at: model_features(model, *data.select(at, device), training["precision"])


def _shadow(
    given: nn.Module | None,
    target: nn.Module,
    data: Data,
    training: Mapping[str, Any],
    factory: Factory | None,
    seed: int,
) -> AdaptedClassifier:
    """The shadow model, which is trained on ``shadow_train`` if none is given."""
    if given is not None:
        return _adapt(given, data, _device(target))
    start = derive_seed("shadow", seed)
    shadow = _adapt(fresh_copy(target, start, factory), data).requires_grad_()
    device = _device(shadow)
    fit_classifier(
        shadow, *data.role("shadow_train", device), label="shadow", seed=start, **training
    )
    return shadow


def _controls(wanted: Sequence[str] | None, target: AdaptedClassifier, compared: bool) -> list[str]:
    """The controls that are made: those that are wanted, or that can be."""
    can = {"shift": target.head.bias is not None, "temperature": compared}
    for name in wanted or ():
        _check_name("control of any model", name, can)
        if not can[name]:
            raise RemibenchError(
                f"control {name} takes {CONTROLS[name]}; give one, or leave it out of `controls`"
            )
    return [name for name, possible in can.items() if possible and name in (wanted or can)]


def _control(
    name: str,
    models: Mapping[str, AdaptedClassifier],
    data: Data,
    forget: np.ndarray,
    attack: nn.Module | None,
    training: Mapping[str, Any],
) -> AdaptedClassifier:
    altered = copy.deepcopy(models["original"])
    device = _device(altered)
    images, labels = data.select(data.roles["target_train"][forget], device)
    task = ControlTask(
        model=altered,
        spec=_spec(altered, data),
        images=images,
        labels=labels,
        precision=training["precision"],
        retrained=models.get(REFERENCE),
        attack=attack,
    )
    run_control(name, task)
    return altered


def _evaluate(
    models: Mapping[str, AdaptedClassifier],
    data: Data,
    forget: np.ndarray,
    *,
    shadow: AdaptedClassifier | None,
    attacks: Mapping[str, nn.Module],
    classes: Sequence[int] | None,
    metrics: Sequence[str],
    training: Mapping[str, Any],
    seed: int,
) -> pd.DataFrame:
    """Rows of the tidy table of one model of each name."""
    alike = _unseen_alike(data, forget, classes)
    ratio = len(forget) / len(data.roles["target_train"])

    def target() -> AdaptedClassifier:
        if "original" not in models:
            raise RemibenchError(
                "a metric compares with the model before unlearning; give `before`"
            )
        return models["original"]

    rows = []
    for name, model in models.items():
        measured, _ = evaluate_method(
            data,
            [UnlearnedModel(ratio, forget, model, {})],
            target=target,
            shadow=None if shadow is None else lambda: shadow,
            attacks=attacks,
            metrics=metrics,
            training=training,
            seed=derive_seed("evaluate", seed),
            device=_device(model),
            alike=alike,
        )
        where = {
            "dataset": "data",
            "architecture": type(model.module).__name__,
            "seed": seed,
            "method": name,
        }
        rows += [where | row for row in measured]
    return pd.DataFrame(rows, columns=AXES)


def _unseen_alike(
    data: Data, forget: np.ndarray, classes: Sequence[int] | None
) -> np.ndarray | None:
    """Positions in the role ``test`` of the classes that are forgotten, where it is some alone."""
    labels, tested = (data.role(role)[1].numpy() for role in ("target_train", "test"))
    present = np.unique(labels[forget])
    if classes is None:
        if np.isin(np.delete(labels, forget), present).any():
            return None
        classes = present
    elif foreign := sorted(set(present) - set(classes)):
        raise RemibenchError(
            f"`classes` = {list(classes)}, but an image of the forget set is of class {foreign[0]}"
        )
    alike = np.flatnonzero(np.isin(tested, classes))
    if len(alike) in (0, len(tested)):
        raise RemibenchError(
            f"{len(alike)} of {len(tested)} test images are of the forgotten classes "
            f"{', '.join(map(str, classes))}; images of these and of others are needed"
        )
    return alike


def _listed(models: Models) -> list[nn.Module]:
    listed = list(models) if isinstance(models, list | tuple) else [models]
    for model in listed:
        _device(model)
    return listed


def _by_seed(models: Mapping[str, Models]) -> list[dict[str, nn.Module]]:
    """The models of each seed by name.

    Raises:
        RemibenchError: There are not as many models of every name.
    """
    lists = {name: _listed(each) for name, each in models.items()}
    count = len(lists["original"])
    for name, each in lists.items():
        if len(each) != count or not count:
            raise RemibenchError(
                f"`before` has {count} models, {name!r} {len(each)}; give one of each per seed"
            )
    return [{name: each[at] for name, each in lists.items()} for at in range(count)]
