"""Attacks see predictions alone: what changes no prediction changes no P(member).

``python -m pytest tests/attacks/test_invariance.py --plugins FOLDER`` holds the attacks in a
folder to it, but for what they declare (``VARIES_WITH``).
"""

import copy
from importlib import import_module

import pytest
import torch

from remibench.attacks import features, membership
from remibench.attacks.features import model_features
from remibench.components.declarations import constant
from remibench.components.plugins import plugin_files
from remibench.components.registry import components, plugin_components
from remibench.config.model import config_model
from remibench.controls.rescale_hidden import rescale
from remibench.controls.shift import shift
from remibench.models import ModelSpec, build_model
from remibench.training import fit_classifier, predict

SPEC = ModelSpec("cnn", channels=1, image_size=24, classes=4, mean=(0.13,), std=(0.31,))
MEMBERS, OTHERS = slice(0, 60), slice(60, 120)


def varies_with(access, parameters):
    """The changes that an attack declares for these parameters (``VARIES_WITH``)."""
    declared = constant(components("attacks")[access], "VARIES_WITH", ())
    if not isinstance(declared, dict):
        return tuple(declared)
    declarations = (by.get(parameters.get(name), ()) for name, by in declared.items())
    return tuple(dict.fromkeys(change for changes in declarations for change in changes))


def permute_hidden(model):
    order = torch.randperm(model.head.in_features, generator=torch.Generator().manual_seed(2))
    last = model.backbone[-2]
    last.weight.data, last.bias.data = last.weight.data[order], last.bias.data[order]
    model.head.weight.data = model.head.weight.data[:, order]


def permute_channels(model):
    order = torch.randperm(32, generator=torch.Generator().manual_seed(3))
    first, second = model.backbone[0], model.backbone[3]
    first.weight.data, first.bias.data = first.weight.data[order], first.bias.data[order]
    second.weight.data = second.weight.data[:, order]


def rescale_hidden(model):
    generator = torch.Generator().manual_seed(4)
    rescale(model, "cnn", torch.rand(512, generator=generator).mul(6).sub(3).exp())


CHANGES = {
    "shift": lambda model: shift(model, 20.0),
    "rescale_hidden": rescale_hidden,
    "permute_hidden": permute_hidden,
    "permute_channels": permute_channels,
}


def configurations():
    """Every attack with its defaults, and with every value that its declaration names."""
    found = []
    for name in plugin_components("attacks") if plugin_files() else components("attacks"):
        section = getattr(config_model().model_fields["adversaries"].default.mf, name).model_dump()
        declared = constant(components("attacks")[name], "VARIES_WITH", ())
        choices = declared.items() if isinstance(declared, dict) else ()
        found.append((name, section))
        found += [(name, {**section, key: value}) for key, by in choices for value in by]
    return found


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (120, 1, 24, 24), dtype=torch.uint8, generator=generator)
    return images, torch.randint(4, (120,), generator=generator)


@pytest.fixture(scope="module")
def target(images):
    model = build_model(SPEC, seed=1)
    settings = {"momentum": 0.9, "weight_decay": 5e-4, "batch_size": 8, "precision": "fp32"}
    members = [tensor[MEMBERS] for tensor in images]
    fit_classifier(model, *members, label="x", seed=1, epochs=12, learning_rate=0.02, **settings)
    return model


def seen(model, images, part):
    return model_features(model, images[0][part], images[1][part], "fp32")


@pytest.mark.parametrize("change", CHANGES)
def test_the_changes_change_no_prediction(target, images, change):
    changed = copy.deepcopy(target)
    CHANGES[change](changed)
    logits = [predict(model, images[0], "fp32")[0] for model in (target, changed)]
    posteriors = [each.log_softmax(dim=1) for each in logits]
    torch.testing.assert_close(*posteriors, rtol=1e-4, atol=1e-4)
    before, after = target.state_dict(), changed.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("name", "settings"), configurations(), ids=str)
def test_what_changes_no_prediction_changes_no_membership(target, images, name, settings):
    settings = settings | ({"epochs": 5} if "epochs" in settings else {})
    settings |= {"learning_rate": 1e-3} if "learning_rate" in settings else {}
    populations = (seen(target, images, part) for part in (MEMBERS, OTHERS))
    attack, _ = import_module(f"remibench.attacks.{name}").fit_attack(
        *populations, label="test", seed=3, progress=None, **settings
    )
    scores = membership(attack, seen(target, images, slice(None)))
    assert scores.std() > 1e-3, "an attack that says one thing of all images is no test"
    declared = varies_with(name, settings)
    for change, apply in CHANGES.items():
        changed = copy.deepcopy(target)
        apply(changed)
        after = membership(attack, seen(changed, images, slice(None)))
        same = (after - scores).abs().max() < 1e-3
        assert same or change in declared, f"P(member) varies with {change}: see VARIES_WITH"
        assert not (same and change in declared), f"P(member) does not vary with {change}"


def test_contributions_are_what_units_add_to_the_differences_of_logits(target, images):
    """By unit: the size of the logits' change, up to a shift, when the unit is set to zero."""
    given = seen(target, images, slice(0, 3))
    for sample in range(3):
        changes = []
        for unit in range(512):
            others = given.hidden[sample].clone()
            others[unit] = 0
            change = target.head(given.hidden[sample]) - target.head(others)
            changes.append((change - change.mean()).norm())
        expected = torch.stack(changes).detach().sort(descending=True).values
        torch.testing.assert_close(given.contributions[sample], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 4, 9])
def test_contributions_are_sorted_in_blocks_with_the_same_bytes_and_gradient(monkeypatch, samples):
    monkeypatch.setattr(features, "BLOCK", 4)
    generator = torch.Generator().manual_seed(0)
    hidden, weight, direction = (
        torch.randn(count, 7, generator=generator) for count in (samples, 3, samples)
    )
    labels, logits = torch.zeros(samples, dtype=torch.int64), torch.zeros(samples, 3)
    made = []
    for contributions_of in (
        lambda h: features.membership_features(logits, h, labels, weight).contributions,
        lambda h: (h * features.outgoing_norms(weight)).sort(dim=1, descending=True).values,
    ):
        leaf = hidden.clone().requires_grad_()
        contributions = contributions_of(leaf)
        (contributions * direction).sum().backward()
        made.append((contributions, leaf.grad))
    assert all(torch.equal(*pair) for pair in zip(*made, strict=True))


def test_features_of_scaled_logits_are_those_of_a_model_with_scaled_weights(target, images):
    scaled = copy.deepcopy(target)
    for parameter in scaled.head.parameters():
        parameter.data *= 0.3
    ours = seen(target, images, OTHERS).scaled(0.3)
    for mine, theirs in zip(ours, seen(scaled, images, OTHERS), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_declaration_names_changes_by_the_value_of_a_parameter():
    assert varies_with("whitebox", {"outputs": "log_posteriors"}) == ()
    published = varies_with("whitebox", {"outputs": "logits"})
    assert published == ("shift", "rescale_hidden", "permute_hidden")
    assert varies_with("blackbox", {}) == ()
