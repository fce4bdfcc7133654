"""Architectures against published parameter counts; what every architecture promises."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, VGG19_Weights

from remibench.components.declarations import constant
from remibench.components.registry import components
from remibench.errors import RemibenchError
from remibench.models import (
    ModelSpec,
    build_model,
    count_parameters,
    forward_flops,
    load_model,
    save_model,
)
from remibench.training import equal_batches

CPU = torch.device("cpu")
ARCHITECTURES = list(components("models"))


def spec_of(architecture, channels=1, image_size=32, classes=10):
    mean, std = (0.4,) * channels, (0.2,) * channels
    return ModelSpec(architecture, channels, image_size, classes, mean, std)


def images_of(spec, count=3):
    shape = (count, spec.channels, spec.image_size, spec.image_size)
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def built(request):
    """A model of every architecture, in evaluation mode, and its spec; tests leave it as it is."""
    spec = spec_of(request.param)
    return build_model(spec, seed=1).eval(), spec


@pytest.mark.parametrize(
    ("architecture", "published"),
    [
        ("resnet18", ResNet18_Weights.DEFAULT.meta["num_params"]),
        ("vgg19", VGG19_Weights.DEFAULT.meta["num_params"]),
        ("xception", 22_910_480 - 54_528),  # Keras counts batch-norm's running statistics as well
        ("cnn", 896 + 18_496 + 73_856 + (128 * 26 * 26 + 1) * 512 + 513_000),
    ],
)
def test_parameter_counts_are_the_published_ones(architecture, published):
    assert count_parameters(spec_of(architecture, 3, 224, 1000)) == published


@pytest.mark.parametrize(
    ("architecture", "weights"), [("resnet18", ResNet18_Weights), ("vgg19", VGG19_Weights)]
)
def test_flops_are_two_for_each_published_multiply_add(architecture, weights):
    published = 2e9 * weights.DEFAULT.meta["_ops"]
    assert forward_flops(spec_of(architecture, 3, 224, 1000)) == pytest.approx(published, rel=1e-3)


def test_xceptions_multiply_adds_are_those_published_for_its_strides_and_poolings():
    """8.4 G at 299×299 (the model cards of timm); the count of parameters knows no stride."""
    assert round(forward_flops(spec_of("xception", 3, 299, 1000)) / 2e9, 1) == 8.4


@pytest.mark.parametrize(
    ("architecture", "first", "width"),
    [
        ("cnn", 9 * 32, 512),
        ("resnet18", 49 * 64, 512),
        ("vgg19", 9 * 64, 4096),
        ("xception", 288, 2048),
    ],
)
def test_channels_and_classes_change_the_first_and_last_layer_alone(architecture, first, width):
    colour = count_parameters(spec_of(architecture, 3, 64, 10))
    assert colour - count_parameters(spec_of(architecture, 1, 64, 10)) == 2 * first
    assert colour - count_parameters(spec_of(architecture, 3, 64, 4)) == 6 * (width + 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_vgg19_starts_with_outputs_that_depend_on_the_image(channels):
    """Torchvision's initialisation gives .0015 here, and often never leaves ln C."""
    spec = spec_of("vgg19", channels, 32)
    model = build_model(spec, seed=0).eval()
    with torch.no_grad():
        logits = model(images_of(spec, 8))
    assert logits.std(0).mean() > 0.03


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("image_size", [32, 47, 64])
def test_features_feed_the_head_at_any_size(architecture, channels, image_size):
    spec = spec_of(architecture, channels, image_size, classes=2 if image_size == 47 else 10)
    with torch.device("meta"):
        model = build_model(spec).to("meta").eval()
    features = model.features(images_of(spec).to("meta"))
    assert features.shape == (3, model.head.in_features)
    assert model.head(features).shape == (3, spec.classes)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_too_small_images_are_refused_with_the_minimum_that_computes(architecture):
    minimum = constant(components("models")[architecture], "MIN_IMAGE_SIZE", 1)
    assert forward_flops(spec_of(architecture, image_size=minimum)) > 0
    if minimum > 1:
        message = (
            f"{architecture} needs images of at least {minimum}×{minimum} pixels, got {minimum - 1}"
        )
        with pytest.raises(RemibenchError, match=message):
            build_model(spec_of(architecture, image_size=minimum - 1))


def test_logits_are_the_head_of_the_features(built):
    model, spec = built
    images = images_of(spec)
    assert list(model.modules())[-1] is model.head
    assert type(model.head) is nn.Linear
    torch.testing.assert_close(model(images), model.head(model.features(images)))


def test_evaluation_is_deterministic_and_images_do_not_interact(built):
    model, spec = built
    images = images_of(spec)
    logits = model(images)
    assert torch.equal(logits, model(images))
    torch.testing.assert_close(model(images[:1]), logits[:1], rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter_in_training_mode(built):
    model, spec = copy.deepcopy(built[0]).train(), built[1]
    nn.functional.cross_entropy(model(images_of(spec)), torch.arange(3)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_the_seed_alone_decides_the_weights(built):
    model, spec = built
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again = build_model(spec, seed=1).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    del again
    other = build_model(spec, seed=2).state_dict()
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            assert not torch.equal(other[name], parameter), name


def test_a_checkpoint_holds_the_model_bit_for_bit(built, tmp_path):
    model, spec = built
    path = tmp_path / "target.safetensors"
    save_model(path, model, spec)
    state = torch.get_rng_state()
    loaded = load_model(path, spec, CPU)
    assert torch.equal(torch.get_rng_state(), state)
    path.write_bytes(bytes(path.stat().st_size))  # what was loaded is no window on the file
    expected = model.state_dict()
    assert list(loaded.state_dict()) == list(expected)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, expected[name]), name
        assert value.stride() == expected[name].stride(), name
        assert value.dtype == expected[name].dtype, name
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert not loaded.training
    images = images_of(spec)
    assert torch.equal(loaded(images), model(images))


def test_a_checkpoint_of_another_architecture_is_refused_by_name(tmp_path):
    path = tmp_path / "target.safetensors"
    save_model(path, build_model(spec_of("cnn")), spec_of("cnn"))
    with pytest.raises(RemibenchError, match="holds architecture='cnn', expected 'resnet18'"):
        load_model(path, spec_of("resnet18"), CPU)


def test_only_its_own_architectures_import_torchvision():
    code = "import sys, remibench.models.cnn, remibench.models.xception; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert b"torchvision" not in modules.split()


def tied_weights(first, second):
    second.weight = first.weight


def weights_of_one_memory(first, second):
    second.weight = torch.nn.Parameter(first.weight.data)


def a_view(first, second):
    second.weight = torch.nn.Parameter(first.weight.data[:].view_as(first.weight))


def shared_buffer(first, second):
    first.register_buffer("seen", torch.ones(3))
    second.register_buffer("seen", first.seen)


def a_parameter_and_a_buffer(first, second):
    second.register_buffer("copy", first.weight.data)


@pytest.mark.parametrize(
    "share",
    [tied_weights, weights_of_one_memory, a_view, shared_buffer, a_parameter_and_a_buffer],
)
def test_shared_memory_is_refused_before_training(spec, monkeypatch, share):
    """No checkpoint could hold it, which would show only when the training is over."""
    width = spec.channels * spec.image_size**2

    def build_backbone(channels, image_size):
        first, second = torch.nn.Linear(width, width), torch.nn.Linear(width, width)
        share(first, second)
        return torch.nn.Sequential(torch.nn.Flatten(), first, second), width

    monkeypatch.setattr("remibench.models.cnn.build_backbone", build_backbone)
    with pytest.raises(RemibenchError, match=r"cnn\.py: .*share their memory; give each its own"):
        build_model(spec)


@pytest.mark.parametrize("samples", [1, 2, 3, 5, 7, 64, 65, 1001])
@pytest.mark.parametrize("batch_size", [2, 3, 32, 64])
def test_batches_of_equal_size_hold_no_single_image(samples, batch_size):
    batches = torch.arange(samples).tensor_split(equal_batches(samples, batch_size))
    sizes = [len(batch) for batch in batches]
    assert sum(sizes) == samples
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or samples == 1
    assert max(sizes) <= max(batch_size, 3)
