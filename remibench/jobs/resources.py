"""What jobs ask for: the one table behind the ``resources:`` of every rule.

A laptop ignores it. A workstation keeps to it where its profile states totals, a cluster always.
Every attempt asks for as much more as the first, so that too low a figure costs time and no result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Need(NamedTuple):
    """What the first attempt of a job asks for, on one CPU core.

    Attributes:
        mem_mb: Memory in MB.
        runtime: Time limit in minutes.
    """

    mem_mb: int
    runtime: int


# At the paper's size: 64×64 pixels, 17,500 training images, 50 epochs, batches of 64, bf16 (fp32
# holds activations twice as large: a second attempt has room for them). Memory: the peak measured
# with 200 training images of three channels, and 1,000 MB for all those of CIFAR-10. Time: of
# training, twice what the speed measured in bf16 gives, about what fp32 takes; the rest are
# estimates from the same speeds.
NEEDS = {
    "train_model": {
        "cnn": Need(2_000, 40),
        "resnet18": Need(2_500, 240),
        "xception": Need(3_000, 600),
        "vgg19": Need(7_000, 1_200),
    },
    "fit_attack": {
        "cnn": Need(2_500, 30),
        "resnet18": Need(2_500, 30),
        "xception": Need(3_000, 60),
        "vgg19": Need(4_500, 120),
    },
    "score_members": {
        "cnn": Need(2_000, 15),
        "resnet18": Need(2_000, 15),
        "xception": Need(2_500, 15),
        "vgg19": Need(3_500, 30),
    },
    "measure_losses": {
        "cnn": Need(2_000, 15),
        "resnet18": Need(2_000, 15),
        "xception": Need(2_500, 15),
        "vgg19": Need(3_500, 30),
    },
    "make_control": {
        "cnn": Need(2_000, 15),
        "resnet18": Need(2_000, 15),
        "xception": Need(2_500, 15),
        "vgg19": Need(3_500, 30),
    },
    "unlearn": {
        "cnn": Need(2_500, 40),
        "resnet18": Need(3_000, 240),
        "xception": Need(5_000, 600),
        "vgg19": Need(8_000, 1_200),
    },
    "evaluate": {
        "cnn": Need(2_500, 15),
        "resnet18": Need(2_500, 30),
        "xception": Need(3_500, 60),
        "vgg19": Need(4_500, 120),
    },
}
# Of all other rules: datasets, forget sets, gathering, tables and figures.
SMALL = Need(1_000, 30)
CUDA_MB = 3_000  # what CUDA's libraries take of the host's memory: an estimate, never measured


def job_resources(rule: str, device: str) -> dict[str, int | Callable[..., int]]:
    """The resources of a rule, as its ``resources:`` wants them: values, or functions of the job.

    ``mem_mb``, ``runtime`` (minutes), ``gpu`` (1 on CUDA) and ``vram_mb``, memory on the GPU: on
    CUDA an estimate, what the job takes on the CPU. An architecture that is not in the table asks
    for the most of those that are.

    Args:
        rule: A rule of ``NEEDS``; any other is small and needs no GPU.
        device: ``cpu`` or ``cuda``.
    """
    gpu = int(device == "cuda" and rule in NEEDS)

    def need(wildcards: Any) -> Need:
        known = NEEDS.get(rule, {"": SMALL})
        default = Need(*map(max, zip(*known.values(), strict=True)))
        return known.get(getattr(wildcards, "architecture", ""), default)

    return {
        "mem_mb": lambda wildcards, attempt: attempt * (need(wildcards).mem_mb + gpu * CUDA_MB),
        "runtime": lambda wildcards, attempt: attempt * need(wildcards).runtime,
        "gpu": gpu,
        "vram_mb": lambda wildcards, attempt: attempt * gpu * need(wildcards).mem_mb,
    }
