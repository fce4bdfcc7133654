"""Unlearning methods against closed forms, libraries and plain reference code."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from support.tasks import TRAINING, LossGuide, duplicate, weights
from torch.distributions import Bernoulli, Normal, kl_divergence

from remibench.artifacts.io import save_array
from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks.whitebox import WhiteBoxAttack
from remibench.data.prepared import PreparedDataset
from remibench.errors import DivergedError, RemibenchError
from remibench.models import build_model, save_model
from remibench.per_sample import second_moments
from remibench.training import fit_classifier
from remibench.unlearning import (
    fisher,
    open_task,
    remi,
    retrain,
    run_method,
    unlearning_cost,
)

REMI = {
    "loss": "gaussian_kl",
    "std_floor": 0.2,
    "learning_rate": 0.01,
    "lambda2": 0.98,
    "max_epochs": 3,
    "batch_size": 4,
    "classification_batch_size": 8,
    "classification_data": "train",
}


def test_a_task_has_the_images_of_the_defender_alone(tmp_path, spec, data, model):
    images, labels = (each.numpy() for each in data)
    roles = {  # neither contiguous nor in the order of the file
        "target_train": np.array([1, 4, 9, 16, 20]),
        "out_of_sample": np.array([0, 3]),
        "test": np.array([2, 5]),
        "shadow_train": np.array([6, 7]),
    }
    for name, array in {"images": images, "labels": labels, "forget": np.array([1, 3])}.items():
        save_array(tmp_path / f"{name}.npy", array)
    save_model(tmp_path / "target.safetensors", model, spec)
    guide = WhiteBoxAttack(4, 512)
    guide.save(tmp_path / "guide.safetensors")
    task = open_task(
        PreparedDataset(tmp_path / "images.npy", tmp_path / "labels.npy", {}, roles),
        spec,
        target=tmp_path / "target.safetensors",
        forget=tmp_path / "forget.npy",
        guide=tmp_path / "guide.safetensors",
        training=TRAINING,
        training_seed=11,
        seed=12,
        device=torch.device("cpu"),
    )
    assert np.array_equal(task.images, images[[1, 4, 9, 16, 20, 0, 3]])
    assert np.array_equal(task.labels, labels[[1, 4, 9, 16, 20, 0, 3]])
    positions = (task.forget, task.retain, task.out_of_sample)
    assert [at.tolist() for at in positions] == [[1, 3], [0, 2, 4], [5, 6]]
    assert torch.equal(weights(task.model), weights(model))
    assert torch.equal(weights(task.guide), weights(guide))
    assert (task.training_seed, task.seed, task.progress) == (11, 12, None)


def test_retraining_is_training_on_the_retain_set_from_the_same_start(task, spec, data):
    history = retrain.unlearn(task)
    images, labels = data
    expected = build_model(spec, seed=11)
    fit_classifier(expected, images[4:16], labels[4:16], label="x", seed=11, **TRAINING)
    assert torch.equal(weights(task.model), weights(expected))
    assert [record["epoch"] for record in history] == [1, 2]


def test_retraining_does_not_depend_on_the_target_or_the_forget_images(task, spec, data):
    images, _ = data
    changed = images.clone()
    changed[:4] = 0
    other = replace(task, model=build_model(spec, seed=99), images=changed)
    retrain.unlearn(task)
    retrain.unlearn(other)
    assert torch.equal(weights(task.model), weights(other.model))


def test_fisher_noise_has_the_published_deviation(task):
    moments = second_moments(task.model, task.images[task.retain], task.labels[task.retain])
    max_std, factor = 2e-2, 10.0
    alpha = max_std**2 * moments["head.weight"].median().item()  # the cap binds for one half
    before = copy.deepcopy(task.model.state_dict())
    draws = {name: [] for name in moments}
    for seed in range(200):
        task.model.load_state_dict(before)
        fisher.unlearn(
            replace(task, seed=seed), alpha=alpha, max_std=max_std, last_layer_factor=factor
        )
        for name, parameter in task.model.named_parameters():
            draws[name].append(parameter.detach() - before[name])
    capped = uncapped = 0
    for name, moment in moments.items():
        std = (alpha / moment).sqrt().clamp(max=max_std)
        capped += int((std == max_std).sum())
        uncapped += int((std < max_std).sum())
        std = std * (factor if name in ("head.weight", "head.bias") else 1)
        noise = torch.stack(draws[name]) / std
        assert noise.std().item() == pytest.approx(1, abs=0.02 + 1 / np.sqrt(noise.numel()))
        assert abs(noise.mean().item()) < 5 / np.sqrt(noise.numel())
    assert min(capped, uncapped) > 100


def test_fisher_uses_the_retain_set_alone(task):
    other = replace(task, model=copy.deepcopy(task.model), images=task.images.clone())
    other.images[task.forget] = 0
    for each in (task, other):
        fisher.unlearn(each, alpha=1e-3, max_std=1e-2, last_layer_factor=10.0)
    assert torch.equal(weights(task.model), weights(other.model))


@pytest.mark.parametrize("seed", range(3))
def test_bernoulli_kl_equals_torch_distributions(seed):
    torch.manual_seed(seed)
    forget, out = torch.rand(20, dtype=torch.float64), torch.rand(30, dtype=torch.float64) / 2
    expected = kl_divergence(Bernoulli(forget.mean()), Bernoulli(out.mean()))
    torch.testing.assert_close(remi.bernoulli_kl(forget, out), expected)


@pytest.mark.parametrize("floor", [0.0, 0.2])
def test_gaussian_kl_equals_torch_distributions(floor):
    torch.manual_seed(0)
    forget, out = torch.rand(20, dtype=torch.float64), torch.rand(30, dtype=torch.float64) / 2

    def normal(values):
        return Normal(values.mean(), (values.var(correction=0) + floor**2).sqrt())

    expected = kl_divergence(normal(forget), normal(out))
    torch.testing.assert_close(remi.gaussian_kl(forget, out, floor), expected)


def test_paired_kl_equals_torch_distributions():
    torch.manual_seed(0)
    first, second = torch.rand(2, 20, dtype=torch.float64)
    expected = kl_divergence(Bernoulli(first), Bernoulli(second)).mean()
    torch.testing.assert_close(remi.paired_kl(first, second), expected)


def test_the_gaussian_bound_is_the_mean_over_all_pairs_and_no_less_than_the_mixtures_divergence():
    torch.manual_seed(0)
    first, second = torch.rand(6, dtype=torch.float64), torch.rand(5, dtype=torch.float64) - 0.3
    bound = remi.gaussian_bound(first, second, 0.3)
    centres = [Normal(values[:, None], 0.3) for values in (first, second)]
    pairs = kl_divergence(centres[0], Normal(second[None], 0.3))
    torch.testing.assert_close(bound, pairs.mean())
    grid = torch.linspace(-4, 5, 20_001, dtype=torch.float64)
    p, q = (centre.log_prob(grid).exp().mean(0) for centre in centres)
    mixtures = torch.trapezoid(p * (p / q).log(), grid)
    assert 0 < mixtures < bound


@pytest.mark.parametrize(
    "kl", [remi.bernoulli_kl, remi.paired_kl, lambda a, b: remi.gaussian_kl(a, b, 0.2)]
)
def test_divergences_vanish_at_equality_and_stay_finite_at_certainty(kl):
    scores = torch.tensor([0.1, 0.6, 0.9])
    assert kl(scores, scores.clone()).abs().item() < 1e-6
    certain = torch.ones(5, requires_grad=True)
    value = kl(certain, torch.zeros(5))
    value.backward()
    assert value.isfinite()
    assert certain.grad.isfinite().all()


READINGS = [
    *({"loss": loss} for loss in ("gaussian_kl", "gaussian_bound", "bernoulli_kl", "paired_kl")),
    *(
        {"scores": "logit", "std_floor": 1.0, "loss": loss}
        for loss in ("gaussian_kl", "gaussian_bound")
    ),
    {"direction": "from_forget"},
    {"out_of_sample_gradient": True},
    {"momentum": 0.0},
    {"epoch_over": "retain"},
    *({"classification_data": data} for data in ("retain", "forget")),
]


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_every_reading_lowers_the_guides_rate_on_the_forget_set_and_stops(task, reading):
    changes = {"max_epochs": 60, "learning_rate": 0.1, **reading}
    history = remi.unlearn(task, **{**REMI, **changes})
    assert history[0]["mf_forget"] > history[0]["mf_out_of_sample"]
    assert history[-1]["mf_forget"] < history[0]["mf_forget"]
    running = history[:-1]
    assert all(record["mf_forget"] > record["mf_out_of_sample"] for record in running)
    if len(history) <= 60:
        assert history[-1]["mf_forget"] <= history[-1]["mf_out_of_sample"]
    assert not task.model.training


def test_remi_goes_on_to_the_last_epoch_where_nothing_stops_it(task):
    settings = {**REMI, "learning_rate": 0.1, "max_epochs": 40}
    matched = remi.unlearn(replace(task, model=copy.deepcopy(task.model)), **settings)
    assert len(remi.unlearn(task, **settings, stop="never")) == 41 > len(matched)


@pytest.mark.parametrize(("over", "steps"), [("forget", 1), ("retain", 3)])
def test_an_epoch_is_a_pass_over_the_forget_or_the_retain_set(task, monkeypatch, over, steps):
    """Four forget images in batches of 4, or twelve retain images in batches of 5."""
    taken = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(torch.optim.SGD, "step", lambda *args: (taken.append(1), step(*args)))
    settings = {**REMI, "max_epochs": 2, "stop": "never", "epoch_over": over}
    remi.unlearn(task, **{**settings, "classification_batch_size": 5})
    assert len(taken) == 2 * steps


def test_direction_momentum_and_gradient_each_change_the_first_steps(task):
    """Against SGD on the written-out loss; see the test below for the base reading."""
    single = replace(
        task, forget=task.forget[:2], retain=torch.tensor([4]), out_of_sample=task.out_of_sample[:1]
    )
    settings = {**REMI, "lambda2": 0.7, "max_epochs": 2, "learning_rate": 1e-3, "stop": "never"}
    settings |= {"classification_data": "retain", "batch_size": 2}
    for reading in (
        {"direction": "from_forget"},
        {"momentum": 0.0},
        {"out_of_sample_gradient": True},
        {"direction": "from_forget", "out_of_sample_gradient": True, "scores": "logit"},
        {"loss": "paired_kl", "out_of_sample_gradient": True},
        {"loss": "gaussian_bound", "scores": "logit"},
    ):
        each = replace(single, model=copy.deepcopy(task.model))
        plain = replace(single, model=copy.deepcopy(task.model))
        history = remi.unlearn(each, **{**settings, **reading})
        optimizer = torch.optim.SGD(
            plain.model.parameters(),
            lr=1e-3,
            momentum=reading.get("momentum", 0.9),
            weight_decay=5e-4,
        )
        for record in history[1:]:
            pair = [
                LossGuide()(plain.features(at))
                for at in (single.forget, single.out_of_sample.repeat(2))
            ]
            if not reading.get("out_of_sample_gradient"):
                pair[1] = pair[1].detach()
            if reading.get("scores") == "logit":
                pair = [torch.logit(values) for values in pair]
            if "direction" not in reading:
                pair.reverse()
            kl = getattr(remi, reading.get("loss", "gaussian_kl"))
            membership = kl(*pair) if kl is remi.paired_kl else kl(*pair, 0.2)
            classification = plain.features(torch.tensor([4, 4])).loss.mean()
            optimizer.zero_grad()
            (0.7 * membership + 0.3 * classification).backward()
            optimizer.step()
            assert record["loss_membership"] == pytest.approx(membership.item(), rel=1e-3)
        torch.testing.assert_close(weights(each.model), weights(plain.model), rtol=1e-4, atol=1e-6)


class WeighingGuide(torch.nn.Module):
    """Sees every input of a guide, each with a weight of its own."""

    def forward(self, features):
        outputs = features.logits.log_softmax(dim=1).max(dim=1).values
        gradient = features.error.norm(dim=1) * features.contributions[:, :9].norm(dim=1)
        return torch.sigmoid(1 + outputs - features.loss[:, 0] - gradient / 20)


def written_out(model, images, labels, through):
    """WeighingGuide of a model, from its definition, with gradients through some inputs alone."""
    hidden = model.features(images)
    logits = model.head(hidden)
    loss = -logits.log_softmax(dim=1)[torch.arange(len(labels)), labels]
    error = logits.softmax(dim=1) - torch.eye(4)[labels]
    weight = model.head.weight.detach()
    units = (hidden * (weight - weight.mean(dim=0)).norm(dim=0)).topk(9, dim=1).values
    if through != "all":
        error, units = error.detach(), units.detach()
    if through == "outputs":
        loss = loss.detach()
    outputs = logits.log_softmax(dim=1).max(dim=1).values
    return torch.sigmoid(1 + outputs - loss - error.norm(dim=1) * units.norm(dim=1) / 20)


@pytest.mark.parametrize("through", ["outputs", "outputs_and_loss", "all"])
@pytest.mark.parametrize("reference", ["current", "target"])
def test_gradients_take_the_chosen_way_towards_the_chosen_model(task, through, reference):
    """Against SGD on the written-out loss."""
    single = replace(task, retain=torch.tensor([4]), guide=WeighingGuide())
    single = replace(single, out_of_sample=task.out_of_sample[:1])
    plain, target = (copy.deepcopy(task.model) for _ in range(2))
    settings = {**REMI, "lambda2": 0.7, "max_epochs": 3, "learning_rate": 1e-2, "stop": "never"}
    settings |= {"classification_data": "retain", "through": through, "reference": reference}
    history = remi.unlearn(single, **settings)
    optimizer = torch.optim.SGD(plain.parameters(), lr=1e-2, momentum=0.9, weight_decay=5e-4)
    outside = task.out_of_sample[:1]

    for record in history[1:]:
        scores = written_out(plain, task.images[:4], task.labels[:4], through)
        other = plain if reference == "current" else target
        fixed = written_out(other, task.images[outside], task.labels[outside], through)
        membership = remi.gaussian_kl(fixed.detach().repeat(4), scores, 0.2)
        classification = plain(task.images[4:5]).log_softmax(dim=1)[0, task.labels[4]].neg()
        optimizer.zero_grad()
        (0.7 * membership + 0.3 * classification).backward()
        optimizer.step()
        assert record["loss_membership"] == pytest.approx(membership.item(), rel=1e-3)
    torch.testing.assert_close(weights(task.model), weights(plain), rtol=1e-4, atol=1e-6)


def test_a_resumed_remi_keeps_the_target_models_scores(task, spec, tmp_path):
    settings = {**REMI, "learning_rate": 1e-3, "stop": "never", "reference": "target"}
    whole = duplicate(task, guide=WeighingGuide())
    remi.unlearn(whole, **{**settings, "max_epochs": 4})
    progress = EpochCheckpoint(tmp_path, "key", 0)
    begun = duplicate(task, guide=WeighingGuide(), progress=progress)
    remi.unlearn(begun, **{**settings, "max_epochs": 2})
    again = duplicate(task, guide=WeighingGuide(), progress=progress)
    history = remi.unlearn(again, **{**settings, "max_epochs": 4})
    assert len(history) == 5
    assert torch.equal(weights(again.model), weights(whole.model))


def test_remi_refuses_a_gradient_that_there_is_not(task):
    with pytest.raises(RemibenchError, match="remi: `reference: target` fixes the out-of-sample"):
        remi.unlearn(task, **REMI, reference="target", out_of_sample_gradient=True)

    class Loss(torch.nn.Module):
        def forward(self, features):
            return torch.sigmoid(1 - features.loss[:, 0])

    with pytest.raises(RemibenchError, match=r"`through`, outputs; set `through: all`"):
        remi.unlearn(replace(task, guide=Loss()), **REMI, stop="never", through="outputs")


def test_remi_does_nothing_when_the_guide_sees_no_difference(task):
    same = replace(task, out_of_sample=task.forget)
    before = weights(task.model)
    assert [record["epoch"] for record in remi.unlearn(same, **REMI)] == [0]
    assert torch.equal(weights(task.model), before)


@pytest.mark.parametrize(("source", "pool"), [("retain", [4]), ("train", [4, 4])])
def test_remi_steps_follow_the_gradient_of_the_weighted_losses(task, source, pool):
    """Two epochs of one step, against SGD on the written-out loss.

    The classification pool and the out-of-sample pool hold one image each, so that the random
    draws cannot matter; with ``train`` the forget set is that one image, too.
    """
    forget = task.forget if source == "retain" else torch.tensor([4])
    single = replace(
        task, forget=forget, retain=torch.tensor([4]), out_of_sample=task.out_of_sample[:1]
    )
    plain = replace(single, model=copy.deepcopy(task.model))
    settings = {**REMI, "lambda2": 0.7, "max_epochs": 2, "learning_rate": 1e-3}
    settings |= {"classification_data": source}
    history = remi.unlearn(single, **settings)
    assert len(history) == 3, "the guide stopped the run: nothing was compared"
    optimizer = torch.optim.SGD(plain.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    for record in history[1:]:
        scores = LossGuide()(plain.features(forget))
        target = LossGuide()(plain.features(single.out_of_sample.repeat(len(forget)))).detach()
        membership = remi.gaussian_kl(target, scores, 0.2)
        classification = plain.features(torch.tensor(pool)).loss.mean()
        optimizer.zero_grad()
        (0.7 * membership + 0.3 * classification).backward()
        optimizer.step()
        assert record["loss_membership"] == pytest.approx(membership.item(), rel=1e-3)
        assert record["loss_classification"] == pytest.approx(classification.item(), rel=1e-3)
    torch.testing.assert_close(weights(single.model), weights(plain.model), rtol=1e-4, atol=1e-6)


def test_the_classification_data_decide_which_images_remi_keeps_training_on(task):
    """With retain images alone, nothing about the forget images' labels reaches L_cls."""
    wrong = task.labels.clone()
    wrong[task.forget] = (wrong[task.forget] + 1) % 4
    changed = {}
    for data in ("retain", "train"):
        settings = {**REMI, "lambda2": 1e-6, "max_epochs": 1, "classification_data": data}
        pair = []
        for labels in (task.labels, wrong):
            each = replace(task, model=copy.deepcopy(task.model), labels=labels, guide=Certain())
            remi.unlearn(each, **settings)
            pair.append(weights(each.model))
        changed[data] = not torch.equal(*pair)
    assert changed == {"retain": False, "train": True}


class Certain(torch.nn.Module):
    """Calls the first four images members (all to forget), whatever the model does."""

    def forward(self, features):
        member = torch.arange(len(features.loss)) < 4
        return member + 0 * features.logits.sum(1)


def test_a_resumed_remi_equals_the_uninterrupted_one(task, spec, tmp_path):
    class Interrupted(EpochCheckpoint):
        def save(self, model, optimizer, history):
            super().save(model, optimizer, history)
            if len(history) == 3:
                raise KeyboardInterrupt

    def run(model, progress):
        each = replace(task, model=model, progress=progress)
        return remi.unlearn(each, **{**REMI, "learning_rate": 1e-3, "max_epochs": 4}), weights(
            each.model
        )

    expected = run(copy.deepcopy(task.model), None)
    assert len(expected[0]) == 5
    with pytest.raises(KeyboardInterrupt):
        run(copy.deepcopy(task.model), Interrupted(tmp_path, "key", every_seconds=0))
    history, resumed = run(build_model(spec, 5).eval(), EpochCheckpoint(tmp_path, "key", 0))
    assert torch.equal(resumed, expected[1])
    assert [r["mf_forget"] for r in history] == [r["mf_forget"] for r in expected[0]]
    assert [list(r) for r in history] == [list(r) for r in expected[0]]  # the order of columns


def test_remi_is_deterministic_and_leaves_the_global_generator_alone(task):
    again = replace(task, model=copy.deepcopy(task.model))
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    remi.unlearn(task, **REMI)
    assert torch.equal(torch.rand(2), expected)
    remi.unlearn(again, **REMI)
    assert torch.equal(weights(task.model), weights(again.model))


def test_remi_runs_with_the_white_box_network_as_guide(task):
    torch.manual_seed(0)
    guide = WhiteBoxAttack(4, 512).eval().requires_grad_(requires_grad=False)
    history = remi.unlearn(replace(task, guide=guide), **REMI)
    assert {"mf_forget", "accuracy_forget", "seconds_attack_loss"} <= set(history[-1])


def test_a_non_finite_loss_names_method_epoch_and_rate(task):
    with pytest.raises(RemibenchError, match=r"remi: the loss became nan in epoch \d+ at learning"):
        remi.unlearn(task, **{**REMI, "learning_rate": 1e25, "batch_size": 1})


def test_cost_sums_the_epochs_of_interrupted_and_resumed_runs_alike():
    history = [
        {"epoch": 0, "seconds": 1.0, "seconds_attack_loss": 0.0},
        {"epoch": 1, "seconds": 2.0, "seconds_attack_loss": 1.5},
    ]
    expected = {"epochs": 1, "seconds": 3.5, "seconds_attack_loss": 1.5}
    assert unlearning_cost(history, loading_seconds=0.5) == expected


def test_a_candidate_that_diverges_becomes_a_model_of_zeros_and_a_method_fails(task):
    parameters = {**REMI, "learning_rate": 1e25, "batch_size": 1}
    with pytest.raises(DivergedError, match=r"remi: .*lower the learning rate"):
        run_method("remi", replace(task, model=copy.deepcopy(task.model)), parameters)
    history = run_method("remi", task, parameters, may_diverge=True)
    assert history[0]["diverged"] == 1
    assert all((weight == 0).all() for weight in task.model.parameters())
    assert task.model(task.images[:2]).softmax(1).unique().numel() == 1  # a constant output


def overflow(task):
    """Weights that are finite, and whose outputs are not."""
    task.model.head.weight.data.fill_(3e38)
    return [{"epoch": 1, "seconds": 0.0}]


def not_a_number(task):
    task.model.head.bias.data.fill_(torch.nan)
    return [{"epoch": 1, "seconds": 0.0}]


def infinite(task):
    task.model.backbone[0].weight.data.fill_(torch.inf)
    return [{"epoch": 1, "seconds": 0.0}]


@pytest.mark.parametrize("unlearn", [overflow, not_a_number, infinite])
def test_a_model_that_computes_no_numbers_is_never_a_result(task, monkeypatch, unlearn):
    monkeypatch.setattr(fisher, "unlearn", unlearn)
    with pytest.raises(DivergedError, match=r"fisher: .* not finite; it diverged; lower"):
        run_method("fisher", replace(task, model=copy.deepcopy(task.model)), {})
    assert run_method("fisher", task, {}, may_diverge=True)[0]["diverged"] == 1
    assert all((weight == 0).all() for weight in task.model.parameters())


@pytest.mark.parametrize("spoil", [overflow, not_a_number, infinite])
def test_remi_takes_no_model_of_nan_for_a_matched_one(task, spoil):
    """NaN > .5 is false: all images would count as non-members, and the rule would stop."""
    spoil(task)
    with pytest.raises(DivergedError, match="outputs are not finite"):
        run_method("remi", task, REMI)


@pytest.mark.parametrize("value", [torch.nan, -0.1, 1.1])
def test_remi_refuses_a_guide_that_gives_no_probabilities(task, value):
    class Guide(torch.nn.Module):
        def forward(self, features):
            return torch.full_like(features.loss[:, 0], value)

    with pytest.raises(RemibenchError, match=r"the attack returned .*in \[0, 1\]"):
        run_method("remi", replace(task, guide=Guide()), REMI)


def test_fisher_with_too_much_noise_says_that_it_diverged(task):
    parameters = {"alpha": 1e30, "max_std": 1e37, "last_layer_factor": 1.0}
    with pytest.raises(DivergedError, match=r"fisher: .*lower the learning rate, or the scale of"):
        run_method("fisher", replace(task, model=copy.deepcopy(task.model)), parameters)
    history = run_method("fisher", task, parameters, may_diverge=True)
    assert history[0]["diverged"] == 1


def test_weights_that_diverge_in_the_last_step_are_noticed(task, monkeypatch):
    def unlearn(task):
        task.model.head.bias.data.fill_(torch.nan)

    monkeypatch.setattr(fisher, "unlearn", unlearn)
    with pytest.raises(DivergedError, match=r"'head\.bias' is not finite"):
        run_method("fisher", task, {})
