"""Seconds of planned jobs, from the ``benchmark:`` files of earlier ones.

A job is taken to last start-up + work / speed, with its work counted in operations
(:mod:`remibench.planning.work`) and the speed taken from the nearest records of the same device
(:class:`Timings`). The file of a job that was interrupted and resumed times its last part alone;
medians over several jobs soften that.
"""

from __future__ import annotations

import ast
import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from remibench.artifacts.paths import ARTIFACTS
from remibench.components.registry import components
from remibench.config.model import Config
from remibench.data import dataset_info
from remibench.errors import RemibenchError
from remibench.planning.jobs import Job, name_kind
from remibench.planning.work import count_images, count_passes, count_work, model_spec, role_sizes

TIMED = {  # rules whose time is projected, and the params that it depends on
    "prepare_dataset": ("image_size", "limit"),
    "train_model": ("training",),
    "fit_attack": ("fit",),
    "score_members": (),
    "measure_losses": (),
    "unlearn": ("parameters", "training"),
    "make_control": ("ratios",),
    "evaluate": ("ratios", "metrics"),
}
QUALITIES = ("measured", "scaled", "borrowed")
SHORTEST = 3  # start-ups that a job must last for its time to tell a speed
_NPY_HEADER = 128  # bytes, of one- to four-dimensional arrays


@dataclass(frozen=True)
class Task:
    """Determinants of a job's time; jobs that differ in the seed alone are the same task.

    Attributes:
        kind: The rule, with the attack or method: jobs of one kind share a speed.
        device: ``cpu`` or ``cuda``.
        dataset, architecture: The job's cell; the architecture is "" where there is none.
        precision: Precision of its training steps, or "".
        details: All that makes two tasks the same: wildcards but seed and role, params, data.
        work: Operations (:func:`count_work`), or None where they cannot be counted.
    """

    kind: str
    device: str
    dataset: str
    architecture: str
    precision: str
    details: str
    work: float | None

    @property
    def may_stop(self) -> bool:
        """True if the work is an upper bound: a method with ``max_epochs`` may end before."""
        return "max_epochs" in json.loads(self.details)["params"].get("parameters", {})


class Record(NamedTuple):
    """One earlier job and its wall-clock seconds."""

    task: Task
    seconds: float


class Projection(NamedTuple):
    """A job's projected seconds, or None, and how they are known."""

    seconds: float | None
    quality: str


def describe_task(
    rule: str,
    wildcards: Mapping[str, str],
    params: Mapping[str, Any],
    images: int,
    image_size: int,
    out_of_sample_fraction: float,
) -> Task:
    """Reduce a job of one of the rules in ``TIMED`` to what its time depends on.

    Args:
        rule, wildcards, params: Values that Snakemake records in a benchmark file.
        images: Number of prepared images of the dataset.
        image_size: Side of the images in pixels.
        out_of_sample_fraction: The split's.
    """
    dataset, architecture = wildcards["dataset"], wildcards.get("architecture", "")
    precision = params.get("training", {}).get("precision", "")
    if architecture:
        spec = model_spec(dataset, architecture, image_size)
        roles = role_sizes(images, out_of_sample_fraction)
        work = count_work(rule, wildcards, params, spec, roles)
        if rule == "unlearn":
            precision = count_passes(wildcards, params, roles).precision or precision
    else:
        work = images * len(dataset_info(dataset).mean) * image_size**2
    details = {
        "wildcards": {k: v for k, v in wildcards.items() if k not in ("seed", "role")},
        "params": {name: params[name] for name in TIMED[rule]},
        "images": images,
        "image_size": image_size,
    }
    return Task(
        kind=name_kind(rule, wildcards),
        device=params.get("device", "cpu"),
        dataset=dataset,
        architecture=architecture,
        precision=precision,
        details=json.dumps(details, sort_keys=True),
        work=work,
    )


def planned_task(cfg: Config, job: Job) -> Task:
    """The task of a job that is still to be run, of one of the rules in ``TIMED``."""
    cell = job.wildcards
    params: dict[str, Any] = {"device": cfg.device}
    if job.rule == "prepare_dataset":
        params = {"image_size": cfg.data.image_size, "limit": cfg.data.limit}
    elif job.rule == "fit_attack":
        params["fit"] = getattr(
            getattr(cfg.adversaries, cell["adversary"]), cell["attack"]
        ).model_dump()
    elif job.rule == "evaluate":
        params |= {"ratios": cfg.forget_ratios, "metrics": cfg.metrics}
    elif job.rule == "make_control":
        params["ratios"] = cfg.forget_ratios
    else:
        params["training"] = cfg.training.model_dump()
    if job.rule == "unlearn":
        params["parameters"] = cfg.parameters(
            cell["method"], cell["dataset"], cell["architecture"], float(cell["ratio"])
        )
    images = count_images(cell["dataset"], cfg.data.limit)
    fraction = cfg.data.out_of_sample_fraction
    return describe_task(job.rule, cell, params, images, cfg.data.image_size, fraction)


def read_records(tree: Path, out_of_sample_fraction: float) -> tuple[list[Record], list[str]]:
    """Read the extended benchmark files of a results tree, finished or not.

    A record tells by itself what was timed: Snakemake writes its wildcards, its params and the
    sizes of its inputs, from which the number and the side of the images follow. Only the split's
    ``out_of_sample_fraction`` is in no record; the planned config's is used.

    Args:
        tree: A results folder.
        out_of_sample_fraction: The planned config's.

    Returns:
        The records, and a line for every file that was skipped because it is damaged.
    """
    records, warnings, plain, older = [], [], 0, 0
    for path in sorted((tree / "benchmarks").rglob("*.tsv")):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
            if not rows:
                raise ValueError("no row")
            if "params" not in rows[0]:
                plain += 1
                continue
            records += [
                _parse_record(row, tree, out_of_sample_fraction)
                for row in rows
                if row["rule_name"] in TIMED
            ]
        except KeyError:
            older += 1
        except (OSError, ValueError, SyntaxError, TypeError, csv.Error) as error:
            text = " ".join(str(error).split())
            warnings.append(f"skipped {path}: {type(error).__name__}: {text}")
        except RemibenchError as error:
            warnings.append(f"skipped {path}: {error}")
    if plain:
        warnings.append(f"{tree}: {plain} benchmark files lack params (no --benchmark-extended)")
    if older:
        warnings.append(f"{tree}: {older} benchmark files of another version of the workflow")
    return records, warnings


def _parse_record(row: Mapping[str, str], tree: Path, out_of_sample_fraction: float) -> Record:
    rule, seconds = row["rule_name"], float(row["s"])
    wildcards, params, sizes = (
        ast.literal_eval(row[column]) for column in ("wildcards", "params", "input_size_mb")
    )
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{row['s']} seconds")
    for axis, package in (("dataset", "data"), ("architecture", "models")):
        if axis in wildcards and wildcards[axis] not in components(package):
            raise ValueError(f"unknown {axis} {wildcards[axis]!r}")
    dataset = wildcards["dataset"]
    if rule == "prepare_dataset":
        images, side = count_images(dataset, params["limit"]), params["image_size"]
    else:
        content = {
            name: round(size * 2**20) - _NPY_HEADER
            for path, size in sizes.items()
            if (name := Path(path).name) in ("images.npy", "labels.npy")
        }
        images = content["labels.npy"] // 8
        side = math.isqrt(content["images.npy"] // (images * len(dataset_info(dataset).mean)))
    task = describe_task(rule, wildcards, params, images, side, out_of_sample_fraction)
    if task.may_stop:
        # It stopped by its own rule: without the number of epochs, the time tells no speed.
        cost = tree / ARTIFACTS["cost"].format(**wildcards)
        work = None
        if cost.exists():
            ran = {"max_epochs": json.loads(cost.read_text(encoding="utf-8"))["epochs"]}
            params |= {"parameters": params["parameters"] | ran}
            fraction = out_of_sample_fraction
            work = describe_task(rule, wildcards, params, images, side, fraction).work
        task = replace(task, work=work)
    return Record(task, seconds)


class Timings:
    """Projection of the seconds of planned jobs from the records of earlier ones.

    Attributes:
        startup: Seconds that any job takes, by device: the shortest one on record. Preparing
            datasets imports no torch and is left out.
        short: Number of records that lasted less than ``SHORTEST`` start-ups. The rest of their
            time is mostly chance, so they tell no speed.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        records = list(records)
        self.startup: dict[str, float] = {}
        for task, seconds in records:
            if task.architecture:
                self.startup[task.device] = min(self.startup.get(task.device, math.inf), seconds)
        self.short = 0
        self._same: dict[tuple, list[float]] = defaultdict(list)
        self._rates: dict[tuple, list[float]] = defaultdict(list)  # seconds per operation
        for task, seconds in records:
            self._same[task.kind, task.device, task.details].append(seconds)
            startup = self._startup(task)
            if seconds < SHORTEST * startup:
                self.short += 1
            elif task.work:
                for key in _groups(task):
                    self._rates[key].append((seconds - startup) / task.work)

    def project(self, task: Task) -> Projection:
        """Project a task's seconds from the records that are nearest to it.

        Of several, the median counts: of the seconds for the same task, of the speed otherwise.
        """
        same = self._same.get((task.kind, task.device, task.details))
        if same:
            return Projection(median(same), "measured")
        for quality, key in _levels(task) if task.work is not None else ():
            if key in self._rates:
                seconds = self._startup(task) + task.work * median(self._rates[key])
                return Projection(seconds, quality)
        return Projection(None, "unknown")

    def _startup(self, task: Task) -> float:
        return self.startup[task.device] if task.architecture else 0.0


def _groups(task: Task) -> list[tuple[str, ...]]:
    """The groups of jobs that a task belongs to, narrowest first."""
    kind, network = (task.kind, task.device), (task.architecture, task.precision)
    return [(*kind, *network, task.dataset), (*kind, *network), (*kind, task.architecture), kind]


def _levels(task: Task) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Groups that may tell a task's speed, nearest first, and the quality of the figure."""
    yield from zip(("scaled", "scaled", "borrowed", "borrowed"), _groups(task), strict=True)
    if task.architecture:  # all that computes with a model borrows training's speed at last
        for key in _groups(replace(task, kind="train_model"))[2:]:
            yield "borrowed", key
