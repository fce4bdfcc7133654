"""Walk a results tree and say what does not belong in it.

Every artifact is read as a job reads it: whole, and the one that its path says. Then it is compared
with the others: it was made from the files that are there now, with the settings of its like, and
from the same as what its job wrote beside it; its cell is one of ``config.yaml``; and the gathered
tables hold the rows of the single jobs' tables, each once.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from remibench.analysis.gather import join, join_histories
from remibench.artifacts.identity import KEY, fingerprint, sha256, table_origin
from remibench.artifacts.io import array_identity, load_array, load_arrays, load_json, load_tensors
from remibench.artifacts.paths import ARTIFACTS, IDENTIFIED, identify, place
from remibench.artifacts.tables import TEXT, load_table
from remibench.config.variants import method_of
from remibench.errors import RemibenchError, one_line

JOBS = (  # artifacts that one job writes
    ("images", "labels", "metadata", "attributes"),
    ("model", "training_history"),
    ("attack", "attack_quality"),
    ("unlearned", "unlearning_history", "cost"),
    ("metrics", "predictions"),
)
ALIKE = ("splits", "model", "forget_set", "predictions")  # made with the same settings in all cells


class Found(NamedTuple):
    """An artifact of a tree: its path, what it is, and what it says of its origin.

    A table has the digest of both, ``made_from``, alone: its ``config`` and ``inputs`` are empty.
    """

    path: Path
    name: str
    axes: dict[str, str]
    made_from: str
    config: str
    inputs: dict[str, str]


def check(results: str | Path) -> list[str]:
    """Walk a results tree.

    Args:
        results: The tree.

    Returns:
        A line for everything that does not belong.

    Raises:
        RemibenchError: There is no such tree, or its config cannot be read.
    """
    results = Path(results)
    if not results.is_dir():
        raise RemibenchError(f"{results}: no such results tree; name its folder")
    artifacts, lines = [], []
    for path in sorted(_files(results)):
        try:
            artifacts.append(_read(path, path.relative_to(results)))
        except RemibenchError as error:
            lines.append(str(error))
    foreign = set(_outside_the_grid(results, artifacts))
    config = results / ARTIFACTS["config"]
    lines += [f"{path}: its cell is none of {config}" for path in sorted(foreign)]
    artifacts = [found for found in artifacts if found.path not in foreign]
    for compare in (_other_inputs, _other_jobs, _other_settings, _other_rows):
        lines += compare(results, artifacts)
    return [one_line(line) for line in lines]  # paths are quoted in them, too


def _read(path: Path, relative: Path) -> Found:
    """Read an artifact as jobs do, and what it says of its origin."""
    identity = identify(relative)
    if identity is None or place(relative) != relative.as_posix():
        raise RemibenchError(f"{path}: no artifact of a results tree lies here")
    stated: Mapping[str, Any] | None = None
    made_from = ""
    match path.suffix:
        case ".safetensors":
            stated = load_tensors(path, {})[1].get(KEY)
        case ".npy":
            load_array(path, mmap=True)
            stated = array_identity(path)
        case ".npz":
            load_arrays(path)
            with np.load(path, allow_pickle=False) as file:
                stated = json.loads(str(file[KEY])) if KEY in file else None
        case ".json":
            load_json(path)
            stated = json.loads(path.read_text(encoding="utf-8")).get(KEY)
        case _:
            load_table(path, TEXT)
            with path.open(newline="", encoding="utf-8") as file:
                made_from = table_origin(next(csv.DictReader(file)).get(KEY, ""))
    if not made_from and "inputs" not in (stated or {}):
        raise RemibenchError(f"{path}: it does not state what it was made from")
    if stated is None:
        return Found(path, *identity, made_from, "", {})
    return Found(path, *identity, fingerprint(stated), stated["config"], stated["inputs"])


def _files(results: Path) -> Iterator[Path]:
    """Files in the folders of artifacts, without hidden ones."""
    for folder in sorted({pattern.partition("/")[0] for pattern in IDENTIFIED.values()}):
        for path in (results / folder).rglob("*"):
            if path.is_file() and not path.name.startswith("."):
                yield path


def _outside_the_grid(results: Path, artifacts: list[Found]) -> Iterator[Path]:
    """Artifacts of cells that the config does not have: of an earlier config, or foreign."""
    path = results / ARTIFACTS["config"]
    if not path.exists():
        return
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        grid = {
            "dataset": {*config["datasets"]},
            "architecture": {*config["architectures"]},
            "seed": {str(seed) for seed in config["seeds"]},
            "ratio": {str(ratio) for ratio in config["forget_ratios"]},
            "attack": {*config["attacks"]},
            "method": {"original", "retrain", *config["methods"], *config.get("controls", [])},
        }
        variants = {*config.get("variants", {})}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, yaml.YAMLError) as error:
        raise RemibenchError(f"cannot read {path}: {type(error).__name__}: {error}") from error
    for found in artifacts:
        for axis, values in grid.items():
            value = found.axes.get(axis)
            if value not in {None, *values} and (
                axis != "method" or "~" not in value or method_of(value) not in variants
            ):
                yield found.path
                break


def _other_inputs(results: Path, artifacts: list[Found]) -> Iterator[str]:
    """Artifacts that were made from other files than those that are there now."""
    digests: dict[str, str] = {}
    for found in artifacts:
        inputs = found.inputs
        if found.name == "metadata":  # which states the images beside it
            images = place(found.path.with_name("images.npy"))
            inputs = {images: load_json(found.path)["images_sha256"]}
        for at, stated in inputs.items():
            # Its own place is a checkpoint's, from another tree; others that are none are outside.
            if place(at) != at or at == place(found.path):
                continue
            if at not in digests and (results / at).is_file():
                digests[at] = sha256(results / at)
            if digests.get(at, stated) != stated:
                yield (
                    f"{found.path}: it was made from another {at}: SHA-256 {stated}, expected "
                    f"{digests[at]}"
                )


def _other_jobs(results: Path, artifacts: list[Found]) -> Iterator[str]:
    """Artifacts of one job that were made from different files or settings."""
    jobs: dict[tuple, list[Found]] = defaultdict(list)
    for found in artifacts:
        names = next((names for names in JOBS if found.name in names), (found.name,))
        jobs[names, *found.axes.values()].append(found)
    for first, *others in jobs.values():
        for other in others:
            if first.made_from != other.made_from:
                yield f"{other.path}: it is not of the job that wrote {first.path}"


def _other_settings(results: Path, artifacts: list[Found]) -> Iterator[str]:
    """Artifacts that were made with other settings than most of their like."""
    alike: dict[str, list[Found]] = defaultdict(list)
    for found in artifacts:
        if found.name in ALIKE and not (found.name == "model" and _is_brought_in(found)):
            alike[found.name].append(found)
    for group in alike.values():
        common, count = Counter(found.config for found in group).most_common(1)[0]
        for found in group:
            if found.config != common:
                yield f"{found.path}: its settings are not those of {count} others like it"


def _is_brought_in(model: Found) -> bool:
    """Whether a model was made of a checkpoint, which is no artifact of this tree or in its place.

    Its settings hold the checkpoint's SHA-256, so that no two of them are alike.
    """
    here = {place(model.path)}
    return any(identify(at) is None or at in here for at in model.inputs)


def _other_rows(results: Path, artifacts: list[Found]) -> Iterator[str]:
    """Gathered tables that do not hold the rows of the single jobs' tables."""
    for name, of, gather in (
        ("evaluation", "metrics", join),
        ("attacks", "attack_quality", join),
        ("histories", "unlearning_history", join_histories),
        ("across_seeds", "compared", join),
    ):
        path = results / ARTIFACTS[name]
        # Variants are gathered by the targets that search.
        files = [
            str(found.path)
            for found in artifacts
            if found.name == of and "~" not in found.axes.get("method", "")
        ]
        if not path.exists() or not files:
            continue
        try:
            missing, extra = _compare(gather(files), load_table(path, TEXT))
        except RemibenchError as error:
            yield str(error)
            continue
        if missing or extra:
            yield f"{path}: it lacks {missing} rows of the {of} files and has {extra} that none has"


def _compare(expected: pd.DataFrame, found: pd.DataFrame) -> tuple[int, int]:
    """Numbers of rows that only the first and only the second table has."""
    columns = sorted({*expected, *found})
    first, second = (
        Counter(table.reindex(columns=columns).to_csv(index=False).splitlines()[1:])
        for table in (expected, found)
    )
    return (first - second).total(), (second - first).total()
