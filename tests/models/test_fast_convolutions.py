"""The convolutions of the classifiers equal PyTorch's, forward and backward."""

import copy

import pytest
import torch
from torch import nn

from remibench.models import fast_convolutions
from remibench.models.fast_convolutions import Convolution, use_fast_convolutions

CASES = {  # layer, side of its inputs, whether it is a matrix product
    "pointwise": (nn.Conv2d(5, 7, 1), 6, True),
    "pointwise, strided": (nn.Conv2d(5, 7, 1, stride=(2, 3), bias=False), 7, True),
    "pointwise, padded": (nn.Conv2d(5, 7, 1, padding=1), 6, True),
    "two by two positions": (nn.Conv2d(5, 7, 3, padding=1), 2, True),
    "one position": (nn.Conv2d(5, 7, 4, bias=False), 4, True),
    "strided, uneven": (nn.Conv2d(5, 7, (3, 2), stride=2, padding=(1, 0)), 4, True),
    "many positions": (nn.Conv2d(5, 7, 3, padding=1), 8, False),
    "pointwise, many positions": (nn.Conv2d(5, 7, 1), 9, False),
    "depthwise": (nn.Conv2d(5, 5, 3, padding=1, groups=5), 2, False),
    "dilated": (nn.Conv2d(5, 7, 2, dilation=2), 4, False),
    "padding by name": (nn.Conv2d(5, 7, 3, padding="same"), 2, False),
    "reflected": (nn.Conv2d(5, 7, 3, padding=1, padding_mode="reflect"), 2, False),
}


@pytest.mark.parametrize("case", CASES)
def test_it_equals_pytorch(case, monkeypatch):
    plain, side, product = CASES[case]
    plain = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    ours = copy.deepcopy(plain)
    use_fast_convolutions(ours)
    assert type(ours) is Convolution
    used = []
    linear = fast_convolutions.functional.linear
    monkeypatch.setattr(
        fast_convolutions.functional, "linear", lambda *a: used.append(1) or linear(*a)
    )
    torch.manual_seed(0)
    maps = torch.randn(3, 5, side, side).to(memory_format=torch.channels_last)
    weights = torch.randn_like(plain(maps))
    gradients = []
    for layer in (plain, ours):
        inputs = maps.clone().requires_grad_()
        out = layer(inputs)
        assert out.is_contiguous(memory_format=torch.channels_last)
        assert not out._is_view()
        (out * weights).sum().backward()
        gradients.append([out, inputs.grad, *(p.grad for p in layer.parameters())])
    assert bool(used) == product
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_an_image_without_a_batch_is_pytorchs_business():
    layer = nn.Conv2d(5, 7, 1)
    maps = torch.randn(5, 2, 2)
    expected = layer(maps)
    use_fast_convolutions(layer)
    torch.testing.assert_close(layer(maps), expected)


def test_subclasses_are_left_alone():
    class Scaled(nn.Conv2d):
        """Computes something else."""

    network = nn.Sequential(Scaled(1, 1, 1), nn.Conv2d(1, 1, 1))
    use_fast_convolutions(network)
    assert [type(layer) for layer in network] == [Scaled, Convolution]
