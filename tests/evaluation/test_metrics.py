"""Metrics against closed forms, scipy and scikit-learn."""

from dataclasses import replace
from fractions import Fraction
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve
from torch import nn

from remibench.attacks.features import MembershipFeatures, membership_features, model_features
from remibench.components.registry import components
from remibench.evaluation.metrics import (
    Evaluation,
    accuracy,
    cost,
    efficacy,
    membership,
    operating_points,
    relearn,
    retain_privacy,
    two_models,
    worst_decile,
)
from remibench.evaluation.roc import area_under_roc, true_positives
from remibench.evaluation.roc import operating_points as roc_points


@pytest.fixture
def evaluation(model, data):
    images, labels = data
    features = model_features(model, images, labels, "fp32")
    scores = torch.linspace(0, 1, 24)
    return Evaluation(
        model=model,
        images=images,
        labels=labels,
        subsets={
            "forget": torch.arange(6),
            "retain": torch.arange(6, 16),
            "test": torch.arange(16, 24),
        },
        features=features,
        scores={"mia_whitebox": scores, "mf_blackbox": 1 - scores},
        cost={"seconds": 1.5, "epochs": 3},
        before=lambda: features,
        training={
            "batch_size": 4,
            "learning_rate": 0.05,
            "momentum": 0.0,
            "weight_decay": 0.0,
            "precision": "fp32",
        },
        seed=7,
    )


def measured(module, evaluation):
    return {(subset, metric): value for subset, metric, value in module.measure(evaluation)}


def test_accuracy_and_sizes(evaluation, model, data):
    rows = measured(accuracy, evaluation)
    right = (model(data[0]).argmax(1) == data[1]).float()
    assert rows["retain", "accuracy"] == pytest.approx(right[6:16].mean().item())
    assert [rows[subset, "images"] for subset in ("forget", "retain", "test")] == [6, 10, 8]
    loss = torch.nn.functional.cross_entropy(model(data[0])[16:], data[1][16:])
    assert rows["test", "loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_member_rates_and_auc(evaluation):
    rows = measured(membership, evaluation)
    assert rows["forget", "mia_whitebox_rate"] == 0
    assert rows["test", "mia_whitebox_rate"] == 1
    assert rows["forget", "mf_blackbox_rate"] == 1
    assert rows["forget", "mia_whitebox_auc"] == 0
    assert rows["forget", "mf_blackbox_auc"] == 1


def test_auc_equals_scikit_learn_with_ties():
    rng = np.random.default_rng(0)
    positives, negatives = rng.integers(0, 9, 50) / 9, rng.integers(0, 7, 80) / 9
    truth = np.r_[np.ones(50), np.zeros(80)]
    expected = roc_auc_score(truth, np.r_[positives, negatives])
    assert area_under_roc(positives, negatives) == pytest.approx(expected)
    assert area_under_roc(np.ones(3), np.ones(4)) == 0.5


def test_attack_quality_is_balanced():
    quality = membership.attack_quality(torch.ones(90), torch.tensor([0.0] * 9 + [1.0]))
    assert quality["accuracy"] == pytest.approx((1.0 + 0.9) / 2)
    assert (quality["tpr"], quality["members"], quality["nonmembers"]) == (1.0, 90, 10)
    assert quality["fpr"] == pytest.approx(0.1)


def test_efficacy_is_one_over_the_mean_squared_gradient_norm(evaluation, model, data):
    images, labels = data
    norms = []
    for sample in range(6):
        model.zero_grad()
        model(images[sample, None]).log_softmax(1)[0, labels[sample]].backward()
        norms.append(sum(p.grad.square().sum().item() for p in model.parameters()))
    rows = measured(efficacy, evaluation)
    assert rows["forget", "efficacy"] == pytest.approx(1 / np.mean(norms), rel=1e-4)


def test_efficacy_of_a_saturated_model_is_infinite_and_no_error(evaluation, model):
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([200.0, 0, 0, 0]))
    evaluation.labels[:6] = 0
    assert measured(efficacy, evaluation)["forget", "efficacy"] == float("inf")


def test_cost_passes_through_and_the_target_has_none(evaluation):
    assert measured(cost, evaluation) == {("", "seconds"): 1.5, ("", "epochs"): 3.0}


@pytest.mark.parametrize("digits", [1, 2, 8])  # few digits: many ties
@pytest.mark.parametrize("rate", [Fraction(1, 100), Fraction(1, 1000), Fraction(1, 20)])
@pytest.mark.parametrize("negatives", [100, 999, 1000, 2357])
def test_true_positives_are_those_of_scikit_learns_roc_curve(digits, rate, negatives):
    rng = np.random.default_rng(negatives)
    members = rng.normal(1, 1, 300).round(digits)
    others = rng.normal(0, 1, negatives).round(digits)
    found = true_positives(members, others, rate)
    if negatives < 1 / rate:
        assert found is None
        return
    truth = np.r_[np.ones(300), np.zeros(negatives)]
    fpr, tpr, _ = roc_curve(truth, np.r_[members, others], drop_intermediate=False)
    allowed = np.round(fpr * negatives) <= rate * negatives
    assert found == round(tpr[allowed].max() * 300)


def test_the_operating_point_does_not_exceed_the_rate_where_another_is_nearer():
    # Of 150 negatives, 2 are 1.3 % and 1 is .7 %: the former is nearer to 1 %, and too many.
    negatives = np.r_[[9.0, 8.0], np.zeros(148)]
    assert true_positives(np.array([8.5, 7.5]), negatives, Fraction(1, 100)) == 1


def test_a_hundred_negatives_measure_one_percent_and_ninety_nine_do_not():
    members = np.array([3.0, 1.0, 1.0, 0.0])
    for negatives, expected in ((99, np.nan), (100, 0.25)):
        others = np.r_[2.0, np.full(negatives - 1, 1.0)]
        rows = dict(roc_points(members, others))
        assert rows["tpr_at_1pct"] == pytest.approx(expected, nan_ok=True)
        assert np.isnan([rows[f"tpr_at_0.1pct{end}"] for end in ("", "_low", "_high")]).all()
    # Clopper & Pearson, 1 of 4 by the quantiles of beta distributions
    assert rows["tpr_at_1pct_low"] == pytest.approx(stats.beta.ppf(0.025, 1, 4))
    assert rows["tpr_at_1pct_high"] == pytest.approx(stats.beta.ppf(0.975, 2, 3))


def many(evaluation, forget, retain, test, name="mia_whitebox"):
    """An evaluation of three populations with given scores of one attack."""
    sizes = np.cumsum([0, len(forget), len(retain), len(test)])
    ranges = [torch.arange(*ends) for ends in pairwise(sizes)]
    scores = torch.tensor(np.concatenate([forget, retain, test]), dtype=torch.float32)
    subsets = dict(zip(("forget", "retain", "test"), ranges, strict=True))
    return replace(evaluation, subsets=subsets, scores={name: scores})


def test_operating_points_are_of_the_forget_set_against_test(evaluation):
    test = np.arange(1000) / 1000
    rows = measured(operating_points, many(evaluation, [0.9985, 0.995, 0.985, 0.1], [1.0], test))
    # 10 test images are above .989, and one is above .998
    assert rows["forget", "mia_whitebox_tpr_at_1pct"] == 0.5
    assert rows["forget", "mia_whitebox_tpr_at_0.1pct"] == 0.25
    assert {subset for subset, _ in rows} == {"forget"}


def test_the_worst_decile_by_hand(evaluation):
    scores = torch.cat((torch.linspace(0, 1, 11), torch.tensor([0.3])))
    assert worst_decile.worst_decile(scores) == pytest.approx((1.0 + 0.9) / 2)  # ⌈1.2⌉ = 2 of 12
    assert worst_decile.worst_decile(scores[:10]) == pytest.approx(0.9)
    assert worst_decile.worst_decile(scores[:1]) == 0
    rows = measured(worst_decile, evaluation)
    confidence = evaluation.model(evaluation.images).softmax(1)
    confidence = confidence[torch.arange(24), evaluation.labels]
    expected = confidence[:6].max().item()
    assert rows["forget", "confidence_worst_decile"] == pytest.approx(expected, rel=1e-5)
    assert rows["test", "mia_whitebox_worst_decile"] == 1


def test_the_worst_decile_is_the_expected_shortfall_of_a_known_distribution():
    # Of U(0, 1) the mean of the upper tenth is .95, of a normal φ(z) / .1 at its 90 % quantile.
    quantiles = (np.arange(100_000) + 0.5) / 100_000
    for values, expected in (
        (quantiles, 0.95),
        (stats.norm.ppf(quantiles), stats.norm.pdf(stats.norm.ppf(0.9)) / 0.1),
    ):
        found = worst_decile.worst_decile(torch.tensor(values))
        assert found == pytest.approx(expected, abs=1e-3)


def test_retain_privacy_against_scikit_learn(evaluation):
    rng = np.random.default_rng(3)
    retain, test = rng.beta(3, 2, 400), rng.beta(2, 2, 200)
    rows = measured(retain_privacy, many(evaluation, [0.5], retain, test))
    truth = np.r_[np.ones(400), np.zeros(200)]
    assert rows["retain", "mia_whitebox_auc"] == pytest.approx(
        roc_auc_score(truth, np.r_[retain, test])
    )
    advantage = (retain > 0.5).mean() - (test > 0.5).mean()
    assert rows["retain", "mia_whitebox_advantage"] == pytest.approx(advantage)
    assert rows["retain", "mia_whitebox_tpr_at_1pct"] <= 1
    assert {subset for subset, _ in rows} == {"retain"}


def logits_of(confidence):
    """Two-class features whose p(y | x) is given; all labels are 0."""
    confidence = torch.as_tensor(confidence, dtype=torch.float64)
    logits = torch.stack((confidence.log(), (1 - confidence).log()), dim=1)
    labels = torch.zeros(len(confidence), dtype=torch.int64)
    return membership_features(logits, torch.ones(len(labels), 3), labels)


def test_scores_of_two_models_in_closed_form():
    before, after = logits_of([0.9, 0.9, 0.5]), logits_of([0.6, 0.9, 0.7])
    drop = two_models.confidence_drop(before, after)
    assert drop.tolist() == pytest.approx([0.3, 0, -0.2], abs=1e-6)
    # p moves by as much as 1 − p, the other way: √2 times the difference
    distance = two_models.distance(before, after)
    assert distance.tolist() == pytest.approx([0.3 * 2**0.5, 0, 0.2 * 2**0.5], abs=1e-6)


def test_an_adversary_with_both_models_finds_what_changed(evaluation):
    before = logits_of([0.9] * 203)
    after = logits_of([0.5, 0.6, 0.7] + [0.9] * 100 + [0.8] + [0.95] * 99)
    given = many(evaluation, [0] * 3, [0] * 100, [0] * 100)
    rows = measured(two_models, replace(given, features=after, before=lambda: before))
    for score in ("distance", "confidence"):
        for others in ("retain", "test"):
            assert rows["forget", f"two_models_{score}_vs_{others}_auc"] == 1
            assert rows["forget", f"two_models_{score}_vs_{others}_tpr_at_1pct"] == 1
    same = measured(two_models, replace(given, features=before, before=lambda: before))
    assert {v for (_, name), v in same.items() if name.endswith("_auc")} == {0.5}
    assert {v for (_, name), v in same.items() if name.endswith("_at_1pct")} == {0.0}


class Linear(nn.Module):
    """One weight matrix from the pixels to the logits, as a classifier is asked for features."""

    def __init__(self, pixels, classes):
        super().__init__()
        self.head = nn.Linear(pixels, classes, bias=False)
        nn.init.zeros_(self.head.weight)

    def features(self, images):
        return images.flatten(1).float()

    def forward(self, images):
        return self.head(self.features(images))


def relearning(evaluation, goal_loss, momentum=0.0, batch_size=8):
    """Relearn time of a linear model on two images: pixel k lit, label k."""
    images = torch.zeros(2, 1, 1, 2, dtype=torch.uint8)
    images[0, 0, 0, 0] = images[1, 0, 0, 1] = 1
    labels, model = torch.tensor([0, 1]), Linear(2, 2)
    features = model_features(model, images, labels, "fp32")
    goal = features._replace(loss=torch.full((2, 1), goal_loss))
    training = {"batch_size": batch_size, "learning_rate": 0.5, "momentum": momentum}
    given = replace(
        evaluation,
        model=model,
        images=images,
        labels=labels,
        subsets={"forget": torch.arange(2)},
        features=features,
        before=lambda: goal,
        training=training | {"weight_decay": 0.0, "precision": "fp32"},
    )
    rows = measured(relearn, given)
    assert not model.head.weight.any(), "the evaluated model was trained"
    return {name.removeprefix("relearn_"): value for (_, name), value in rows.items()}


def steps_by_hand(goal, momentum=0.0):
    """Gradient descent of the symmetric two-class problem: one number m, the margin."""
    margin, velocity, steps = 0.0, 0.0, 0
    while np.log1p(np.exp(-margin)) > goal:
        # Each image's two weights move by half of η · (1 − p), apart: the margin by η · (1 − p).
        gradient = 1 / (1 + np.exp(margin))
        velocity = momentum * velocity + gradient
        margin += 0.5 * velocity
        steps += 1
    return steps


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("goal", [0.6, 0.3])
def test_relearn_time_of_a_linear_model_is_that_of_gradient_descent_by_hand(
    evaluation, goal, momentum
):
    rows = relearning(evaluation, goal, momentum)
    assert rows == {"steps": steps_by_hand(goal, momentum), "capped": 0}
    assert rows["steps"] > 0


def test_what_is_known_from_the_start_takes_no_step(evaluation):
    assert relearning(evaluation, 0.7) == {"steps": 0, "capped": 0}  # ln 2 = .693


def test_what_is_never_relearned_is_capped(evaluation):
    rows = relearning(evaluation, 0.0, batch_size=1)
    assert rows == {"steps": relearn.MAX_EPOCHS, "capped": 1}  # two images are one batch


def test_relearning_a_real_model_is_deterministic_and_leaves_it_alone(evaluation):
    before = {name: tensor.clone() for name, tensor in evaluation.model.state_dict().items()}
    loss = evaluation.features.loss - 0.3
    given = replace(evaluation, before=lambda: evaluation.features._replace(loss=loss))
    first, second = measured(relearn, given), measured(relearn, given)
    assert first == second
    assert first["forget", "relearn_steps"] > 0
    assert not first["forget", "relearn_capped"]
    assert not evaluation.model.training
    for name, tensor in evaluation.model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_no_two_metrics_measure_the_same(evaluation):
    """Of all modules, on populations large enough for every operating point."""
    labels = torch.arange(24) % 4
    given = replace(evaluation, labels=labels)
    seen = {}
    for name in components("metrics"):
        for subset, metric, value in import_module(f"remibench.evaluation.metrics.{name}").measure(
            given
        ):
            assert isinstance(value, float), (name, metric)
            assert seen.setdefault((subset, metric), name) == name
            assert subset in ("", "forget", "retain", "test")
    assert set(seen.values()) == set(components("metrics"))


def test_features_are_the_only_thing_that_two_models_are_compared_by(evaluation):
    def never():
        raise AssertionError("the target was loaded for a metric that does not need it")

    given = replace(evaluation, before=never)
    for module in (accuracy, membership, operating_points, retain_privacy, worst_decile):
        measured(module, given)
    assert isinstance(evaluation.before(), MembershipFeatures)
