"""The library for models and data of users: the workflow's objects on another network."""

import copy
import re
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, roc_auc_score
from support.own_models import SmallNet, images_of, trained
from support.tasks import TRAINING
from torch import nn

import remibench
from remibench.analysis.verdicts import judge_methods
from remibench.components import registry
from remibench.errors import RemibenchError
from remibench.models import build_model
from remibench.models.adapted import fresh_copy
from remibench.seeding import derive_seed
from remibench.unlearning import UnlearningTask, run_method

QUICK = {"whitebox": {"epochs": 2}, "blackbox": {"epochs": 2}}
FORGET = list(range(0, 48, 4))
SHORT = {"epochs": 2, "learning_rate": 0.05, "batch_size": 16}
PARAMETERS = {  # of methods, so that each is done at once
    **{
        f"remi_{guide}": {"max_epochs": 1, "stop": "never"}
        for guide in registry.components("attacks")
    },
    "ssd": {"alpha": 1.0},
    **{name: {"epochs": 1} for name in ("fine_tune", "neggrad_plus", "random_labels", "salun")},
    **{name: {"epochs": 1} for name in ("bad_teacher", "scrub")},
}


@pytest.fixture(scope="module")
def data():
    parts = ("train", 48), ("test", 40), ("shadow_train", 48), ("shadow_test", 40)
    return remibench.Data(**{name: images_of(n, seed) for seed, (name, n) in enumerate(parts)})


@pytest.fixture(scope="module")
def model(data):
    return trained(data.role("target_train"))


@pytest.fixture(scope="module")
def audit(model, data):
    others = trained(data.role("target_train"), seed=1)
    train = tuple(part[np.setdiff1d(range(48), FORGET)] for part in data.role("target_train"))
    retrained = [trained(train, seed) for seed in (0, 1)]
    return remibench.audit(
        [model, others],
        {"mine": [others, model]},
        data,
        FORGET,
        retrained=retrained,
        attacks=QUICK,
        training=SHORT,
    )


def weights(module):
    return torch.cat([value.float().flatten() for value in module.state_dict().values()])


@pytest.mark.parametrize("method", registry.methods())
def test_every_method_unlearns_a_copy_of_the_model(method, model, data):
    model.train()
    before = weights(model).clone()
    run = partial(remibench.unlearn, model, data, FORGET, method, training=SHORT)
    after = run(**PARAMETERS.get(method, {}))
    assert torch.equal(weights(model), before)
    assert model.training
    assert type(after) is SmallNet
    assert not after.training
    assert not torch.equal(weights(after), before)
    assert after(data.role("test")[0] / 255).shape == (20, 3)
    again = run(**PARAMETERS.get(method, {}))
    assert torch.equal(weights(again), weights(after))


@pytest.mark.parametrize("method", ["retrain", "bad_teacher", "ssd", "fisher", "scrub"])
def test_a_classifier_of_the_workflow_unlearns_as_it_does_there(method, spec, data):
    """The same bytes as of a task that is made as the workflow makes it."""
    images, labels = images_of(40, 9, classes=4, size=24)
    target = build_model(spec, 3).eval()
    both = remibench.Data((images[:24], labels[:24]), (images[24:], labels[24:]))
    pool = [both.role(role) for role in ("target_train", "out_of_sample")]
    task = UnlearningTask(
        model=copy.deepcopy(target),
        spec=spec,
        images=torch.cat([part[0] for part in pool]),
        labels=torch.cat([part[1] for part in pool]),
        forget=torch.arange(6),
        retain=torch.arange(6, 24),
        out_of_sample=torch.arange(24, 32),
        guide=None,
        training=TRAINING,
        training_seed=derive_seed("target", 0),
        seed=derive_seed(method, 0),
    )
    parameters = PARAMETERS.get(method, {})
    run_method(method, task, parameters | ({} if method != "scrub" else {"max_steps": 1}))
    after = remibench.unlearn(
        target,
        both,
        range(6),
        method,
        training=TRAINING,
        factory=_seeded(spec),
        **parameters | ({} if method != "scrub" else {"max_steps": 1}),
    )
    assert torch.equal(weights(after), weights(task.model))


def _seeded(spec):
    """A factory whose model is that of the workflow for the seed that torch was given."""
    return lambda: build_model(spec, torch.initial_seed())


def test_retraining_starts_from_a_fresh_copy_and_never_sees_the_forget_set(model, data):
    settings = {**SHORT, "epochs": 1, "weight_decay": 0.0, "momentum": 0.0, "batch_size": 36}
    after = remibench.unlearn(model, data, FORGET, "retrain", training=settings)
    start = fresh_copy(model, derive_seed("target", 0)).eval()
    kept = np.setdiff1d(range(48), FORGET)
    images, labels = (part[kept] for part in data.role("target_train"))
    start.train()
    start.dropout.eval()  # its mask is drawn: compare the layers behind it alone
    nn.functional.cross_entropy(start(images / 255), labels).backward()
    expected = start.stem[1].running_mean  # momentum .1 of the batch's mean, the whole retain set
    assert torch.allclose(after.stem[1].running_mean, expected, atol=1e-5)


def test_frozen_parameters_stay_as_they_are(model, data):
    frozen = copy.deepcopy(model)
    frozen.stem.requires_grad_(requires_grad=False)
    for method in ("ssd", "fisher", "salun", "scrub"):
        after = remibench.unlearn(
            frozen, data, FORGET, method, training=SHORT, **PARAMETERS.get(method, {})
        )
        assert torch.equal(after.stem[0].weight, frozen.stem[0].weight), method
        assert not torch.equal(weights(after), weights(frozen)), method


def test_evaluation_measures_what_scikit_learn_does(model, data):
    attack = remibench.fit_attack(
        model, data.role("target_train"), data.role("out_of_sample"), epochs=3
    )
    table = remibench.evaluate(model, data, FORGET, attacks={"mf_whitebox": attack})
    assert set(table["method"]) == {"after"}
    values = table.set_index(["metric", "subset"])["value"]
    images, labels = data.role("target_train")
    net = copy.deepcopy(model).eval()
    predicted = net(images[FORGET] / 255).argmax(1)
    assert values["accuracy", "forget"] == pytest.approx(accuracy_score(labels[FORGET], predicted))
    assert values["images", "forget"] == len(FORGET)
    tests, test_labels = data.role("test")
    scores = [
        attack(_features_by_hand(net, *pair))
        for pair in ((images[FORGET], labels[FORGET]), (tests, test_labels))
    ]
    truth = [1] * len(FORGET) + [0] * len(tests)
    expected = roc_auc_score(truth, torch.cat(scores).numpy())
    assert values["mf_whitebox_auc", "forget"] == pytest.approx(expected)


@torch.no_grad()
def _features_by_hand(net, images, labels):
    from remibench.attacks.features import membership_features

    hidden = net.penultimate(images / 255)
    return membership_features(net.classify(hidden), hidden, labels, net.classify.weight)


def test_an_attack_with_a_shadow_model_is_also_made_after_calibration(model, data):
    shadow = trained(data.role("shadow_train"), seed=4)
    attack = remibench.fit_attack(shadow, data.role("shadow_train"), data.role("shadow_test"))
    table = remibench.evaluate(
        model, data, FORGET, before=model, shadow=shadow, attacks={"mia_whitebox": attack}
    )
    assert set(table["method"]) == {"original", "after"}
    assert {"calibrated_whitebox_auc", "calibration_factor"} <= set(table["metric"])


def test_a_class_that_is_forgotten_is_compared_with_unseen_images_of_it(model, data):
    labels = data.role("target_train")[1].numpy()
    tested = data.role("test")[1]
    attack = remibench.fit_attack(
        model, data.role("target_train"), data.role("out_of_sample"), epochs=1
    )
    run = partial(remibench.evaluate, model, data, attacks={"mf_whitebox": attack})
    whole = run(np.flatnonzero(labels == 1))
    values = whole.set_index(["metric", "subset"])["value"]
    assert values["images", "test_forget"] == (tested == 1).sum()
    assert values["images", "test_retain"] == (tested != 1).sum()
    images, net = data.role("test")[0][tested == 1], copy.deepcopy(model).eval()
    right = (net(images / 255).argmax(1) == 1).float().mean().item()
    assert values["accuracy", "test_forget"] == pytest.approx(right)
    part = np.flatnonzero(labels == 1)[:5]
    assert "test_forget" not in set(run(part)["subset"])  # may be a sample of all
    assert "test_forget" in set(run(part, classes=[1])["subset"])
    with pytest.raises(RemibenchError, match="an image of the forget set is of class 1"):
        run(part, classes=[0])
    audit = remibench.audit(model, model, data, np.flatnonzero(labels == 1), attacks=[])
    assert any("of some classes alone" in note for note in audit.notes)
    assert "accuracy test, forgotten classes, %" in audit.table


def test_a_metric_that_compares_with_the_model_before_asks_for_it(model, data):
    with pytest.raises(RemibenchError, match="give `before`"):
        remibench.evaluate(model, data, FORGET, metrics=["two_models"])


def test_an_audit_has_the_workflow_s_verdicts_beside_controls(audit):
    expected = judge_methods(audit.evaluation)
    assert audit.rate == "mia_whitebox_rate"
    pd.testing.assert_frame_equal(audit.verdicts, expected)
    assert list(expected["method"]) == ["original", "mine", "shift", "temperature"]
    assert audit.methods == ["original", "retrain", "mine", "shift", "temperature"]
    assert list(audit.table["model"])[:3] == ["Before", "Retraining", "Mine"]
    values = audit.evaluation.set_index(["method", "seed", "metric", "subset"])["value"]
    for seed in (0, 1):  # models that changed places
        assert (
            values["mine", seed, "accuracy", "test"]
            == (values["original", 1 - seed, "accuracy", "test"])
        )
        goal = values["retrain", seed, "mia_whitebox_rate", "forget"]
        reached = values["temperature", seed, "mia_whitebox_rate", "forget"]
        assert abs(reached - goal) <= 1 / len(FORGET)
    assert set(audit.attacks["attack"]) == {
        *("mf_whitebox", "mf_blackbox", "mia_whitebox", "mia_blackbox")
    }
    assert "mine: " in audit.headline.lower()
    assert not audit.gaps.empty


def test_without_a_shadow_model_an_audit_is_the_auditor_s_and_says_so(model, data):
    own = remibench.Data(data.role("target_train"), images_of(40, 1))
    audit = remibench.audit(
        model, model, own, FORGET, attacks={"whitebox": {"epochs": 2}}, metrics=["membership"]
    )
    names = set(audit.evaluation["metric"])
    assert audit.rate == "mf_whitebox_rate"
    assert not any(name.startswith(("mia_", "calibrat")) for name in names)
    assert any("no shadow model" in note for note in audit.notes)
    assert any("No retrained model" in note for note in audit.notes)
    assert "No verdict" in audit.headline
    assert audit.verdicts.empty
    assert audit.gaps.empty
    assert "shift" in set(audit.evaluation["method"])


def test_the_auditor_s_attack_is_fitted_on_no_image_of_the_forget_set(monkeypatch, model, data):
    seen = []
    fit = remibench.api._fit

    def spy(attack, members, nonmembers, *rest):
        seen.append((members, nonmembers))
        return fit(attack, members, nonmembers, *rest)

    monkeypatch.setattr(remibench.api, "_fit", spy)
    own = remibench.Data(data.role("target_train"), images_of(40, 1))
    remibench.audit(model, model, own, FORGET, attacks={"whitebox": {"epochs": 1}})
    (members, nonmembers) = seen[0]
    net = copy.deepcopy(model).eval()
    images, labels = own.role("target_train")
    forgotten = _features_by_hand(net, images[FORGET], labels[FORGET]).hidden
    distances = torch.cdist(members.hidden, forgotten)
    assert distances.min() > 1e-4
    assert len(members.loss) == 18  # half of the 36 retained images
    assert len(nonmembers.loss) == 20


def test_a_page_stands_alone_and_shows_the_numbers(audit, tmp_path):
    page = audit.to_html(tmp_path / "audit.html").read_text()
    assert not re.search(r"""src=|href="http|<link|<script|@import|url\((?!#)""", page)
    first = audit.table.set_index("model").loc["Retraining"]
    assert all(str(cell) in page for cell in first)
    assert audit.headline.split(" (")[0] in page
    assert "Control: temperature" in page
    assert "<svg" in page


def test_csv_files_read_back_to_the_tables(audit, tmp_path):
    paths = audit.to_csv(tmp_path / "tables")
    assert [path.name for path in paths] == [
        *("evaluation.csv", "attacks.csv", "gaps.csv", "verdicts.csv")
    ]
    found = pd.read_csv(paths[0]).fillna({"subset": ""})
    pd.testing.assert_frame_equal(found, audit.evaluation, check_exact=True)


def test_text_and_notebook_show_the_verdict(audit):
    assert audit.headline in str(audit)
    assert "Retraining" in audit._repr_html_()


def test_a_last_layer_without_bias_is_audited_without_the_shift(data):
    net = trained(data.role("target_train"), net=partial(SmallNet, bias=False))
    own = remibench.Data(data.role("target_train"), images_of(40, 1))
    run = partial(remibench.audit, net, net, own, FORGET, retrained=net, attacks=QUICK)
    assert run().methods == ["original", "retrain", "after", "temperature"]
    with pytest.raises(RemibenchError, match="control shift takes a last layer with a bias"):
        run(controls=["shift"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "scrubb"}, r"unknown method 'scrubb'; did you mean 'scrub'\? choices: "),
        ({"gama": 1}, r"unlearn, scrub: unknown key 'gama' .*did you mean 'gamma'"),
        ({"epochs": 0}, r"unlearn, scrub: `epochs`: .*greater than 0; got 0"),
        ({"training": {"rate": 1}}, "training: unknown key 'rate'"),
        ({"forget": []}, "`forget` has 0 of the 48 training images"),
        ({"forget": range(48)}, "`forget` has 48 of the 48 training images"),
        ({"forget": [3, 3]}, "position 3 more than once"),
        ({"forget": [48]}, "position 48; there are 48 training images, 0 to 47"),
        ({"forget": [-1]}, "position -1; there are 48"),
        ({"forget": [0.5]}, "`forget` is float"),
        ({"forget": [True, False]}, r"`forget` is bool of shape \(2,\)"),
        ({"model": "resnet"}, "'resnet' is no torch.nn.Module"),
    ],
)
def test_bad_input_is_one_line(changes, message, model, data):
    arguments = {"model": model, "data": data, "forget": FORGET} | changes
    with pytest.raises(RemibenchError, match=message) as caught:
        remibench.unlearn(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attacks": ["greybox"]}, "unknown attack 'greybox'"),
        ({"attacks": {"whitebox": {"epoch": 1}}}, "attack whitebox: unknown key 'epoch'"),
        ({"metrics": ["auc"]}, "unknown metric 'auc'"),
        ({"controls": ["temperature"]}, "control temperature takes a retrained model"),
        ({"controls": ["rescale_hidden"]}, "unknown control of any model 'rescale_hidden'"),
        ({"after": "scrub.pt"}, "'scrub.pt' is no torch.nn.Module"),
        ({"retrained": [nn.ReLU()]}, r"ReLU\(\) is no torch.nn.Module with parameters"),
        ({"after": {"retrain": SmallNet()}}, "the name 'retrain', which is taken"),
        ({"after": [SmallNet(), SmallNet()]}, "`before` has 1 models, 'after' 2"),
        ({"retrained": [SmallNet(), SmallNet()]}, "`before` has 1 models, 'retrain' 2"),
        ({"shadow": [SmallNet(), SmallNet()]}, "`shadow` has 2 models, `before` 1"),
        ({"after": SmallNet(classes=2)}, r"label 2; the model has 2 classes, 0 to 1"),
    ],
)
def test_bad_input_of_an_audit_is_one_line(changes, message, model, data):
    arguments = {"after": model, "attacks": QUICK, "training": SHORT} | changes
    with pytest.raises(RemibenchError, match=message):
        remibench.audit(model, data=data, forget=FORGET, **arguments)


def test_the_package_imports_torch_when_a_function_is_asked_for():
    script = (
        "import sys, remibench; assert 'torch' not in sys.modules; "
        "assert 'audit' in dir(remibench); remibench.audit; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_stub_names_what_the_package_gives():
    stub = (registry.ROOT / "__init__.pyi").read_text()
    names = [line.split(" as ")[1] for line in stub.splitlines() if " as " in line]
    assert names == sorted(remibench._API) == sorted(remibench.api.__all__)
