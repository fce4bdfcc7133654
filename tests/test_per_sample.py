"""Exact squared per-sample gradients against vmap(grad), torch's own oracle."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from remibench import per_sample
from remibench.per_sample import second_moments, squared_norms


def oracle(model, images, labels):
    """Per-sample gradients of log p(y | x), by parameter: (N, *shape)."""

    def log_likelihood(parameters, image, label):
        logits = functional_call(model, parameters, image[None])
        return logits.log_softmax(1)[0, label]

    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def one(label):
        return vmap(grad(log_likelihood), in_dims=(None, 0, None))(
            parameters, images[labels == label], label
        )

    order = torch.cat([torch.nonzero(labels == label)[:, 0] for label in range(4)])
    parts = [one(label) for label in range(4) if (labels == label).any()]
    joined = {name: torch.cat([part[name] for part in parts]) for name in parameters}
    return {name: value[order.argsort()] for name, value in joined.items()}


@pytest.fixture
def strided():
    """Strides, padding, dilation, no bias, and both forms of the convolution's norm."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 5, stride=2, padding=2, bias=False),
        nn.Tanh(),
        nn.Conv2d(3, 8, 3, padding=2, dilation=2),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.Flatten(),
        nn.Linear(16 * 9, 4, bias=False),
    ).eval()


@pytest.fixture(params=["cnn", "strided"])
def case(request, model, strided, data):
    images, labels = data
    if request.param == "cnn":
        model.normalise = lambda batch: (batch.float() / 255 - 0.13) / 0.31
        return model, images.float(), labels
    return strided, images.float() / 255, labels


@pytest.mark.parametrize("batch_size", [5, 64])
def test_second_moments_equal_vmap_grad(case, batch_size):
    model, images, labels = case
    ours = second_moments(model, images, labels, batch_size)
    for name, gradients in oracle(model, images, labels).items():
        expected = gradients.square().sum(0)
        torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-5 * expected.max())


@pytest.mark.parametrize("buffer", [1, 2**25])
def test_squared_norms_equal_vmap_grad(case, buffer, monkeypatch):
    monkeypatch.setattr(per_sample, "BUFFER", buffer)  # 1: one sample at a time
    model, images, labels = case
    gradients = oracle(model, images, labels).values()
    expected = sum(g.flatten(1).square().sum(1) for g in gradients)
    torch.testing.assert_close(squared_norms(model, images, labels), expected, rtol=1e-4, atol=0)


def test_both_forms_of_the_convolution_norm_are_exercised(strided):
    forms = set()
    shapes = iter([(12, 12), (12, 12), (3, 3)])
    for layer in strided:
        if isinstance(layer, nn.Conv2d):
            height, width = next(shapes)
            forms.add(2 * (height * width) ** 2 < layer.weight.numel())
    assert forms == {True, False}


def test_it_is_not_the_squared_batch_gradient(model, data):
    images, labels = data
    model.zero_grad()
    model(images).log_softmax(1)[range(24), labels].sum().backward()
    ours = second_moments(model, images, labels)["head.weight"]
    assert not torch.allclose(ours, model.head.weight.grad.square(), rtol=0.1)


def test_the_model_is_left_as_it_was(model, data):
    model.head.weight.requires_grad_(requires_grad=False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    second_moments(model, *data)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert not model.head.weight.requires_grad
    assert model.backbone[0].weight.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_without_a_formula_is_named(data):
    model = nn.Sequential(nn.Flatten(), nn.Bilinear(576, 576, 4))
    with pytest.raises(NotImplementedError, match="Bilinear"):
        second_moments(model, *data)
