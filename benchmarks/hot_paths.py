"""Time the hot paths against plain reference code, both in this run, and print the ratios.

Run with ``make bench``. Sizes are the paper's (64×64, CNN if not said) on one thread, random
images, fewer of them for the larger architectures. Each row is the median of several repeats of
fast and reference in turn, so that a drifting machine does not favour one of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from remibench.attacks.features import model_features
from remibench.attacks.whitebox import RankOneConvolution
from remibench.models import ModelSpec, build_model
from remibench.per_sample import second_moments, squared_norms
from remibench.runtime import keep_freed_pages

IMAGES, REPEATS = 128, 3
LARGER = {"resnet18": 64, "xception": 32, "vgg19": 16}  # images for each


def main() -> None:
    """Print one row per path: seconds of both sides and their ratio."""
    torch.set_num_threads(1)
    keep_freed_pages()
    spec = ModelSpec("cnn", 1, 64, 10, (0.13,), (0.31,))
    model = build_model(spec, seed=0).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (IMAGES, 1, 64, 64), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (IMAGES,), generator=generator)
    error = torch.randn(2560, 10, generator=generator)
    hidden = torch.randn(2560, 512, generator=generator)
    fast_convolution, plain_convolution = RankOneConvolution(5), nn.Conv2d(1, 1, 5, padding=2)

    print(f"{'path':42s} {'ours (s)':>10s} {'reference (s)':>14s} {'ratio':>7s}")
    report(
        "white-box features / retained batch graph",
        lambda: model_features(model, images, labels),
        lambda: retained_graph(model, images, labels),
    )
    report(
        "white-box features / one sample at a time",
        lambda: model_features(model, images, labels),
        lambda: one_at_a_time(model, images, labels),
    )
    report(
        "rank-one convolution / Conv2d on images",
        lambda: step(fast_convolution, error, hidden),
        lambda: step(plain_convolution, (error[:, :, None] * hidden[:, None])[:, None]),
    )
    report(
        "Fisher diagonal / one sample at a time",
        lambda: second_moments(model, images, labels),
        lambda: one_at_a_time(model, images, labels),
    )
    report(
        "Fisher diagonal / vmap(grad)",
        lambda: second_moments(model, images, labels),
        lambda: vmapped(model, images[:32], labels[:32]),
        reference_share=32 / IMAGES,
    )
    report(
        "Fisher diagonal / ordinary backward",
        lambda: second_moments(model, images, labels),
        lambda: ordinary_backward(model, images, labels),
    )
    report(
        "efficacy / ordinary backward",
        lambda: squared_norms(model, images, labels),
        lambda: ordinary_backward(model, images, labels),
    )
    for architecture, count in LARGER.items():
        larger = build_model(replace(spec, architecture=architecture), seed=0).eval()
        for name, measure in (("Fisher diagonal", second_moments), ("efficacy", squared_norms)):
            report(
                f"{name} / ordinary backward, {architecture}",
                partial(measure, larger, images[:count], labels[:count]),
                partial(ordinary_backward, larger, images[:count], labels[:count]),
            )


def report(name: str, fast: Callable, reference: Callable, reference_share: float = 1.0) -> None:
    """Time both in turn; ``reference_share`` is the share of the work that the reference did."""
    seconds: tuple[list[float], list[float]] = ([], [])
    fast()
    for _ in range(REPEATS):
        for function, values in zip((fast, reference), seconds, strict=True):
            started = time.perf_counter()
            function()
            values.append(time.perf_counter() - started)
    ours, theirs = statistics.median(seconds[0]), statistics.median(seconds[1]) / reference_share
    print(f"{name:42s} {ours:10.4f} {theirs:14.4f} {theirs / ours:6.1f}×")


def step(convolution: nn.Module, *inputs: torch.Tensor) -> None:
    """Forward and backward of a convolution."""
    convolution(*inputs).square().mean().backward()


def one_at_a_time(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """One forward and one backward pass per sample, squares summed."""
    totals = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for image, label in zip(images.split(1), labels.split(1), strict=True):
        loss = functional.cross_entropy(model(image), label)
        for total, gradient in zip(
            totals, torch.autograd.grad(loss, list(model.parameters())), strict=True
        ):
            total += gradient.square()


def retained_graph(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """One backward pass per sample over the graph of batches of 64, as ML-Doctor does."""
    for batch, targets in zip(images.split(64), labels.split(64), strict=True):
        for loss in functional.cross_entropy(model(batch), targets, reduction="none"):
            torch.autograd.grad(loss, list(model.parameters()), retain_graph=True)


def vmapped(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """torch.func's per-sample gradients, squared and summed."""
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def log_likelihood(parameters: dict, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        logits = functional_call(model, parameters, image[None])
        return logits.log_softmax(1)[0].gather(0, label[None])[0]

    model.normalise = lambda batch: torch.addcmul(model._shift, batch.float(), model._scale)
    gradients = vmap(grad(log_likelihood), in_dims=(None, 0, 0))(parameters, images, labels)
    del model.normalise
    for gradient in gradients.values():
        gradient.square().sum(0)


def ordinary_backward(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    """Forward and backward over the same images, in the same batches of 64."""
    for batch, targets in zip(images.split(64), labels.split(64), strict=True):
        loss = functional.cross_entropy(model(batch), targets)
        torch.autograd.grad(loss, list(model.parameters()))


if __name__ == "__main__":
    main()
