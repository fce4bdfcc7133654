"""Classifiers of users: the last linear layer and its input, and a model started afresh."""

import copy
from types import SimpleNamespace

import pytest
import torch
from support.own_models import SmallNet, images_of
from torch import nn

from remibench.errors import RemibenchError
from remibench.models.adapted import AdaptedClassifier, fresh_copy
from remibench.training import predict


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SmallNet()


@pytest.fixture
def images():
    return images_of(6, 0)[0]


def test_the_last_layer_and_its_input_are_those_of_the_module(net, images):
    adapted = AdaptedClassifier(net, images).eval()
    scaled = images.float() / 255
    assert adapted.head is net.classify
    assert torch.equal(adapted.features(images), net.penultimate(scaled))
    assert torch.equal(adapted(images), net(scaled))
    logits, hidden = predict(adapted, images, "fp32")
    assert torch.equal(logits, net.classify(hidden))


def test_to_adapt_leaves_modes_hooks_and_statistics_alone(net, images):
    net.train()
    net.block.eval()  # a part may be frozen
    before = copy.deepcopy(net.state_dict())
    adapted = AdaptedClassifier(net, images)
    assert (net.training, net.dropout.training, net.block.training) == (True, True, False)
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())
    adapted.features(images)
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in net.modules())


def test_gradients_flow_through_the_features(net, images):
    adapted = AdaptedClassifier(net, images).eval()
    adapted.features(images).sum().backward()
    assert net.stem[0].weight.grad.abs().sum() > 0


def test_the_library_s_classifiers_take_uint8_images_themselves(model, data):
    adapted = AdaptedClassifier(model, data[0][:2])
    for ours, direct in zip(
        predict(adapted, data[0], "fp32"), predict(model, data[0], "fp32"), strict=True
    ):
        assert torch.equal(ours, direct)


def test_a_transform_takes_the_place_of_the_division(net, images):
    adapted = AdaptedClassifier(net, images, lambda batch: batch.float() * 2).eval()
    assert torch.equal(adapted(images), net(images.float() * 2))


def test_an_output_with_logits_is_one(net, images):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, images):
            return SimpleNamespace(logits=self.net(images))

    adapted = AdaptedClassifier(Wrapped(), images).eval()
    assert adapted.head is net.classify
    assert torch.equal(adapted(images), net(images / 255))


class Softmax(SmallNet):
    def forward(self, images):
        return super().forward(images).softmax(1)


class Maps(SmallNet):
    def forward(self, images):
        return self.stem(images)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (Softmax, "Softmax is not that of a linear layer"),
        (lambda: nn.Sequential(SmallNet(), nn.LogSoftmax(1)), "not that of a linear layer"),
        (
            lambda: nn.Sequential(nn.Conv2d(1, 3, 12), nn.Flatten()),
            "not that of a linear layer",
        ),
        (Maps, r"Maps returned shape \(6, 8, 6, 6\) for 6 images"),
        (lambda: SmallNet().half(), "convert the model by model.float"),
    ],
)
def test_a_module_without_logits_at_its_end_is_refused(build, message, images):
    with pytest.raises(RemibenchError, match=message):
        AdaptedClassifier(build(), images)


def test_a_fresh_copy_is_another_start_of_the_same_model(net):
    fresh, again, other = (fresh_copy(net, seed) for seed in (1, 1, 2))
    assert type(fresh) is SmallNet
    for name, value in fresh.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(fresh.classify.weight, net.classify.weight)
    assert not torch.equal(fresh.classify.weight, other.classify.weight)


def test_a_fresh_copy_has_the_distribution_and_the_statistics_of_a_new_model(images):
    trained = SmallNet()
    trained.train()(images / 255)
    with torch.no_grad():
        for weight in trained.parameters():
            weight.fill_(100)
    fresh, new = fresh_copy(trained, 0), SmallNet()
    for name, value in new.state_dict().items():
        bound = max(1.0, value.float().abs().max().item())
        assert fresh.state_dict()[name].float().abs().max().item() <= 1.5 * bound, name
    assert torch.equal(fresh.stem[1].running_var, new.stem[1].running_var)


def test_attention_is_initialised_as_its_constructor_does():
    layer = nn.Sequential(nn.MultiheadAttention(8, 2), nn.Linear(8, 2))
    fresh = fresh_copy(layer, 3)[0]
    assert torch.equal(fresh.out_proj.bias, torch.zeros(8))
    assert not torch.equal(fresh.in_proj_weight, layer[0].in_proj_weight)


class Learnt(SmallNet):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


def test_a_parameter_that_no_layer_initialises_asks_for_a_factory():
    with pytest.raises(RemibenchError, match=r"Learnt.* give `factory`"):
        fresh_copy(Learnt(), 0)
    first, second, other = (fresh_copy(Learnt(), seed, Learnt) for seed in (0, 0, 1))
    assert torch.equal(first.classify.weight, second.classify.weight)
    assert not torch.equal(first.classify.weight, other.classify.weight)


def test_a_factory_of_another_model_is_refused(net):
    with pytest.raises(RemibenchError, match=r"another model.*classify"):
        fresh_copy(net, 0, lambda: SmallNet(classes=4))


def test_a_fresh_copy_draws_nothing_from_the_caller_s_generator(net):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fresh_copy(net, 0)
    assert torch.equal(torch.rand(3), expected)
