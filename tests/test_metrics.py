"""Metrics against closed forms and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from remibench.attacks.features import model_features
from remibench.metrics import Evaluation, accuracy, cost, efficacy, membership


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
    assert membership.area_under_roc(positives, negatives) == pytest.approx(expected)
    assert membership.area_under_roc(np.ones(3), np.ones(4)) == 0.5


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
