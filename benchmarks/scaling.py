"""How time grows with the number of images, and of jobs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.hot_paths import REMI, SPEC, Unwatched, random_images
from benchmarks.timing import seconds, table
from remibench.attacks.features import model_features
from remibench.attacks.whitebox import WhiteBoxAttack
from remibench.models import build_model
from remibench.per_sample import second_moments, squared_norms
from remibench.unlearning import remi

IMAGES = (1024, 4096, 16384, 65536)
JOBS = (100, 1000, 10000)
SNAKEFILE = """
rule all:
    input: expand("out/{{i}}", i=range({jobs}))
rule job:
    output: "out/{{i}}"
    shell: "true > {{output}}"
"""


def image_rows() -> Iterator[list[str]]:
    """Seconds by number of images, 32×32, one call each."""
    spec = replace(SPEC, image_size=32)
    model = build_model(spec, seed=0).eval()
    guide = WhiteBoxAttack(10, 512, "logits").eval().requires_grad_(requires_grad=False)
    times = {"white-box features": [], "Fisher diagonal": [], "efficacy": [], "ReMI, one pass": []}
    for count in IMAGES:
        images, labels = random_images(count, 32)
        positions = torch.arange(count)
        task = Unwatched(
            model=model,
            spec=spec,
            images=images,
            labels=labels,
            forget=positions,
            retain=positions,
            out_of_sample=positions,
            guide=guide,
            training={"momentum": 0.9, "weight_decay": 5e-4, "precision": "bf16"},
            training_seed=0,
            seed=0,
        )
        calls = (
            partial(model_features, model, images, labels, "fp32"),
            partial(second_moments, model, images, labels),
            partial(squared_norms, model, images, labels),
            partial(remi.unlearn, task, **REMI),
        )
        for values, call in zip(times.values(), calls, strict=True):
            values.append(seconds(call))
        print(f"scaling: {count} images", file=sys.stderr, flush=True)
    for name, values in times.items():
        cells = [f"{s:.2f} ({1e3 * s / n:.2f})" for n, s in zip(IMAGES, values, strict=True)]
        yield [name, *cells]


def job_rows() -> Iterator[list[str]]:
    """Seconds of Snakemake by number of jobs that do nothing."""
    executable = Path(sys.executable).with_name("snakemake")
    times = {"dry-run": [], "run": []}
    for jobs in JOBS:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "Snakefile").write_text(SNAKEFILE.format(jobs=jobs), encoding="utf-8")
            command = [executable, "--cores", "2", "--scheduler", "greedy", "--quiet", "all"]
            for name, options in (("dry-run", ["--dry-run"]), ("run", [])):
                call = partial(subprocess.run, [*command, *options], cwd=folder, check=True)
                times[name].append(seconds(partial(call, capture_output=True)))
        print(f"scaling: {jobs} jobs", file=sys.stderr, flush=True)
    for name, values in times.items():
        yield [
            name,
            *(f"{s:.1f} ({1e3 * s / n:.0f})" for n, s in zip(JOBS, values, strict=True)),
        ]


def section() -> str:
    """Both tables."""
    return "\n".join(
        [
            table(
                "Growth with the number of images",
                ["path", *(f"{count:,} images" for count in IMAGES)],
                image_rows(),
                "Seconds (milliseconds per image), CNN, 32×32, one thread, one call each.",
            ),
            table(
                "Growth with the number of jobs",
                ["Snakemake", *(f"{count:,} jobs" for count in JOBS)],
                job_rows(),
                "Seconds (milliseconds per job) of Snakemake itself, two cores, greedy scheduler: "
                "jobs that only create a file.",
            ),
        ]
    )
