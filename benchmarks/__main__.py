"""All benchmarks, as Markdown on the standard output; progress on the standard error."""

import logging
import os
import platform
from pathlib import Path

import torch

from benchmarks import hot_paths, scaling, seeds_together, training, workflow
from remibench.jobs.torch_setup import exempt_optimizers_from_compiler, keep_freed_pages


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.processor()


def main() -> None:
    """Print every section."""
    logging.disable(logging.WARNING)  # random labels: "the model has learned next to nothing"
    torch.set_num_threads(1)
    keep_freed_pages()
    exempt_optimizers_from_compiler()
    default_run = workflow.section()  # says at once if there was none
    print(f"{processor()}, {os.cpu_count()} cores, torch {torch.__version__}.", end="\n\n")
    for module in (training, hot_paths, seeds_together, scaling):
        print(module.section(), flush=True)
    print(default_run)


if __name__ == "__main__":  # processes of the training benchmark import this file
    main()
