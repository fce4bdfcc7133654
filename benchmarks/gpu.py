"""What training takes on a GPU, as rows of a CSV that grows while it is measured.

``python -m benchmarks.gpu OUTPUT.csv [--device cuda] [--seconds 200]``; part of
``python -m benchmarks.gpu_check``. What finds no time any more has a row that says so.
"""

from __future__ import annotations

import argparse
import csv
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch

from benchmarks import hot_paths, seeds_together
from benchmarks.hot_paths import SPEC, random_images
from benchmarks.timing import seconds
from remibench.jobs.torch_setup import (
    exempt_optimizers_from_compiler,
    keep_freed_pages,
    select_device,
)
from remibench.models import build_model, forward_flops
from remibench.training import fit_classifier

COLUMNS = ("section", "name", "mode", "precision", "value", "unit", "note")
IMAGES = {"cnn": 16_384, "resnet18": 8_192, "xception": 4_096, "vgg19": 4_096}  # of an epoch
SETTINGS = {"learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 5e-4, "batch_size": 64}
JOBS = (1, 4, 8, 12)  # trainings at once
WINDOW = 4  # seconds that they are watched
START = "import sys, torch, remibench.training; torch.zeros(1, device=sys.argv[1]).item()"
NO_TIME = "not measured: the time was over"


class Row(NamedTuple):
    """A line of the CSV; a value of None with a note that says why."""

    section: str
    name: str
    mode: str
    precision: str
    value: float | None
    unit: str
    note: str = ""


class Stop(Exception):  # noqa: N818 - no error
    """Ends a training that was watched long enough."""


class Watch:
    """In the place of a checkpoint: waits for a sign after two epochs, ends after the window."""

    def __init__(self, window: float) -> None:
        self.window, self.started, self.images = window, 0.0, 0.0

    def restore(self, *_: object) -> list:
        """Nothing was trained before."""
        return []

    def save(self, _model: object, _optimizer: object, history: list) -> None:
        """Called after every epoch."""
        if len(history) == 2:
            print("ready", flush=True)
            sys.stdin.readline()
            self.started, self.first = time.perf_counter(), len(history)
        elif len(history) > 2 and time.perf_counter() - self.started >= self.window:
            self.epochs = len(history) - self.first
            self.elapsed = time.perf_counter() - self.started
            raise Stop


def matrix_rate(device: torch.device, precision: str, size: int) -> float:
    """TFLOP/s of square matrix products; the median of ten."""
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.randn(2, size, size, device=device).to(kind)
    times = [seconds(lambda: left @ right) for _ in range(13)][3:]
    return 2 * size**3 / statistics.median(times) / 1e12


def training_rate(
    device: torch.device, architecture: str, precision: str, mode: str, count: int, size: int
) -> tuple[float, float]:
    """Images/s of the epochs after the first, and MB of the device's memory at the peak.

    Args:
        device: Where to train.
        architecture, precision: As in the config.
        mode: ``plain``, ``captured`` (CUDA graphs) or ``compiled`` (torch.compile).
        count: Images of an epoch.
        size: Their side in pixels.
    """
    images, labels = random_images(count, size, device)
    spec = replace(SPEC, architecture=architecture, image_size=size)
    if device.type == "cuda":
        torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        torch.cuda.reset_peak_memory_stats()
    model = build_model(spec, seed=0).to(device)
    history = fit_classifier(
        torch.compile(model) if mode == "compiled" else model,
        images,
        labels,
        label="",
        seed=0,
        epochs=3,
        precision=precision,
        capture=mode == "captured",
        **SETTINGS,
    )
    rate = statistics.median(count / record["seconds"] for record in history[1:])
    peak = torch.cuda.max_memory_reserved() - before if device.type == "cuda" else 0
    return rate, peak / 1e6


def at_once(jobs: int, device: str, size: int, until: float) -> float:
    """Images/s of that many processes together, each of which trains a CNN in bf16.

    Raises:
        TimeoutError: They were not ready in time.
    """
    command = [sys.executable, "-m", "benchmarks.gpu", "-", "--device", device, "--size", str(size)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(jobs)
    ]
    try:
        for worker in workers:
            if worker.stdout.readline() != "ready\n" or time.monotonic() > until:
                raise TimeoutError("a process failed or was not ready in time")
        for worker in workers:
            worker.stdin.write("\n")
            worker.stdin.flush()
        return sum(float(worker.stdout.readline()) for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def watched(device: torch.device, size: int) -> None:
    """One of those processes: print its images/s."""
    count = 4_096 if device.type == "cuda" else 64
    images, labels = random_images(count, size, device)
    model, watch = build_model(replace(SPEC, image_size=size), seed=0).to(device), Watch(WINDOW)
    settings = {"label": "", "seed": 0, "epochs": 10**6, "precision": "bf16", **SETTINGS}
    try:
        fit_classifier(model, images, labels, progress=watch, **settings)
    except Stop:
        print(watch.epochs * count / watch.elapsed, flush=True)


def measurements(
    device: torch.device, until: float, small: bool
) -> Iterator[tuple[Row, Callable[[], Sequence[Row]]]]:
    """Yield what to measure, most telling first: a row for when there is no time, and a function.

    Args:
        device: The device.
        until: When the time is over, on the monotonic clock.
        small: Rehearse on the smallest sizes.
    """
    size, rates = (24 if small else 64), {}

    def matrix(row: Row) -> list[Row]:
        rates[row.precision] = matrix_rate(device, row.precision, 256 if small else 8192)
        return [row._replace(value=rates[row.precision])]

    def train(row: Row) -> list[Row]:
        count = 128 if small else IMAGES[row.name]
        rate, peak = training_rate(device, row.name, row.precision, row.mode, count, size)
        flops = 3 * forward_flops(replace(SPEC, architecture=row.name, image_size=size))
        share = flops * rate / 1e12 / rates[row.precision]
        note = f"{flops * rate / 1e12:.2f} TFLOP/s, {share:.1%} of the matrix rate"
        if peak:
            note += f"; peak memory {peak:.0f} MB"
        return [row._replace(value=rate, note=note)]

    def together(row: Row) -> list[Row]:
        jobs = int(row.name.split()[0])
        return [row._replace(value=at_once(jobs, device.type, size, until))]

    def ratios(row: Row, module, unit: str) -> Iterator[Row]:
        for cells in module.rows(device.type):
            name, ours, reference, ratio = cells[:4]
            yield row._replace(
                name=name,
                value=float(ratio.split()[0]),
                unit=unit,
                note=f"{ours} s against {reference} s",
            )

    def start_up(row: Row) -> list[Row]:
        command = [sys.executable, "-c", START, device.type]
        taken = [seconds(partial(subprocess.run, command, check=True)) for _ in range(2)]
        return [row._replace(value=min(taken))]

    row = Row("start-up", "a process", "", "", None, "s", "imports and the first kernel")
    yield row, partial(start_up, row)
    for precision in ("fp32", "bf16"):
        row = Row("matrix products", "8192³", "", precision, None, "TFLOP/s")
        yield row, partial(matrix, row)
    for mode in ("captured", "plain"):
        for precision in ("bf16", "fp32"):
            for architecture in ("cnn",) if small else IMAGES:
                row = Row("training", architecture, mode, precision, None, "images/s")
                yield row, partial(train, row)
    for jobs in (1, 2) if small else JOBS:
        row = Row("jobs at once", f"{jobs} trainings", "captured", "bf16", None, "images/s")
        yield row, partial(together, row)
    if small:
        return
    row = Row("seeds together", "all", "vmap", "fp32", None, "×")
    yield row, partial(ratios, row, seeds_together, "× in turn")
    row = Row("hot paths", "all", "", "", None, "×")
    yield row, partial(ratios, row, hot_paths, "× reference")
    for architecture in ("cnn", "resnet18"):
        row = Row("training", architecture, "compiled", "bf16", None, "images/s")
        yield row, partial(train, row)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write a row as soon as there is one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("output", help="CSV to write, or - to be one of several jobs at once")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--size", type=int, default=64, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    logging.disable(logging.WARNING)  # random labels: "the model has learned next to nothing"
    torch.set_num_threads(1)
    keep_freed_pages()
    exempt_optimizers_from_compiler()
    device = select_device(options.device)
    if options.output == "-":
        watched(device, options.size)
        return
    until = time.monotonic() + options.seconds
    with Path(options.output).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row, measure in measurements(device, until, small=device.type == "cpu"):
            try:
                if time.monotonic() > until:
                    raise TimeoutError(NO_TIME)
                for found in measure():
                    writer.writerow(found)
                    file.flush()
                    print(*found, file=sys.stderr, flush=True)
            except Exception as error:  # the others are measured all the same
                reason = " ".join(str(error).split())[:200]
                kind = "" if reason == NO_TIME else f"{type(error).__name__}: "
                writer.writerow(row._replace(note=kind + reason))
                file.flush()


if __name__ == "__main__":
    main()
