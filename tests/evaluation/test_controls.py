"""Controls forget nothing, the calibrated attacker sees through a temperature, and rates match."""

import copy
import math
from dataclasses import replace
from fractions import Fraction
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from support.configs import default
from support.tasks import LossGuide, weights
from torch.nn import functional

from remibench.attacks.features import model_features
from remibench.components import plugins
from remibench.components.declarations import constant
from remibench.components.registry import components, controls, plugin_components
from remibench.config.model import load_config
from remibench.controls import ControlTask, run_control
from remibench.controls.rescale_hidden import rescale
from remibench.controls.temperature import find_factor, scale_logits
from remibench.errors import RemibenchError
from remibench.evaluation.adversaries import Adversaries
from remibench.evaluation.calibration import fit_temperature
from remibench.evaluation.metrics import Evaluation, measure
from remibench.evaluation.published import published_rates
from remibench.evaluation.roc import true_positives
from remibench.models import ModelSpec, build_model
from remibench.training import predict


@pytest.fixture
def control_task(task, spec):
    """The small task's first eight images, a retrained model that never saw them, and an attack."""
    return ControlTask(
        model=task.model,
        spec=spec,
        images=task.images[:8],
        labels=task.labels[:8],
        precision="fp32",
        retrained=build_model(spec, seed=8).eval(),
        attack=LossGuide(),
        published=0.5,
    )


def names():
    return list(plugin_components("controls") if plugins.plugin_files() else controls())


@pytest.mark.parametrize("name", names())
def test_a_control_changes_weights_and_no_decision_twice_the_same(control_task, name):
    runs = []
    for noise in (1, 2):
        each = replace(control_task, model=copy.deepcopy(control_task.model))
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        (record,) = run_control(name, each)
        assert torch.equal(torch.get_rng_state(), state), "the global generator was used"
        assert record["seconds"] >= 0
        assert not each.model.training
        runs.append(each.model)
    assert torch.equal(weights(runs[0]), weights(runs[1]))
    assert not torch.equal(weights(runs[0]), weights(control_task.model))
    logits = [
        predict(model, control_task.images, "fp32")[0] for model in (runs[0], control_task.model)
    ]
    assert torch.equal(*(each.argmax(dim=1) for each in logits))


@pytest.mark.parametrize("name", names())
def test_predictions_are_as_they_were_where_a_control_says_so(control_task, name):
    keeps = constant(controls()[name], "KEEPS")
    assert keeps in ("predictions", "decisions")
    if keeps == "decisions":
        return  # tested above
    before = predict(control_task.model, control_task.images, "fp32")[0].log_softmax(1)
    run_control(name, control_task)
    after = predict(control_task.model, control_task.images, "fp32")[0].log_softmax(1)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", components("models"))
def test_every_architectures_features_are_rescaled(architecture):
    spec = ModelSpec(architecture, 1, 32, 4, (0.13,), (0.31,))
    model = build_model(spec, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 1, 32, 32), dtype=torch.uint8, generator=generator)
    logits, hidden = predict(model, images, "fp32")
    factors = torch.rand(hidden.shape[1], generator=generator) * 3 + 0.1
    rescale(model, architecture, factors)
    after, scaled = predict(model, images, "fp32")
    size = logits.abs().max().item()
    torch.testing.assert_close(after, logits, rtol=1e-3, atol=1e-3 * size)
    torch.testing.assert_close(scaled, hidden * factors, rtol=1e-3, atol=1e-3 * hidden.max().item())


def test_an_architecture_that_does_not_scale_is_named(control_task, monkeypatch):
    module = import_module("remibench.controls.rescale_hidden")
    monkeypatch.setattr(module, "scale_last_layer", lambda backbone, factors: None)
    with pytest.raises(RemibenchError, match="features of cnn are not scaled by its last"):
        run_control("rescale_hidden", control_task)


def share_called_members(model, images, labels):
    """LossGuide's rate from its definition: members have a cross-entropy below 1."""
    losses = functional.cross_entropy(model(images), labels, reduction="none")
    return (losses < 1).double().mean().item()


def test_a_temperature_gives_the_attack_the_retrained_models_rate(control_task):
    retrained = control_task.retrained
    retrained.head.weight.data *= 40  # random logits: some of eight losses are below 1
    goal = share_called_members(retrained, control_task.images, control_task.labels)
    assert 0 < goal < 1
    target = copy.deepcopy(control_task.model)
    (record,) = run_control("temperature", control_task)
    assert record["goal"] == goal
    reached = share_called_members(control_task.model, control_task.images, control_task.labels)
    assert record["rate"] == reached
    rates = []
    for factor in np.geomspace(2**-10, 1, 400):  # no factor of a grid comes nearer
        each = copy.deepcopy(target)
        scale_logits(each, factor)
        rates.append(share_called_members(each, control_task.images, control_task.labels))
    assert abs(reached - goal) <= min(abs(rate - goal) for rate in rates)
    torch.testing.assert_close(
        control_task.model.head.weight, target.head.weight * record["factor"]
    )


def test_the_papers_temperature_needs_a_number_of_the_paper(control_task):
    (record,) = run_control("temperature_paper", control_task)
    assert record["goal"] == 0.5
    with pytest.raises(RemibenchError, match="the paper's Table IV has no number for this"):
        run_control("temperature_paper", replace(control_task, published=None))


@pytest.mark.parametrize("goal", [0.2, 0.9, 0.5])
def test_a_factor_is_found_by_bisection(goal):
    def rate(factor):
        return factor**2 / (1 + factor**2)  # .5 at 1

    factor, reached = find_factor(rate, goal)
    assert factor == pytest.approx(math.sqrt(goal / (1 - goal)), rel=1e-6)
    assert reached == rate(factor)


def test_the_nearest_factor_is_taken_where_none_reaches_the_goal():
    assert find_factor(lambda factor: 0.75, 0.5) == (1.0, 0.75)
    assert find_factor(lambda factor: 0.25 if factor < 0.5 else 1.0, 0.5)[1] == 0.25


def test_the_papers_rate_is_that_after_remi():
    rates = published_rates("cnn")
    assert rates["fmnist"] == {0.01: 0.318, 0.1: 0.365, 0.25: 0.485, 0.5: 0.588}
    table = pd.read_csv("paper/table4_whitebox_mia_accuracy.csv")
    assert len(rates) == table["dataset"].nunique()
    with pytest.raises(RemibenchError, match=r"cannot read nowhere\.csv: .*; restore it"):
        published_rates("cnn", "nowhere.csv")


def test_the_temperature_is_the_minimum_of_the_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(400, 5, generator=generator) * 6
    labels = (logits + 8 * torch.randn(400, 5, generator=generator)).argmax(dim=1)
    temperature = fit_temperature(logits, labels)
    grid = temperature * np.geomspace(0.5, 2, 401)
    losses = [functional.cross_entropy(logits.double() / each, labels).item() for each in grid]
    assert int(np.argmin(losses)) == 200
    assert fit_temperature(logits * 0.3, labels) == pytest.approx(0.3 * temperature, rel=1e-6)
    assert fit_temperature(logits + 5, labels) == pytest.approx(temperature, rel=1e-5)


def test_the_temperature_of_two_classes_is_the_closed_form():
    """Of equal margins m of which a share p is right, p is the best: m/T = log p/(1 − p)."""
    logits = torch.tensor([[3.0, 0.0]]).repeat(10, 1)
    labels = torch.tensor([0] * 8 + [1] * 2)
    assert fit_temperature(logits, labels) == pytest.approx(3 / math.log(4))


def test_temperatures_at_the_ends_are_finite():
    logits = torch.tensor([[3.0, 0.0]]).repeat(4, 1)
    assert 0 < fit_temperature(logits, torch.zeros(4, dtype=torch.int64)) < 0.01
    assert fit_temperature(logits, torch.ones(4, dtype=torch.int64)) == pytest.approx(2.0**20)
    assert fit_temperature(torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)) == 1.0


@pytest.fixture
def adversaries(task, spec):
    shadow = build_model(spec, seed=5).eval()
    shadow.head.weight.data *= 30
    held = task.images[20:], task.labels[20:]
    attacks = {"mf_whitebox": LossGuide(), "mia_whitebox": LossGuide()}
    return shadow, Adversaries.of_shadow(shadow, attacks, held, "fp32")


def test_the_calibrated_attacker_undoes_a_temperature(task, adversaries):
    labels = task.labels.clone()
    labels[20] = (predict(task.model, task.images[20:21], "fp32")[0].argmax() + 1) % 4  # one wrong
    held = task.images[20:], labels[20:]
    judges = Adversaries.of_shadow(adversaries[0], adversaries[1].attacks, held, "fp32")
    found = []
    for factor in (1.0, 0.2):
        model = copy.deepcopy(task.model)
        scale_logits(model, factor)
        features = model_features(model, task.images, task.labels, "fp32")
        (scores,), calibration = judges.judge(model, [features])
        assert list(scores) == ["mf_whitebox", "mia_whitebox", "calibrated_whitebox"]
        assert torch.equal(scores["mf_whitebox"], LossGuide()(features))
        scaled = features.logits * calibration["calibration_factor"]
        losses = functional.cross_entropy(scaled, task.labels, reduction="none")
        torch.testing.assert_close(scores["calibrated_whitebox"], torch.sigmoid(4 * (1 - losses)))
        ratio = judges.shadow_temperature / calibration["calibration_temperature"]
        assert calibration["calibration_factor"] == ratio
        found.append((scores, calibration))
    (plain, first), (cooled, second) = found
    torch.testing.assert_close(
        plain["calibrated_whitebox"], cooled["calibrated_whitebox"], rtol=1e-3, atol=1e-4
    )
    assert not torch.allclose(plain["mia_whitebox"], cooled["mia_whitebox"], atol=0.05)
    ratio = second["calibration_temperature"] / first["calibration_temperature"]
    assert ratio == pytest.approx(0.2, rel=1e-4)


def test_the_calibrated_attacker_leaves_its_own_shadow_model_alone(task, adversaries):
    shadow, judges = adversaries
    features = model_features(shadow, task.images, task.labels, "fp32")
    (scores,), calibration = judges.judge(shadow, [features])
    assert calibration["calibration_factor"] == 1.0
    assert torch.equal(scores["calibrated_whitebox"], scores["mia_whitebox"])


@pytest.fixture
def evaluation(task):
    features = model_features(task.model, task.images, task.labels, "fp32")
    generator = torch.Generator().manual_seed(1)
    count = 400
    return Evaluation(
        model=task.model,
        images=task.images,
        labels=task.labels,
        subsets={"forget": torch.arange(100), "retain": torch.arange(100, 200)}
        | {"test": torch.arange(200, count)},
        features=features,
        scores={"mia_whitebox": torch.rand(count, generator=generator)},
        cost={},
        before=lambda: features,
        training={},
        seed=1,
        calibration={"calibration_temperature": 1.5},
        published=0.365,
    )


def test_matched_points_are_counts_above_the_threshold_of_the_test_images(evaluation):
    rows = {name: value for _, name, value in measure("matched_points", evaluation)}
    scores = evaluation.scores["mia_whitebox"].numpy()
    forget, test = scores[:100], scores[200:]
    for suffix, rate in {"5pct": 0.05, "10pct": 0.1, "paper": 0.365}.items():
        allowed = math.floor(rate * 200 + 1e-9)
        threshold = sorted(test)[-allowed - 1]
        assert rows[f"mia_whitebox_tpr_at_{suffix}"] == (forget > threshold).mean()
        assert (test > threshold).sum() == allowed
    assert rows["paper_rate"] == 0.365
    found = true_positives(forget, test, Fraction("0.365"))
    assert rows["mia_whitebox_tpr_at_paper"] == found / 100
    others = measure("matched_points", replace(evaluation, published=None))
    assert not any("paper" in name for _, name, _ in others)


def test_the_temperature_is_a_row(evaluation):
    assert ("", "calibration_temperature", 1.5) in measure("membership", evaluation)


def test_controls_are_named_and_made_from_what_there_is(tmp_path):
    cfg = load_config(default() | {"controls": ["shift", "temperature"]})
    assert cfg.controls == ["shift", "temperature"]
    for changes, message in (
        ({"controls": ["shfit"]}, "unknown name 'shfit'; did you mean 'shift'"),
        ({"controls": ["shift", "shift"]}, "listed twice"),
        (
            {"controls": ["temperature"], "methods": ["original"]},
            "'temperature' is made from the retrained model; list retrain in `methods`",
        ),
    ):
        with pytest.raises(RemibenchError, match=message):
            load_config(default() | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def change(task): ...", "defines no `alter`"),
        ("USES = ('weights',)\ndef alter(task): ...", "`USES` lists some of retrained, att"),
    ],
)
def test_a_control_that_breaks_its_contract_is_named(tmp_path, text, message):
    (tmp_path / "controls").mkdir()
    (tmp_path / "controls" / "mine.py").write_text(text)
    with pytest.raises(RemibenchError, match=message):
        load_config(default() | {"plugins": [str(tmp_path)]})
    (tmp_path / "controls" / "mine.py").rename(tmp_path / "controls" / "retrain.py")
    (tmp_path / "controls" / "retrain.py").write_text("def alter(task): ...")
    with pytest.raises(RemibenchError, match="'retrain' has the name of a method; rename the file"):
        load_config(default() | {"plugins": [str(tmp_path)]})
    plugins.activate([])


def test_a_control_of_a_plugin_is_run(control_task, tmp_path):
    (tmp_path / "controls").mkdir()
    (tmp_path / "controls" / "noise.py").write_text("def alter(task): return None")
    try:
        cfg = load_config(default() | {"plugins": [str(tmp_path)], "controls": ["noise"]})
        assert cfg.controls == ["noise"]
        with pytest.raises(RemibenchError, match=r"noise\.py: `alter` returned None; it"):
            run_control("noise", control_task)
    finally:
        plugins.activate([])
