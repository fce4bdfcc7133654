"""Several seeds of one cell trained in one process, against one after the other.

Not used by the workflow: it is to pay on a GPU, whose kernels a single small model does not fill,
and none has measured it. ``tests/workflow/test_benchmarks.py`` holds it to the sequential training.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from benchmarks.hot_paths import SPEC, random_images
from benchmarks.timing import compare, ratio_row, table
from remibench.models import Classifier, build_model
from remibench.training import epoch_randomness, fit_classifier

SEEDS = (0, 1, 2, 3)
IMAGES = {"cnn": 256, "resnet18": 64}
SETTINGS = {"learning_rate": 1e-2, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 64}


def train_together(
    models: Sequence[Classifier],
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    seeds: Sequence[int],
    epochs: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    batch_size: int,
) -> None:
    """Train models of one architecture at once, in place, each on its own order of the images.

    What :func:`remibench.training.fit_classifier` does to each of them in fp32, to rounding; the
    images must not leave a last batch of one, and the architecture must have no dropout, whose
    masks would be drawn in another order.

    Args:
        models: In evaluation mode afterwards.
        images: (N, C, S, S) uint8.
        labels: (N,) int64.
        seeds: One per model.
        epochs, learning_rate, momentum, weight_decay, batch_size: As there.
    """
    for model in models:
        model.train()
    weights, buffers = stack_module_state(list(models))
    skeleton = copy.deepcopy(models[0]).to("meta")
    skeleton.normalise = lambda normalised: normalised  # outside: vmap knows no memory format
    optimizer = torch.optim.SGD(
        weights.values(),
        lr=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        fused=True,
    )

    def loss(weights, buffers, images, labels):
        logits = functional_call(skeleton, (weights, buffers), (images,))
        return functional.cross_entropy(logits, labels)

    for epoch in range(1, epochs + 1):
        orders = []
        for seed in seeds:
            with epoch_randomness(seed, epoch, images.device):
                orders.append(torch.randperm(len(labels)).to(images.device))
        for batch in torch.stack(orders).split(batch_size, dim=1):
            optimizer.zero_grad(set_to_none=True)
            pixels = models[0].normalise(images[batch].flatten(0, 1)).unflatten(0, batch.shape)
            vmap(loss)(weights, buffers, pixels, labels[batch]).sum().backward()
            optimizer.step()
    with torch.no_grad():
        for place, model in enumerate(models):
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                tensor.copy_((weights if name in weights else buffers)[name][place])
            model.eval()


def rows() -> Iterator[list[str]]:
    """One row per architecture."""
    for architecture, count in IMAGES.items():
        spec = replace(SPEC, architecture=architecture)
        images, labels = random_images(count)

        def build(spec=spec) -> list[Classifier]:
            return [build_model(spec, seed) for seed in SEEDS]

        def together(build=build, images=images, labels=labels) -> None:
            train_together(build(), images, labels, seeds=SEEDS, epochs=1, **SETTINGS)

        def in_turn(build=build, images=images, labels=labels) -> None:
            for seed, model in zip(SEEDS, build(), strict=True):
                fit_classifier(
                    model,
                    images,
                    labels,
                    what="",
                    seed=seed,
                    epochs=1,
                    precision="fp32",
                    **SETTINGS,
                )

        yield ratio_row(architecture, compare(together, in_turn, repeats=3), 1)


def section() -> str:
    """The table."""
    return table(
        "Several seeds together",
        ["architecture", "together, s", "in turn, s", "ratio", "pays from", "pays"],
        rows(),
        f"One epoch of {len(SEEDS)} seeds on one thread, 64×64, batch 64, fp32: "
        "`stack_module_state` and `vmap`, against one model after the other. The workflow trains "
        "one seed a job; several jobs share a GPU by `vram_mb`. On a GPU: not measured.",
    )
