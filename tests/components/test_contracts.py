"""What every component promises: those of the package, or of a plug-in folder.

``python -m pytest tests/components/test_contracts.py --plugins FOLDER`` holds the plug-ins in a
folder to it.
"""

import copy
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import torch
from support.synthetic import synthetic_results
from support.tasks import default_parameters, make_task, weights

from remibench.attacks import load_attack, membership
from remibench.attacks.features import membership_features, model_features
from remibench.components import plugins
from remibench.components.declarations import constant
from remibench.components.products import products
from remibench.components.registry import components, methods, module_name, plugin_components
from remibench.config.model import config_model
from remibench.data import LoadOptions, dataset_info, load_dataset
from remibench.evaluation.metrics import Evaluation, measure
from remibench.models import (
    ModelSpec,
    build_model,
    count_parameters,
    forward_flops,
    load_model,
    save_model,
)
from remibench.per_sample import squared_norms
from remibench.reporting.render import make_product
from remibench.selections import Images, forget_set
from remibench.unlearning import run_method


def names_of(package, own=None):
    """The names in a sub-package that are tested: of plug-ins, or of the package's own these."""
    if plugins.plugin_files():
        return list(plugin_components(package))
    return list(own or components(package))


def spec_of(architecture, classes=4):
    needed = constant(components("models")[architecture], "MIN_IMAGE_SIZE", 1)
    return ModelSpec(architecture, 1, max(24, needed), classes, (0.13,), (0.31,))


def images_of(spec, count):
    generator = torch.Generator().manual_seed(0)
    shape = (count, spec.channels, spec.image_size, spec.image_size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    return images, torch.randint(spec.classes, (count,), generator=generator)


def features_of(count, seed, classes=4, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator) * 2 + shift
    hidden = torch.randn(count, 16, generator=generator).relu()
    return membership_features(
        logits, hidden, torch.randint(classes, (count,), generator=generator)
    )


# Datasets


@pytest.mark.parametrize("name", names_of("data"))
def test_a_dataset_describes_itself_without_its_files(name):
    info = dataset_info(name)
    assert len(info.mean) == len(info.std) in (1, 3)
    assert len(set(info.class_names)) == len(info.class_names) > 1
    assert info.paper_dataset in (None, "fmnist", "utkface", "stl10", "cifar10")


@pytest.mark.parametrize("name", names_of("data", own=["fmnist_embedded"]))
def test_a_dataset_loads_what_it_describes_twice_the_same(name):
    """From ``data``; the package's readers have tests of their own."""
    info, options = dataset_info(name), LoadOptions([Path("data")])
    raw, again = load_dataset(name, options), load_dataset(name, options)
    images = list(raw.images)
    assert len(images) == len(raw.labels) == info.images
    assert raw.labels.dtype == np.int64
    assert set(raw.labels.tolist()) == set(range(len(info.class_names)))
    shape = (2,) if len(info.mean) == 1 else (3,)
    assert all(image.dtype == np.uint8 for image in images)
    assert all((image.ndim,) == shape for image in images)
    assert all(np.array_equal(*pair) for pair in zip(images, again.images, strict=True))
    assert np.array_equal(raw.labels, again.labels)
    assert raw.sources


# Architectures


@pytest.mark.parametrize("name", names_of("models"))
def test_an_architecture_is_built_without_memory_for_any_channels_and_classes(name):
    for channels, classes in ((1, 10), (3, 2)):
        spec = replace(spec_of(name, classes), channels=channels)
        spec = replace(spec, mean=(0.4,) * channels, std=(0.2,) * channels)
        assert count_parameters(spec) > 0
        assert forward_flops(spec) > 0


@pytest.mark.parametrize("name", names_of("models", own=["cnn"]))
def test_an_architecture_is_what_its_checkpoint_seed_and_gradients_say(name, tmp_path):
    """tests/models/test_models.py has more of this for the package's own."""
    spec = spec_of(name)
    images, labels = images_of(spec, 3)
    state = torch.get_rng_state()
    model = build_model(spec, seed=1).eval()
    assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
    logits = model(images)
    assert logits.shape == (3, spec.classes)
    torch.testing.assert_close(model(images[:1]), logits[:1], rtol=1e-4, atol=1e-5)
    again, other = build_model(spec, seed=1), build_model(spec, seed=2)
    assert torch.equal(weights(again), weights(model))
    assert not torch.equal(weights(other), weights(model))
    save_model(tmp_path / "a.safetensors", model, spec)
    loaded = load_model(tmp_path / "a.safetensors", spec, torch.device("cpu"))
    assert torch.equal(loaded(images), logits)
    norms = squared_norms(model, images[:1], labels[:1])  # Fisher and efficacy know its layers
    model(images[:1]).log_softmax(1)[0, labels[0]].backward()
    expected = sum(weight.grad.square().sum() for weight in model.parameters())
    assert norms.item() == pytest.approx(expected.item(), rel=1e-3)


# Attacks


@pytest.mark.parametrize("name", names_of("attacks"))
def test_an_attack_gives_probabilities_survives_a_round_trip_and_is_deterministic(name, tmp_path):
    module = import_module(f"remibench.attacks.{name}")
    section = getattr(config_model().model_fields["adversaries"].default.mf, name).model_dump()
    section |= {"epochs": 1} if "epochs" in section else {}
    fitted = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        attack, history = module.fit_attack(
            *(features_of(60, seed, shift=seed) for seed in (1, 0)),
            label="test",
            seed=3,
            progress=None,
            **section,
        )
        assert isinstance(history, list)
        fitted.append(attack)
    features = features_of(20, seed=5)
    scores = membership(fitted[0], features)
    assert torch.equal(scores, membership(fitted[1], features)), "the seed alone decides"
    assert not fitted[0].training
    fitted[0].save(tmp_path / "a.safetensors")
    loaded = load_attack(tmp_path / "a.safetensors")
    assert type(loaded) is type(fitted[0])
    assert torch.equal(membership(loaded, features), scores)


# Unlearning methods


@pytest.fixture(scope="module")
def target():
    spec = spec_of("cnn")
    return make_task(spec, images_of(spec, 24))


def methods_tested():
    own = set(names_of("unlearning"))
    return [name for name, entry in methods().items() if entry.module in own]


@pytest.mark.parametrize("name", methods_tested())
def test_a_method_changes_the_weights_alone_and_depends_on_the_seed_alone(name, target):
    """With its default parameters, on a task of sixteen training images."""
    parameters = default_parameters(name)
    parameters |= {"max_epochs": 1} if "max_epochs" in parameters else {}
    parameters |= {"alpha": 1.0} if name == "ssd" else {}  # 10 of 4 in 16 is never exceeded
    runs = []
    for noise in (1, 2):
        task = replace(target, model=copy.deepcopy(target.model))
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        history = run_method(methods()[name].module, task, parameters)
        assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
        assert all(record["seconds"] >= 0 for record in history)
        assert history[-1]["epoch"] > 0
        runs.append(task)
    assert torch.equal(weights(runs[0].model), weights(runs[1].model)), "the seed alone decides"
    assert not torch.equal(weights(runs[0].model), weights(target.model)), "nothing was unlearned"
    assert runs[0].model(target.images[:2]).isfinite().all()
    assert torch.equal(runs[0].images, target.images)
    assert torch.equal(runs[0].labels, target.labels)


@pytest.mark.parametrize("name", methods_tested())
def test_every_parameter_of_a_method_is_described(name):
    section = config_model().model_fields["unlearning"].annotation.model_fields[name].annotation
    for parameter, field in section.model_fields.items():
        assert field.description, f"`Args:` of `unlearn` says nothing of {parameter}"


# Selections


def images_to_select_from():
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    return Images(
        labels=labels,
        positions=np.sort(generator.permutation(240)[:60]),
        class_names=["a", "b", "c"],
        dataset="mine",
        split_seed=0,
        attributes={"age": generator.integers(0, 90, 60)},
        membership=generator.random(60),
        losses=generator.random(60),
    )


REQUIRED = {  # parameters without defaults of the package's own
    "class": lambda _: {"classes": [1]},
    "file": lambda folder: {"path": str(folder / "listed.npy")},
    "subgroup": lambda _: {"column": "age", "low": 30.0},
}


@pytest.mark.parametrize("name", names_of("selections"))
def test_a_selection_ranks_the_images_twice_the_same_and_leaves_some(name, tmp_path):
    """A plug-in's with its defaults; one that asks for a value has its tests in its folder."""
    images = images_to_select_from()
    np.save(tmp_path / "listed.npy", images.positions[::3])
    section = config_model().model_fields["forgetting"].annotation.model_fields.get(name)
    model = get_args(section.annotation)[0] if section else None
    given = REQUIRED.get(name, lambda _: {})(tmp_path)
    asked = (
        {k for k, field in model.model_fields.items() if field.is_required()} if model else set()
    )
    if asked - set(given):
        pytest.skip(f"{name} asks for {', '.join(sorted(asked))}; its own tests have to give them")
    parameters = model.model_validate(given).model_dump() if model else {}
    sets = []
    for noise in (1, 2):
        np.random.seed(noise)
        state = np.random.get_state()[1].copy()
        sets.append(forget_set(name, images, 0.25, parameters))
        assert np.array_equal(np.random.get_state()[1], state), "the global generator was used"
    assert np.array_equal(*sets)
    assert 0 < len(sets[0]) < 60
    larger = forget_set(name, images, 0.5, parameters)
    assert set(sets[0]) < set(larger), "a larger share has the smaller one's images, too"
    for key, field in model.model_fields.items() if model else ():
        assert field.description, f"`Args:` of `prioritise` says nothing of {key}"


# Metrics


@pytest.fixture(scope="module")
def evaluation(target):
    features = model_features(target.model, target.images, target.labels, "fp32")
    return Evaluation(
        model=target.model,
        images=target.images,
        labels=target.labels,
        subsets={
            "forget": torch.arange(4),
            "retain": torch.arange(4, 16),
            "test": torch.arange(16, 24),
        },
        features=features,
        scores={"mia_whitebox": torch.linspace(0, 1, 24), "mf_blackbox": torch.linspace(1, 0, 24)},
        cost={"seconds": 1.5, "epochs": 3},
        before=lambda: features,
        training={**target.training, "momentum": 0.0, "weight_decay": 0.0},
        seed=7,
    )


@pytest.mark.parametrize("name", names_of("metrics"))
def test_a_metric_gives_numbers_twice_the_same_and_leaves_the_model_alone(name, evaluation):
    before = copy.deepcopy(evaluation.model.state_dict())
    rows, again = measure(name, evaluation), measure(name, evaluation)
    assert rows
    assert np.array_equal([row[2] for row in rows], [row[2] for row in again], equal_nan=True)
    assert len({row[:2] for row in rows}) == len(rows)
    assert not evaluation.model.training
    for key, value in evaluation.model.state_dict().items():
        assert torch.equal(value, before[key]), key
    others = set(components("metrics")) - {name}
    if name in plugin_components("metrics"):
        taken = {row[:2] for other in others for row in measure(other, evaluation)}
        assert not {row[:2] for row in rows} & taken, "another metric has rows of this name"


# Tables and figures; tests/reporting/test_reporting.py has more of this for the package's own


GRIDS = {
    "one seed": {"seeds": 1},
    "some methods": {"seeds": 3, "methods": ("original", "retrain", "fisher")},
    "two datasets and architectures": {
        "datasets": ("fmnist", "stl10"),
        "architectures": ("cnn", "vgg19"),
        "seeds": 2,
    },
}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", names_of("reporting", own=["table4_whitebox_mia"]))
def test_a_figure_or_table_shows_any_part_of_the_grid_twice_the_same(name, grid, tmp_path):
    small = {"datasets": ("fmnist",), "architectures": ("cnn",), "ratios": (0.1, 0.5)}
    results = synthetic_results(**{**small, **GRIDS[grid]})
    results = replace(results, evaluation=with_metrics_of_plugins(results.evaluation))
    module = module_name("reporting", name)
    product = next(each for each in products().values() if each.module == module)
    suffixes = {"figure": ("svg", "png"), "table": ("csv", "tex", "html")}[product.kind]
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        make_product(product, results, **{s: folder / f"{name}.{s}" for s in suffixes})
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def with_metrics_of_plugins(evaluation):
    """The rows of accuracy again, under the name of every metric that a plug-in adds."""
    spec = spec_of("cnn")
    images, labels = images_of(spec, 24)
    model = build_model(spec, seed=1).eval()
    features = model_features(model, images, labels, "fp32")
    subsets = {
        "forget": torch.arange(4),
        "retain": torch.arange(4, 16),
        "test": torch.arange(16, 24),
    }
    given = Evaluation(model, images, labels, subsets, features, {}, {}, lambda: features, {}, 7)
    rows = evaluation[evaluation["metric"] == "accuracy"]
    names = {
        metric for name in plugin_components("metrics") for _, metric, _ in measure(name, given)
    }
    return pd.concat([evaluation, *(rows.assign(metric=name) for name in sorted(names))])
