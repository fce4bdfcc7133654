"""Resources of jobs: the ``resources:`` of every rule, from the architectures' declarations.

A laptop ignores it. A workstation keeps to it where its profile states totals, a cluster always.
Every attempt asks for as much more as the first, so that too low a figure costs time and no result.

An architecture's module declares ``RESOURCES``: for each of ``RULES`` the memory in MB and the time
in minutes of a job at the paper's size: 64×64 pixels, 17,500 training images, 50 epochs, batches of
64, bf16 (fp32 holds activations twice as large: a second attempt has room for them). For those of
the package, memory is the peak measured with 200 training images of three channels, and 1,000 MB
for all those of CIFAR-10; time is, of training, twice what the speed measured in bf16 gives, about
what fp32 takes, and the rest are estimates from the same speeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from remibench.components.declarations import constant
from remibench.components.registry import components


class Need(NamedTuple):
    """Resources that the first attempt of a job asks for, on one CPU core.

    Attributes:
        mem_mb: Memory in MB.
        runtime: Time limit in minutes.
    """

    mem_mb: int
    runtime: int


RULES = (
    "train_model",
    "fit_attack",
    "score_members",
    "measure_losses",
    "unlearn",
    "make_control",
    "evaluate",
)
SMALL = Need(1_000, 30)  # all other rules: datasets, forget sets, gathering, tables and figures
CUDA_MB = 3_000  # what CUDA's libraries take of the host's memory: an estimate, never measured


def job_resources(rule: str, device: str) -> dict[str, int | Callable[..., int]]:
    """The resources of a rule, as its ``resources:`` wants them: values, or functions of the job.

    ``mem_mb``, ``runtime`` (minutes), ``gpu`` (1 on CUDA) and ``vram_mb``, memory on the GPU: on
    CUDA an estimate, what the job takes on the CPU. An architecture that does not declare a rule
    asks for the most of those that do.

    Args:
        rule: One of ``RULES``; any other is small and needs no GPU.
        device: ``cpu`` or ``cuda``.
    """
    gpu = int(device == "cuda" and rule in RULES)
    known = {
        architecture: Need(*declared[rule])
        for architecture, file in components("models").items()
        if rule in (declared := constant(file, "RESOURCES", {}))
    } or {"": SMALL}
    most = Need(*map(max, zip(*known.values(), strict=True)))

    def need(wildcards: Any) -> Need:
        return known.get(getattr(wildcards, "architecture", ""), most)

    return {
        "mem_mb": lambda wildcards, attempt: attempt * (need(wildcards).mem_mb + gpu * CUDA_MB),
        "runtime": lambda wildcards, attempt: attempt * need(wildcards).runtime,
        "gpu": gpu,
        "vram_mb": lambda wildcards, attempt: attempt * gpu * need(wildcards).mem_mb,
    }
