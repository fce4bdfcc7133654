"""The calibration error against closed forms."""

import pytest
import torch

from remibench.attacks.features import membership_features
from remibench.evaluation.metrics import Evaluation, calibration


def measured(confidence, right):
    """The metric of images with two classes, all predicted to be of class 0."""
    confidence = torch.tensor(confidence)
    logits = torch.stack((confidence.log(), (1 - confidence).log()), dim=1)
    labels = 1 - torch.tensor(right).long()
    features = membership_features(logits, torch.ones(len(labels), 3), labels)
    subsets = {"test": torch.arange(len(labels))}
    evaluation = Evaluation(
        model=None,
        images=None,
        labels=labels,
        subsets=subsets,
        features=features,
        scores={},
        cost={},
        before=lambda: features,
        training={},
        seed=0,
    )
    [(subset, metric, value)] = calibration.measure(evaluation)
    assert (subset, metric) == ("test", "calibration_error")
    return value


def test_confidence_that_is_the_accuracy_has_no_error():
    assert measured([0.75] * 4, [True, True, True, False]) == pytest.approx(0, abs=1e-6)


def test_errors_of_different_bins_do_not_cancel():
    assert measured([0.65, 0.95], [True, False]) == pytest.approx((0.35 + 0.95) / 2, abs=1e-6)


def test_a_certain_model_that_is_always_wrong_has_error_one():
    assert measured([1.0, 1.0], [False, False]) == 1
