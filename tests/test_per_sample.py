"""Exact squared per-sample gradients against vmap(grad) or one backward pass per sample."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from remibench import per_sample
from remibench.models import ModelSpec, build_model
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


class Residual(nn.Module):
    """Overwrites what its layers returned, as torchvision's residual blocks do."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 6, 3, padding=1)
        self.shortcut = nn.Conv2d(6, 6, 1)

    def forward(self, maps):
        out = self.norm(self.first(maps)).relu_()
        out = self.second(out)
        out += self.shortcut(maps)
        out[:, :2].mul_(3)
        return out.sigmoid_()


@pytest.fixture
def residual():
    torch.manual_seed(0)
    return with_statistics(
        nn.Sequential(
            nn.BatchNorm2d(1),
            nn.Conv2d(1, 6, 5, stride=2),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            Residual(),
            nn.AvgPool2d(5),
            nn.Flatten(),
            nn.Linear(24, 8),
            nn.ReLU(inplace=True),
            nn.Linear(8, 4),
        )
    )


@pytest.fixture
def depthwise():
    """Depthwise convolutions of every kind, 1×1 ones, and one with a single output position."""
    torch.manual_seed(0)
    return with_statistics(
        nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2, bias=False),
            nn.Conv2d(4, 12, (3, 5), stride=(1, 2), padding=(2, 1), dilation=(2, 1), groups=4),
            nn.BatchNorm2d(12),
            nn.ReLU(inplace=True),
            nn.Conv2d(12, 12, 3, padding=1, groups=12, bias=False),
            nn.Conv2d(12, 5, 1, stride=(2, 1)),
            nn.Conv2d(5, 5, 1, padding=1),
            nn.Tanh(),
            nn.Conv2d(5, 7, (8, 6)),
            nn.ReLU(inplace=True),
            nn.Conv2d(7, 4, 1, bias=False),
            nn.Flatten(),
        )
    )


def with_statistics(network):
    """Random batch-norm statistics and weights: at 0 and 1 they would hide a wrong formula."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.running_mean, layer.bias.data):
                tensor.normal_(0, 0.3)
            for tensor in (layer.running_var, layer.weight.data):
                tensor.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(params=["cnn", "strided", "residual", "depthwise"])
def case(request, model, data):
    images, labels = data
    if request.param == "cnn":
        model.normalise = lambda batch: (batch.float() / 255 - 0.13) / 0.31
        return model, images.float(), labels
    return request.getfixturevalue(request.param), images.float() / 255, labels


@pytest.fixture(params=["one by one", "a CPU's", "a GPU's", "direct"])
def cuts(request, monkeypatch):
    """Every way of cutting a convolution's work, small as it is here."""
    held = {"one by one": (1, 1), "a CPU's": (2**20, 2**18), "a GPU's": (2**25, 2**25)}
    if request.param == "direct":
        monkeypatch.setattr(per_sample, "DIRECT", 4)
    else:
        monkeypatch.setattr(per_sample, "DIRECT", 2**31)
        monkeypatch.setattr(per_sample, "FEW", 1)
        sizes = per_sample._Held(*held[request.param])
        monkeypatch.setattr(per_sample, "_held", lambda _: sizes)


@pytest.mark.usefixtures("cuts")
@pytest.mark.parametrize("batch_size", [5, 64])
def test_second_moments_equal_vmap_grad(case, batch_size):
    model, images, labels = case
    ours = second_moments(model, images, labels, batch_size)
    for name, gradients in oracle(model, images, labels).items():
        expected = gradients.square().sum(0)
        torch.testing.assert_close(ours[name], expected, rtol=1e-3, atol=1e-5 * expected.max())


def test_sums_over_pairs_of_positions_are_not_negative():
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, 1, bias=False)
    inputs = torch.randn(100, 32, 1, 1).expand(-1, -1, 1, 2)
    deltas = torch.randn(100, 32, 1, 1) * torch.tensor([1.0, -1.0])  # every gradient is zero
    assert (per_sample._Convolution.square_sums(layer, inputs, deltas)["weight"] >= 0).all()


@pytest.mark.usefixtures("cuts")
def test_squared_norms_equal_vmap_grad(case):
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


@pytest.mark.parametrize(
    ("architecture", "channels", "count"),
    [("cnn", 3, 5), ("resnet18", 1, 5), ("resnet18", 3, 3), ("xception", 3, 3), ("vgg19", 1, 2)],
)
def test_every_architecture_equals_one_backward_pass_per_sample(architecture, channels, count):
    spec = ModelSpec(architecture, channels, 32, 4, (0.4,) * channels, (0.2,) * channels)
    model = with_statistics(build_model(spec, seed=0))
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, 32, 32)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    labels = torch.arange(count) % 4
    expected = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    norms = torch.zeros(count)
    for index in range(count):
        log_likelihood = model(images[index : index + 1]).log_softmax(1)[0, labels[index]]
        gradients = torch.autograd.grad(log_likelihood, list(model.parameters()))
        for total, gradient in zip(expected.values(), gradients, strict=True):
            norms[index] += gradient.square_().sum()
            total += gradient
    torch.testing.assert_close(squared_norms(model, images, labels, 2), norms, rtol=1e-3, atol=0)
    for name, value in second_moments(model, images, labels, batch_size=2).items():
        assert (value - expected[name]).abs_().max() <= 1e-4 * expected[name].max(), name


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


class Scaled(nn.Conv2d):
    """A subclass that computes something else than its base."""

    def forward(self, maps):
        return super().forward(2 * maps)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Bilinear(576, 576, 4),
        nn.Conv2d(4, 8, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        Scaled(4, 4, 3),
        nn.BatchNorm1d(4),
        nn.GroupNorm(2, 4),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("measure", [second_moments, squared_norms])
def test_a_layer_without_a_formula_is_named(layer, measure, data):
    model = nn.Sequential(nn.Flatten(), layer).eval()
    message = f"formula for 1, {type(layer).__name__}"
    with pytest.raises(NotImplementedError, match=message):
        measure(model, *data)


class Twice(nn.Module):
    """Uses weights in a way that no formula covers, or overwrites what one needs."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.first = nn.Linear(576, 576)
        self.second = nn.Linear(576, 576)
        self.last = nn.Linear(576, 4)
        if kind == "shared":
            self.second.weight = self.first.weight

    def forward(self, images):
        inputs = images.float().flatten(1) / 255
        hidden = self.first(inputs).tanh()
        if self.kind == "called twice":
            hidden = self.first(hidden)
        elif self.kind == "shared":
            hidden = self.second(hidden)
        elif self.kind == "elsewhere":
            hidden = hidden @ self.second.weight
        elif self.kind == "here and elsewhere":
            hidden = hidden @ self.first.weight
        elif self.kind == "overwritten":
            inputs.mul_(2)
        elif self.kind == "rows":
            hidden = self.second(hidden.view(-1, 2, 576)).view(-1, 576)
        elif self.kind == "tokens":
            hidden = self.second(hidden[:, None]).flatten(1)
        return self.last(hidden)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("called twice", "first is called 2 times and its parameters are used 2 times"),
        ("shared", "first is called 1 times and its parameters are used 2 times"),
        ("elsewhere", "second is called 0 times and its parameters are used 1 times"),
        ("here and elsewhere", "first is called 1 times and its parameters are used 2 times"),
        ("overwritten", "input of first is overwritten"),
        ("rows", r"input of second has shape \(12, 2, 576\)"),
        ("tokens", r"input of second has shape \(24, 1, 576\)"),
    ],
)
def test_a_layer_used_in_another_way_than_once_per_sample_is_named(kind, message, data):
    with pytest.raises(NotImplementedError, match=message):
        squared_norms(Twice(kind).eval(), *data)


def test_a_layer_that_is_not_used_has_no_gradient(data):
    ours = second_moments(Twice("").eval(), *data)
    assert not ours["second.weight"].any()
    assert ours["first.weight"].any()


@pytest.mark.parametrize(
    "norm", [nn.BatchNorm2d(1), nn.BatchNorm2d(1, affine=False, track_running_stats=False)]
)
def test_samples_that_interact_are_refused(norm, data):
    model = nn.Sequential(norm, nn.Flatten(), nn.Linear(576, 4))
    images = data[0].float()
    model.train(norm.track_running_stats)
    with pytest.raises(NotImplementedError, match="no sample has a gradient of its own"):
        second_moments(model, images, data[1])
    with pytest.raises(NotImplementedError, match="no sample has a gradient of its own"):
        second_moments(model.train(), images, data[1])
