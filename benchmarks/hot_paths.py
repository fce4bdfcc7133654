"""Single hot paths on one thread against plain reference code, at the paper's sizes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch.nn import functional

from benchmarks import reference
from benchmarks.timing import compare, ratio_row, table
from remibench.attacks.features import membership_features, model_features
from remibench.attacks.whitebox import WhiteBoxAttack
from remibench.models import Classifier, ModelSpec, build_model
from remibench.per_sample import second_moments, squared_norms
from remibench.training import fit
from remibench.unlearning import UnlearningTask, remi

SPEC = ModelSpec("cnn", 1, 64, 10, (0.13,), (0.31,))
REMI = {
    "loss": "gaussian_kl",
    "std_floor": 0.2,
    "learning_rate": 0.0,  # every call finds the same model
    "lambda2": 0.98,
    "through": "all",
    "max_epochs": 1,
    "batch_size": 64,
    "classification_batch_size": 256,
    "classification_data": "train",
}
BACKWARD_IMAGES = {"cnn": 256, "resnet18": 128, "xception": 64, "vgg19": 64}


class Unwatched(UnlearningTask):
    """Steps of ReMI and nothing else: the stopping rule is never asked."""

    def snapshot(self) -> dict[str, float]:
        """Rates with which ReMI goes on."""
        return {"mf_forget": 1.0, "mf_out_of_sample": 0.0}


def random_images(count: int, size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Uint8 images (N, 1, S, S) and labels (N,)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (count, 1, size, size), dtype=torch.uint8, generator=generator)
    return images, torch.randint(10, (count,), generator=generator)


def backward(model: Classifier, images: torch.Tensor, labels: torch.Tensor) -> None:
    """An ordinary forward and backward pass over the images, in batches of 64."""
    for batch, targets in zip(images.split(64), labels.split(64), strict=True):
        loss = functional.cross_entropy(model(batch), targets)
        torch.autograd.grad(loss, list(model.parameters()))


def rows() -> Iterator[list[str]]:
    """One row per path and reference."""
    model = build_model(SPEC, seed=0).eval()
    yield from feature_rows(model)
    yield from per_sample_rows(model)
    yield from attack_rows()
    yield from remi_rows(model)


def feature_rows(model: Classifier) -> Iterator[list[str]]:
    """White-box features, without a backward pass, against gradients of all parameters."""
    images, labels = random_images(2560)
    features = partial(model_features, model, images, labels, "fp32")
    for name, function, count, target in (
        ("one backward per sample, retained graph", "gradients_over_a_retained_graph", 128, 100),
        ("one sample at a time", "gradients_one_at_a_time", 256, 5),
    ):
        gradients = getattr(reference, function)
        plain = partial(consume, gradients, model, images[:count], labels[:count])
        timed = compare(features, plain, count / len(labels))
        yield ratio_row(f"white-box features, 2,560 images / {name}", timed, target)


def per_sample_rows(model: Classifier) -> Iterator[list[str]]:
    """Sums and norms of squared per-sample gradients."""
    images, labels = random_images(128)
    for name, ours in (("Fisher diagonal", second_moments), ("efficacy", squared_norms)):
        fast = partial(ours, model, images, labels)
        for label, plain, count, target in (
            ("retained graph", squares_over_a_retained_graph, 64, 40),
            ("one sample at a time", squares_one_at_a_time, 128, 3),
            ("vmap(grad)", squares_by_vmap, 32, 15),
        ):
            slow = partial(plain, model, images[:count], labels[:count])
            timed = compare(fast, slow, count / len(labels))
            yield ratio_row(f"{name}, CNN / {label}", timed, target)
    for architecture, count in BACKWARD_IMAGES.items():
        network = build_model(replace(SPEC, architecture=architecture), seed=0).eval()
        inputs = random_images(count)
        for name, ours, most in (
            ("Fisher diagonal", second_moments, 1.6),
            ("efficacy", squared_norms, 1.4),
        ):
            timed = compare(partial(ours, network, *inputs), partial(backward, network, *inputs))
            row = f"{name}, {architecture} / one ordinary backward (at most {most}× as long)"
            yield ratio_row(row, timed, round(1 / most, 3))


def attack_rows() -> Iterator[list[str]]:
    """One epoch of the white-box membership model."""
    count = 3200
    generator = torch.Generator().manual_seed(0)
    features = membership_features(
        3 * torch.randn(count, 10, generator=generator),
        torch.randn(count, 512, generator=generator).relu(),
        random_images(count, 1)[1],
    )
    membership = torch.arange(count) % 2
    attack = WhiteBoxAttack(10, 512, "logits")
    plain = reference.MaterialisedNetwork(attack.network).train()
    optimizers = [torch.optim.Adam(m.parameters(), lr=1e-5, fused=True) for m in (attack, plain)]

    def batch_loss(batch: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(attack.network(features.take(batch)), membership[batch])

    settings = {"what": "", "epochs": 1, "batch_size": 64, "seed": 0}
    timed = compare(
        lambda: fit(attack, optimizers[0], batch_loss, count, **settings),
        lambda: reference.attack_epoch(
            plain, features, membership, torch.randperm(count), 64, optimizers[1]
        ),
    )
    yield ratio_row("attack training, 3,200 samples / images of gradients", timed, 4)


def remi_rows(model: Classifier) -> Iterator[list[str]]:
    """Steps of ReMI: 64 forget, 64 out-of-sample and 256 classification images."""
    images, labels = random_images(1024)
    forget, outside, rest = torch.arange(256), torch.arange(960, 1024), torch.arange(256, 960)
    guide = WhiteBoxAttack(10, 512, "logits").eval().requires_grad_(requires_grad=False)
    task = Unwatched(
        model=model,
        spec=SPEC,
        images=images,
        labels=labels,
        forget=forget,
        retain=rest,
        out_of_sample=outside,
        guide=guide,
        training={"momentum": 0.9, "weight_decay": 5e-4, "precision": "bf16"},
        training_seed=0,
        seed=0,
    )
    histories = []
    plain = reference.MaterialisedNetwork(guide.network).eval()
    timed = compare(
        lambda: histories.append(remi.unlearn(task, **REMI)),
        lambda: reference.remi_gradient(
            model,
            plain,
            (images[:64], labels[:64]),
            (images[960:], labels[960:]),
            (images[256:512], labels[256:512]),
            lambda2=0.98,
            std_floor=0.2,
        ),
        share=0.25,
        repeats=3,
    )
    yield ratio_row("ReMI, four steps / double backward through gradients", timed, 10)
    last = [history[-1] for history in histories[1:]]
    shares = [record["seconds"] / record["seconds_attack_loss"] for record in last]
    parts = tuple([record[key] for record in last] for key in ("seconds_attack_loss", "seconds"))
    yield ratio_row("ReMI: the attack loss / the whole step", (*parts, shares), 2)


def consume(gradients, *inputs: object) -> None:
    """Run an iterator of gradients to its end."""
    for _ in gradients(*inputs):
        pass


def squares_over_a_retained_graph(model: Classifier, *data: torch.Tensor) -> None:
    """Σ g² from the gradients of a loop over a retained graph."""
    reference.sum_of_squares(model, reference.gradients_over_a_retained_graph(model, *data))


def squares_one_at_a_time(model: Classifier, *data: torch.Tensor) -> None:
    """Σ g² from the gradients of one sample at a time."""
    reference.sum_of_squares(model, reference.gradients_one_at_a_time(model, *data))


def squares_by_vmap(model: Classifier, *data: torch.Tensor) -> None:
    """Σ g² from torch.func's per-sample gradients."""
    for gradient in reference.gradients_by_vmap(model, *data).values():
        gradient.square().sum(0)


def section() -> str:
    """The table."""
    return table(
        "Hot paths",
        ["path / reference", "ours (s)", "reference (s)", "ratio", "at least", "met"],
        rows(),
        "One thread, 64×64 images, CNN if not said, fp32 (ReMI bf16). Median (least–greatest) of "
        "pairs of calls in turn. A reference that does a share of the images counts for all.",
    )
