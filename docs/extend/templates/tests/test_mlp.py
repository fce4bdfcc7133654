"""The perceptron; what every architecture promises is in tests/components/test_contracts.py."""

import pytest
import torch

from remibench.models import ModelSpec, build_model, count_parameters
from remibench.per_sample import squared_norms

SPEC = ModelSpec("mlp", channels=1, image_size=8, classes=10, mean=(0.3,), std=(0.4,))


def test_its_parameters_are_those_of_two_linear_layers():
    assert count_parameters(SPEC) == (64 + 1) * 256 + (256 + 1) * 10


def test_per_sample_gradients_know_all_its_layers():
    """Fisher forgetting and the efficacy score need this of an architecture."""
    model = build_model(SPEC, seed=1).eval()
    images = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8)
    label = torch.tensor([3])
    model(images).log_softmax(1)[0, 3].backward()
    expected = sum(weight.grad.square().sum() for weight in model.parameters())
    assert squared_norms(model, images, label).item() == pytest.approx(expected.item(), rel=1e-4)
