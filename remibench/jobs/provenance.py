"""Provenance of a result: the libraries, the commit and the machine that made it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from remibench.artifacts.shipped import ROOT
from remibench.components.plugins import plugin_files

LIBRARIES = (
    "adversarial-robustness-toolbox",
    "matplotlib",
    "numpy",
    "pandas",
    "pillow",
    "scikit-learn",
    "scipy",
    "snakemake",
    "torch",
    "torchvision",
)


@cache
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def environment() -> dict[str, Any]:
    """Versions, git commit, checksums of plug-ins and hardware of this process.

    Commit and whether files differ from it are None where this copy of the repository is no git
    repository itself, also where it lies inside another one.
    """
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "cpu": _cpu_model(),
        "cpu_count": os.cpu_count(),
        "git_commit": _git("rev-parse", "HEAD"),
        "git_modified": None if changes is None else bool(changes),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "platform": platform.platform(),
        "plugins": plugin_digests(),
        "python": platform.python_version(),
        "remibench": importlib.metadata.version("remibench"),
    }


def plugin_digests() -> dict[str, str]:
    """The SHA-256 of every file of the active plug-ins."""
    return {str(file): _file_digest(file) for _, file in sorted(plugin_files().items())}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*arguments: str) -> str | None:
    """What git says of this repository, None where it is none; another one is not asked."""
    # GIT_DIR and the like point to whichever repository somebody works in.
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def ask(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, env=own, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if Path(ask("rev-parse", "--show-toplevel")).resolve() != ROOT.resolve():
            return None
        return ask(*arguments)
    except (OSError, subprocess.CalledProcessError):
        return None
