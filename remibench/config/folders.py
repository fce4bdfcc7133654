"""Folders and files that a config names: where a relative path starts, and where results may go."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from remibench.artifacts.paths import ARTIFACTS, JOBS
from remibench.errors import RemibenchError

REPOSITORY = Path(__file__).parents[2]
# The repository's own folders, and those that its tools make: no results tree may lie in one.
RESERVED = (
    *(".ci", ".git", ".snakemake", ".venv", "benchmarks", "build", "config", "data", "docs"),
    *("envs", "examples", "paper", "profiles", "remibench", "site", "tests", "workflow"),
    "snakemake_logger_plugin_remibench",
)


def _check_text(path: str) -> str:
    if not path.isprintable():
        raise ValueError(f"{path!r} has a sign that is not printable; write another path")
    if "$" in path:
        raise ValueError(
            f"{path!r}: environment variables are not replaced; write the path out (~ is your home)"
        )
    return path


FolderName = Annotated[str, Field(min_length=1), AfterValidator(_check_text)]


def locate(path: str | Path) -> Path:
    """Find a file or folder that a config names.

    Args:
        path: Its path; ``~`` is the user's home. A relative one starts in the working directory
            and, where nothing has that name there, in the repository.

    Returns:
        Its path; a relative one that is nowhere starts in the working directory.
    """
    path = Path(path).expanduser()
    if path.exists() or not (REPOSITORY / path).exists():
        return path
    return REPOSITORY / path


def normalise_results(path: str) -> str:
    """Write a results folder's path as Snakemake compares paths: no ``~``, ``//`` or ``x/``.

    Raises:
        ValueError: ``~`` names an unknown user.
    """
    try:
        return os.path.normpath(Path(path).expanduser())
    except RuntimeError as error:
        raise ValueError(f"{path!r}: {error}; write the path out") from error


def check_results(folder: str | Path) -> None:
    """Refuse a results folder in which a run would write over files that are not its own.

    Raises:
        RemibenchError: It is a file, the working directory, the repository or a folder around one
            of them, a folder of the repository itself, or holds files and no results tree.
    """
    where, fix = f"config: `results`: {folder}", "choose a new or empty folder, like results-mine"
    path = Path(folder).resolve()
    if path.exists() and not path.is_dir():
        raise RemibenchError(f"{where} is a file; move it or choose a folder")
    for name, home in {"the folder you run in": Path.cwd(), "the repository": REPOSITORY}.items():
        if home.resolve().is_relative_to(path):
            raise RemibenchError(f"{where} is {name}, or a folder around it; {fix}")
    for name in RESERVED:
        if path.is_relative_to((REPOSITORY / name).resolve()):
            raise RemibenchError(f"{where} is in the repository's own folder {name}; {fix}")
    if not _is_tree(path) and (other := _first_file(path)):
        raise RemibenchError(f"{where} holds files that no run made, like {other}; {fix}")


def _is_tree(folder: Path) -> bool:
    """Tell whether a folder holds anything that the workflow puts there."""
    patterns = (re.sub(r"\{\w+\}", "*", pattern) for pattern in ARTIFACTS.values())
    scripts = (REPOSITORY / "workflow" / "scripts").glob("*.py")  # most are named as their rule
    logs = (f"logs/{rule}" for rule in {*JOBS, *(f"{script.stem}.log" for script in scripts)})
    places = ("provenance.json", *(p for p in patterns if "/" in p), *logs)
    return any(next(folder.glob(place), None) for place in places)


def _first_file(folder: Path) -> Path | None:
    """A file of a folder that is not hidden, or None."""
    for parent, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        for file in files:
            if not file.startswith("."):
                return Path(parent, file)
    return None
