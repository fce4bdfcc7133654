"""Training on two cores: two jobs of one thread each, against one DataLoader with two workers."""

from __future__ import annotations

import multiprocessing
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks import reference
from benchmarks.hot_paths import SPEC, random_images
from benchmarks.timing import seconds, spread, table
from remibench.jobs.torch_setup import exempt_optimizers_from_compiler, keep_freed_pages
from remibench.models import build_model, forward_flops
from remibench.training import fit_classifier

CORES, REPEATS = 2, 3
IMAGES = {"cnn": 2560, "resnet18": 512, "xception": 256, "vgg19": 128}  # a job and an epoch
TARGETS = {"cnn": 4, "resnet18": 2, "xception": 2, "vgg19": 1.5}
SGD = {"momentum": 0.9, "weight_decay": 5e-4}


def our_epochs(architecture: str, barrier: multiprocessing.Barrier, results) -> None:
    """One job: put the images/s of every measured epoch."""
    torch.set_num_threads(1)
    keep_freed_pages()
    exempt_optimizers_from_compiler()
    images, labels = random_images(IMAGES[architecture])
    model = build_model(replace(SPEC, architecture=architecture), seed=0)
    settings = {"learning_rate": 1e-2, **SGD, "batch_size": 64, "precision": "bf16"}
    barrier.wait()
    history = fit_classifier(model, images, labels, what="", seed=0, epochs=REPEATS + 1, **settings)
    results.put([len(labels) / record["seconds"] for record in history[1:]])


def reference_epochs(architecture: str, barrier: multiprocessing.Barrier, results) -> None:
    """The field's loop: PIL images of 28×28, resized and normalised one by one; fp32."""
    torch.set_num_threads(CORES)
    images, labels = random_images(IMAGES[architecture], 28)
    pictures = [Image.fromarray(image[0].numpy()) for image in images]
    data = reference.ImageDataset(pictures, labels, 64)
    batches = DataLoader(data, 64, shuffle=True, num_workers=2, persistent_workers=True)
    model = build_model(replace(SPEC, architecture=architecture), seed=0)
    model = model.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, **SGD)
    epoch = partial(reference.train_epoch, model, batches, optimizer)
    barrier.wait()
    times = [seconds(epoch) for _ in range(REPEATS + 1)][1:]
    results.put([len(labels) / each for each in times])


def matrix_products(_: str, barrier: multiprocessing.Barrier, results) -> None:
    """The machine's rate of bf16 matrix products on one thread, TFLOP/s."""
    torch.set_num_threads(1)
    rates = []
    barrier.wait()
    for size in (1024, 2048):
        left, right = torch.randn(2, size, size).bfloat16()
        times = [seconds(lambda a=left, b=right: a @ b) for _ in range(10)]
        rates.append(2 * size**3 / min(times) / 1e12)
    results.put([max(rates)])


def in_processes(function, architecture: str, count: int) -> list[float]:
    """Run a function in that many processes at once; the sums of what they measured."""
    context = multiprocessing.get_context("spawn")
    results, barrier = context.Queue(), context.Barrier(count)
    jobs = [
        context.Process(target=function, args=(architecture, barrier, results))
        for _ in range(count)
    ]
    for job in jobs:
        job.start()
    rates = [results.get(timeout=600) for _ in jobs]
    for job in jobs:
        job.join()
    return [sum(values) for values in zip(*rates, strict=True)]


def rows() -> Iterator[list[str]]:
    """One row per architecture."""
    (peak,) = in_processes(matrix_products, "", CORES)
    for architecture, target in TARGETS.items():
        ours = in_processes(our_epochs, architecture, CORES)
        plain = in_processes(reference_epochs, architecture, 1)
        ratio = statistics.median(ours) / statistics.median(plain)
        flops = 3 * forward_flops(replace(SPEC, architecture=architecture))  # backward: twice
        achieved = flops * statistics.median(ours) / 1e12
        print(f"training, {architecture}: {ratio:.3g}×", file=sys.stderr, flush=True)
        yield [
            architecture,
            spread(ours),
            spread(plain),
            f"{ratio:.2f}",
            f"{target:g}",
            "yes" if ratio >= target else "**no**",
            f"{achieved:.2f} of {peak:.2f} ({achieved / peak:.0%})",
        ]


def section() -> str:
    """The table."""
    return table(
        "Training",
        ["architecture", "ours", "reference", "ratio", "at least", "met", "TFLOP/s of bf16 peak"],
        rows(),
        f"Images/s on {CORES} cores, 64×64, batch 64. Ours: two jobs of one thread, bf16 autocast, "
        "the data as one uint8 tensor. Reference: one process with a DataLoader of two workers, "
        "PIL images resized and normalised one by one, fp32, PyTorch's defaults. Peak: matrix "
        "products of 1,024 or 2,048 rows.",
    )
