"""What a config will take, before it runs: jobs, disk space, and hours projected from earlier runs.

``python -m remibench.planning.plan CONFIG... [--measured RESULTS...]``, or
``make plan CONFIG=...``.

Jobs are what ``snakemake --summary`` says is still to be done. Sizes are computed from the shapes
of the models. Times come from the ``benchmark:`` files of earlier runs: a job is taken to last
start-up + work / speed, with its work counted in operations (:func:`count_work`) and the speed
taken from the nearest records of the same device (:class:`Timings`). The file of a job that was
interrupted and resumed times its last part alone; medians over several jobs soften that.
"""

from __future__ import annotations

import argparse
import ast
import csv
import json
import math
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from snakemake.common.configfile import load_configfile
from snakemake.utils import available_cpu_count, update_config
from snakemake_interface_common.exceptions import WorkflowError

from remibench.attacks.blackbox import BlackBoxAttack
from remibench.attacks.whitebox import WhiteBoxAttack
from remibench.components.registry import method_of, methods, modules, plugin_modules
from remibench.config.model import ORIGINAL, Config, load_config
from remibench.data import dataset_info
from remibench.data.splits import (
    CALIBRATED_ON,
    EVALUATED_ON,
    FITTED_ON,
    JUDGED_ON,
    split_dataset,
)
from remibench.errors import RemibenchError
from remibench.models import ModelSpec, count_parameters, forward_flops

_CELL = r"(?P<dataset>[^/]+)/(?P<architecture>[^/]+)/(?P<seed>\d+)"
OUTPUTS = {  # below the results folder, of every rule that has wildcards
    "prepare_dataset": r"data/(?P<dataset>[^/]+)/",
    "split_dataset": r"data/(?P<dataset>[^/]+)/",
    "train_model": rf"models/{_CELL}/(?P<role>target|shadow)\.",
    "fit_attack": rf"attacks/{_CELL}/(?P<attack>mf|mia)_(?P<access>\w+)\.",
    "score_members": rf"forget/{_CELL}/scores\.npy",
    "measure_losses": rf"forget/{_CELL}/losses\.npy",
    "select_forget_set": rf"forget/{_CELL}/(?P<ratio>0\.\d+)\.npy",
    "unlearn": rf"unlearned/{_CELL}/(?P<method>[^/]+)/(?P<ratio>0\.\d+)\.",
    "make_control": rf"unlearned/{_CELL}/(?P<method>[^/]+)/(?P<ratio>0\.\d+)\.",
    "evaluate": rf"evaluation/{_CELL}/(?P<method>[^/]+)\.(?:csv|npz)",
    "evaluate_across_seeds": (
        r"across_seeds/(?P<dataset>[^/]+)/(?P<architecture>[^/]+)/(?P<method>[^/]+)\.csv"
    ),
}
TIMED = {  # rules whose time is projected, and the params that it depends on
    "prepare_dataset": ("image_size", "limit"),
    "train_model": ("training",),
    "fit_attack": ("fit",),
    "score_members": (),
    "measure_losses": (),
    "unlearn": ("parameters", "training"),
    "evaluate": ("ratios", "metrics"),
}
QUALITIES = ("measured", "scaled", "borrowed")
SHORTEST = 3  # start-ups that a job must last for its time to tell a speed
_BLOCK = 4096  # bytes that a small file takes on disk
_NPY_HEADER = 128  # bytes, of one- to four-dimensional arrays


class Job(NamedTuple):
    """A job of the workflow."""

    rule: str
    wildcards: Mapping[str, str]
    pending: bool


@dataclass(frozen=True)
class Task:
    """What the time of a job depends on; jobs that differ in the seed alone are the same task.

    Attributes:
        kind: The rule, with the access or method: jobs of one kind share a speed.
        device: ``cpu`` or ``cuda``.
        dataset, architecture: Of the job; the architecture is "" where there is none.
        precision: Of its training steps, or "".
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


class Record(NamedTuple):
    """One earlier job and its wall-clock seconds."""

    task: Task
    seconds: float


class Projection(NamedTuple):
    """A job's projected seconds, or None, and how they are known."""

    seconds: float | None
    quality: str


def read_config(paths: Sequence[str]) -> Config:
    """Read ``config.yaml`` and lay the given files over it, as ``--configfile`` does.

    Raises:
        RemibenchError: A file cannot be read, or the configuration is invalid.
    """
    raw: dict[str, Any] = {}
    for path in ("config.yaml", *paths):
        try:
            update_config(raw, load_configfile(path))
        except (WorkflowError, OSError, UnicodeDecodeError) as error:
            reason = " ".join(str(getattr(error, "strerror", None) or error).split())
            raise RemibenchError(f"config: {path}: {reason}") from error
    return load_config(raw)


def summarise_workflow(paths: Sequence[str], target: str) -> str:
    """Return the table of ``snakemake --summary`` for a target; nothing is run or written.

    Raises:
        RemibenchError: Snakemake failed; the message is its last line.
    """
    overlays = ["--configfile", *paths] if paths else []
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", target, "--summary", *overlays],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise RemibenchError(f"snakemake --summary failed: {lines[-1].strip()}")
    return done.stdout


def list_jobs(summary: str, results: str) -> list[Job]:
    """Group the rows of Snakemake's summary, one per output file, into jobs.

    Args:
        summary: Tab-separated, with a header; a rule without pattern in ``OUTPUTS`` has one job.
        results: The config's results folder.

    Raises:
        RemibenchError: A path is not what the rule is known to write.
    """
    _, header, rows = summary.partition("output_file\t")
    jobs: dict[tuple, bool] = {}
    for row in csv.DictReader((header + rows).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        rule, path = row["rule"], row["output_file"].removeprefix(f"{results}/")
        found = re.match(OUTPUTS.get(rule, ""), path)
        if found is None:
            raise RemibenchError(
                f"rule {rule} writes {row['output_file']}, which planning does not know; "
                "adapt OUTPUTS of remibench/planning/plan.py"
            )
        job = (rule, tuple(found.groupdict().items()))
        jobs[job] = jobs.get(job, False) or row["plan"] == "update pending"
    return [Job(rule, dict(cell), pending) for (rule, cell), pending in jobs.items()]


@cache
def model_spec(dataset: str, architecture: str, image_size: int) -> ModelSpec:
    """The classifier of a cell, known without any file of the dataset."""
    info = dataset_info(dataset)
    return ModelSpec(
        architecture,
        channels=len(info.mean),
        image_size=image_size,
        classes=len(info.class_names),
        mean=tuple(info.mean),
        std=tuple(info.std),
    )


_image_flops = cache(forward_flops)  # a trace of the model, asked for every job


@cache
def role_sizes(images: int, out_of_sample_fraction: float) -> dict[str, int]:
    """Number of images of every role."""
    roles = split_dataset(images, 0, out_of_sample_fraction)
    return {name: len(indices) for name, indices in roles.items()}


@cache
def attack_size(access: str, spec: ModelSpec) -> int:
    """Number of values in an attack's checkpoint; allocates none of them.

    That of a plug-in is not known: it is taken to be as large as the white-box attack.
    """
    with torch.device("meta"):
        if access == "blackbox":
            attack = BlackBoxAttack(spec.classes)
        else:
            architecture = import_module(f"remibench.models.{spec.architecture}")
            _, width = architecture.build_backbone(spec.channels, spec.image_size)
            attack = WhiteBoxAttack(spec.classes, width)
    return sum(tensor.numel() for tensor in attack.state_dict().values())


def count_images(dataset: str, limit: int | None) -> int:
    """Number N of images that a dataset is prepared to."""
    published = dataset_info(dataset).images
    return published if limit is None else min(limit, published)


def count_work(
    rule: str,
    wildcards: Mapping[str, str],
    params: Mapping[str, Any],
    spec: ModelSpec,
    roles: Mapping[str, int],
    epochs: int | None = None,
) -> float:
    """Floating-point operations of a job.

    With F operations for an image's forward pass, a training step's image costs 3F. Of n training
    images a share r is forgotten, f = r·n:

    - train_model: 3F · n · epochs
    - fit_attack: F · (images fitted on + judged on) + 6 · (attack's values) · fitted on · epochs
    - score_members, measure_losses: F · n
    - unlearn, retrain: 3F · (n − f) · epochs; fisher: 3F · (n − f)
    - unlearn, remi: per epoch 4F·f (forget and out-of-sample branch), 3F per image of L_cls, and
      F per image of the defender for the stopping rule, which is asked once more at the start
    - unlearn, a plug-in: 3F · (n − f) · its parameter ``epochs``, else the target's: a guess
    - evaluate: for every ratio F · (n + test + out of sample + shadow_test), and 3F·f for
      efficacy; once more F · shadow_test, under the shadow model

    Args:
        rule, wildcards, params: Of the job, as Snakemake records them.
        spec: Of its model.
        roles: Number of images of every role.
        epochs: Of ReMI, if they are known; else ``max_epochs``, an upper bound.
    """
    flops, train = _image_flops(spec), roles["target_train"]
    forget = float(wildcards.get("ratio", 0)) * train
    if rule == "train_model":
        return 3 * flops * train * params["training"]["epochs"]
    if rule in ("score_members", "measure_losses"):
        return flops * train
    if rule == "fit_attack":
        fitted, judged = (
            sum(roles[role] for role in use[wildcards["attack"]]) for use in (FITTED_ON, JUDGED_ON)
        )
        epochs = params["fit"].get("epochs") or 1
        steps = 6 * attack_size(wildcards["access"], spec) * fitted * epochs
        return flops * (fitted + judged) + steps
    if rule == "evaluate":
        backward = 3 * train if "efficacy" in params["metrics"] else 0
        held = roles[CALIBRATED_ON]
        images = train + roles["test"] + roles["out_of_sample"] + held
        return flops * (held + sum(images + ratio * backward for ratio in params["ratios"]))
    module = methods()[method_of(wildcards["method"])].module
    if module == "retrain":
        return 3 * flops * (train - forget) * params["training"]["epochs"]
    if module == "fisher":
        return 3 * flops * (train - forget)
    if module == "remi":
        given = params["parameters"]
        batch, others = given["batch_size"], given["classification_batch_size"]
        steps, images = math.ceil(forget / batch), forget
        if given["epoch_over"] == "retain":
            steps = math.ceil((train - forget) / others)
            images = steps * batch
        out_of_sample = 3 if given["out_of_sample_gradient"] else 1
        if given.get("reference") == "target":  # scored once
            out_of_sample = 0
        snapshot = forget + roles["out_of_sample"]
        epoch = (3 + out_of_sample) * images + 3 * steps * others + snapshot
        return flops * (snapshot + epoch * (given["max_epochs"] if epochs is None else epochs))
    if module in ("fine_tune", "neggrad_plus", "random_labels", "salun", "bad_teacher", "scrub"):
        given = params["parameters"]
        kept = given.get("retain_share", 1) * (train - forget)
        forgotten = {
            "fine_tune": 0,
            "neggrad_plus": kept,  # as many, drawn anew
            "scrub": forget * min(1, given.get("max_steps", 0) / given["epochs"]),
        }.get(module, forget)
        first = {
            "bad_teacher": kept + forget,  # the teachers' outputs
            "scrub": train,
            "salun": 3 * forget,  # the mask
        }.get(module, 0)
        return flops * (first + 3 * (kept + forgotten) * given["epochs"])
    if module == "ssd":
        return 3 * flops * train
    passes = params["parameters"].get("epochs") or params["training"]["epochs"]
    return 3 * flops * (train - forget) * passes


def name_kind(rule: str, wildcards: Mapping[str, str]) -> str:
    """The rule, with the access or method where it has one: jobs that take alike."""
    detail = {"fit_attack": "access", "unlearn": "method"}.get(rule)
    return f"{rule} {method_of(wildcards[detail])}" if detail else rule


def describe_task(
    rule: str,
    wildcards: Mapping[str, str],
    params: Mapping[str, Any],
    images: int,
    image_size: int,
    out_of_sample_fraction: float,
    epochs: int | None = None,
) -> Task:
    """Reduce a job of one of the rules in ``TIMED`` to what its time depends on.

    Args:
        rule, wildcards, params: As Snakemake records them in a benchmark file.
        images: Number of prepared images of the dataset.
        image_size: Side of the images in pixels.
        out_of_sample_fraction: Of the split.
        epochs: See :func:`count_work`.
    """
    dataset, architecture = wildcards["dataset"], wildcards.get("architecture", "")
    kind = name_kind(rule, wildcards)
    if architecture:
        spec = model_spec(dataset, architecture, image_size)
        roles = role_sizes(images, out_of_sample_fraction)
        work = count_work(rule, wildcards, params, spec, roles, epochs)
    else:
        work = images * len(dataset_info(dataset).mean) * image_size**2
    details = {
        "wildcards": {k: v for k, v in wildcards.items() if k not in ("seed", "role")},
        "params": {name: params[name] for name in TIMED[rule]},
        "images": images,
        "image_size": image_size,
    }
    # Second moments are computed in single precision whatever the training does.
    precision = (
        ""
        if kind in ("unlearn fisher", "unlearn ssd")
        else params.get("training", {}).get("precision", "")
    )
    return Task(
        kind=kind,
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
        params["fit"] = getattr(getattr(cfg.attacks, cell["attack"]), cell["access"]).model_dump()
    elif job.rule == "evaluate":
        params |= {"ratios": cfg.forget_ratios, "metrics": cfg.metrics}
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
        out_of_sample_fraction: Of the planned config.

    Returns:
        The records, and a line for every file that was skipped because it is damaged.
    """
    records, warnings, plain = [], [], 0
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
        except (OSError, ValueError, SyntaxError, TypeError, KeyError, csv.Error) as error:
            text = " ".join(str(error).split())
            warnings.append(f"skipped {path}: {type(error).__name__}: {text}")
        except RemibenchError as error:
            warnings.append(f"skipped {path}: {error}")
    if plain:
        warnings.append(f"{tree}: {plain} benchmark files lack params (no --benchmark-extended)")
    return records, warnings


def _parse_record(row: Mapping[str, str], tree: Path, out_of_sample_fraction: float) -> Record:
    rule, seconds = row["rule_name"], float(row["s"])
    wildcards, params, sizes = (
        ast.literal_eval(row[column]) for column in ("wildcards", "params", "input_size_mb")
    )
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"{row['s']} seconds")
    for axis, package in (("dataset", "data"), ("architecture", "models")):
        if axis in wildcards and wildcards[axis] not in modules(package):
            raise ValueError(f"unknown {axis} {wildcards[axis]!r}")
    dataset, epochs = wildcards["dataset"], None
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
    if task.kind.startswith("unlearn") and "max_epochs" in params["parameters"]:
        # It stopped by its own rule: without the number of epochs, the time tells no speed.
        cell = (wildcards[name] for name in ("dataset", "architecture", "seed", "method"))
        cost = tree.joinpath("unlearned", *cell, f"{wildcards['ratio']}.json")
        work = None
        if cost.exists():
            epochs = json.loads(cost.read_text(encoding="utf-8"))["epochs"]
            fraction = out_of_sample_fraction
            work = describe_task(rule, wildcards, params, images, side, fraction, epochs).work
        task = replace(task, work=work)
    return Record(task, seconds)


class Timings:
    """What earlier jobs say of the time of planned ones.

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


def disk_space(cfg: Config, jobs: int) -> dict[str, int]:
    """Bytes of the finished results tree, by kind of artifact.

    Headers and batch-norm statistics of checkpoints (< 1 %) are left out.

    Args:
        cfg: The configuration.
        jobs: Number of all its jobs; each leaves a log, a CSV, a benchmark and metadata.
    """
    sizes: Counter[str] = Counter()
    for dataset in cfg.datasets:
        images, channels = count_images(dataset, cfg.data.limit), len(dataset_info(dataset).mean)
        sizes["prepared images"] += images * channels * cfg.data.image_size**2
        roles = role_sizes(images, cfg.data.out_of_sample_fraction)
        train = roles["target_train"]
        scored = sum(roles[role] for role in (*EVALUATED_ON, "out_of_sample"))
        for architecture in cfg.architectures:
            spec = model_spec(dataset, architecture, cfg.data.image_size)
            model, cells = 4 * count_parameters(spec), len(cfg.seeds)
            candidates = sum(len(cfg.variants_of(method)) for method in cfg.variants)
            methods = len({*cfg.methods, *cfg.controls} - {ORIGINAL}) + candidates
            unlearned = methods * len(cfg.forget_ratios)
            sizes["target and shadow models"] += cells * 2 * model
            sizes["attacks"] += cells * 2 * sum(4 * attack_size(a, spec) for a in cfg.accesses)
            sizes["unlearned models"] += cells * unlearned * model
            # The margin, P(member) of every attack, 4 bytes each, and 1 for the subset.
            outputs = 4 * (1 + 3 * len(cfg.accesses)) + 1
            sizes["scores of images"] += cells * (1 + unlearned) * scored * outputs
            sizes["small files (about)"] += round(
                cells * train * (4 + 8 * sum(cfg.forget_ratios))  # scores and forget sets
            )
    sizes["small files (about)"] += jobs * 4 * _BLOCK
    return dict(sizes)


def render_plan(cfg: Config, jobs: Sequence[Job], records: Sequence[Record], cores: int) -> str:
    """The plan as text: jobs and hours by rule, totals, wall-clock, and disk space."""
    timings = Timings(records)
    tasks = Counter(planned_task(cfg, job) for job in jobs if job.pending and job.rule in TIMED)
    projections = {task: timings.project(task) for task in tasks}
    done = Counter(name_kind(job.rule, job.wildcards) for job in jobs if not job.pending)
    pending = Counter(name_kind(job.rule, job.wildcards) for job in jobs if job.pending)
    lines = [
        f"{'':34}{'to do':>7}{'done':>7}{'hours':>14}"
        + "".join(f"{quality:>10}" for quality in QUALITIES)
        + f"{'unknown':>10}"
    ]
    for name in dict.fromkeys(
        name_kind(job.rule, job.wildcards) for job in sorted(jobs, key=_position)
    ):
        own = {task: count for task, count in tasks.items() if task.kind == name}
        lines.append(
            f"{name:34}{pending[name]:7,}{done[name]:7,}" + _hour_columns(own, projections)
        )
    lines.append(
        f"{'total':34}{pending.total():7,}{done.total():7,}" + _hour_columns(tasks, projections)
    )
    lines += ["", *_explain_hours(tasks, projections, timings, records, cores), ""]
    lines += _explain_disk(cfg, disk_space(cfg, len(jobs)))
    return "\n".join(lines)


def _figure(value: float) -> str:
    """Three significant digits at least, and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):.7f}".rstrip("0").rstrip(".")


def _position(job: Job) -> int:
    """Place of a job's rule in the pipeline; rules that gather come last, in Snakemake's order."""
    return list(OUTPUTS).index(job.rule) if job.rule in OUTPUTS else len(OUTPUTS)


def _hour_columns(tasks: Mapping[Task, int], projections: Mapping[Task, Projection]) -> str:
    seconds: Counter[str] = Counter()
    unknown = 0
    for task, count in tasks.items():
        if projections[task].seconds is None:
            unknown += count
        else:
            seconds[projections[task].quality] += count * projections[task].seconds
    total, number = seconds.total(), f"{unknown:10,}" if unknown else ""
    if not total:
        return f"{'–':>14}{'':30}{number}"
    shares = "".join(f"{seconds[quality] / total:>9.0%} " for quality in QUALITIES)
    return f"{_figure(total / 3600):>14}{shares}{number}"


def _explain_hours(
    tasks: Mapping[Task, int],
    projections: Mapping[Task, Projection],
    timings: Timings,
    records: Sequence[Record],
    cores: int,
) -> Iterator[str]:
    if not tasks:
        yield "Nothing that takes long is left to do."
        return
    devices = sorted({task.device for task in tasks})
    for device in sorted({record.task.device for record in records}.union(devices)):
        number = sum(record.task.device == device for record in records)
        yield f"Earlier jobs on {device}: {number:,}" + (
            f"; their start-up of {timings.startup[device]:.2f} s is part of every job"
            if device in timings.startup
            else ""
        )
    if timings.short:
        yield f"{timings.short:,} of them lasted less than {SHORTEST} start-ups: they tell no speed"
    known = {task: projection for task, projection in projections.items() if projection.seconds}
    if not known:
        yield (
            f"Hours on {' and '.join(devices)} are unknown until something was run there that "
            "lasts: run one cell of this config, then plan again."
        )
        return

    def hours(wanted: Iterable[Task]) -> float:
        return sum(tasks[task] * known[task].seconds for task in wanted) / 3600

    for device, unit in (("cpu", "CPU"), ("cuda", "GPU")):
        own = [task for task in known if task.device == device]
        if own:
            longest = max(own, key=lambda task: known[task].seconds)
            # A GPU is one resource, whatever the number of cores.
            parallel, where = (cores, f"{cores} cores") if unit == "CPU" else (1, "one GPU")
            last = known[longest].seconds / 3600
            least = _figure(max(hours(own) / parallel, last))
            cell = f"{longest.kind}, {longest.dataset} {longest.architecture}".strip()
            yield f"{unit} hours: {_figure(hours(own))}; the longest job: {_figure(last)} ({cell})"
            yield f"On {where}, at 1 thread a job: at least {least} h wall-clock"
    yield "measured  median time of the same job, any seed"
    yield "scaled    by work, at the architecture's speed on another dataset, size or duration"
    yield "borrowed  by work, at another architecture's, precision's or training's speed: rough"
    yield "unknown   jobs that no record tells of; – seconds a job, not counted"
    own = ("unlearn remi_whitebox", "unlearn remi_blackbox")
    remi = [t for t in known if t.kind in own and known[t].quality != "measured"]
    added = plugin_modules("unlearning")
    kinds = {f"unlearn {name}" for name, entry in methods().items() if entry.module in added}
    if guessed := sorted({task.kind for task in tasks} & kinds):
        yield (
            f"{', '.join(guessed)}: a plug-in's work is not known; taken to be training on the "
            "retain set for its `epochs`, or for the target's"
        )
    if remi:
        yield f"Upper bound: {_figure(hours(remi))} h of ReMI at `max_epochs`; it may stop before."


def _explain_disk(cfg: Config, sizes: Mapping[str, int]) -> Iterator[str]:
    for name, size in sizes.items():
        yield f"{name:34}{_figure(size / 1e9):>14} GB"
    total = sum(sizes.values())
    for keep, size in ((True, total), (False, total - sizes["unlearned models"])):
        mark = "  <- this config" if keep == cfg.keep_unlearned else ""
        name = f"disk, keep_unlearned: {str(keep).lower()}"
        yield f"{name:34}{_figure(size / 1e9):>14} GB{mark}"
    yield "With false, unlearned models are deleted once evaluated; those in waiting take space."
    largest = max(
        count_parameters(model_spec(dataset, architecture, cfg.data.image_size))
        for dataset in cfg.datasets
        for architecture in cfg.architectures
    )
    free = shutil.disk_usage(".").free
    yield (
        f"A running job's resumable progress takes up to {_figure(8 * largest / 1e9)} GB more; "
        f"free here: {_figure(free / 1e9)} GB."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the plan of a config; exit with status 1 and one line if there is none."""
    parser = argparse.ArgumentParser(prog="python -m remibench.planning.plan", description=__doc__)
    parser.add_argument("config", nargs="*", help="files laid over config.yaml")
    parser.add_argument(
        "--measured",
        nargs="+",
        type=Path,
        metavar="RESULTS",
        help="results trees to take times from, instead of results* in this folder",
    )
    options = parser.parse_args(arguments)
    try:
        cfg = read_config(options.config)
        trees = options.measured or sorted(Path().glob("results*"))
        for tree in options.measured or []:
            if not (tree / "benchmarks").is_dir():
                raise RemibenchError(f"{tree} has no benchmarks; name a results tree")
        records = []
        for tree in trees:
            found, warnings = read_records(tree, cfg.data.out_of_sample_fraction)
            records += found
            for warning in warnings:
                print(f"warning: {warning}", file=sys.stderr)
        target = "tune" if cfg.variants else "all"
        jobs = list_jobs(summarise_workflow(options.config, target), cfg.results)
        print(f"Plan of {' + '.join(options.config) or 'config.yaml'} into {cfg.results}/\n")
        print(render_plan(cfg, jobs, records, available_cpu_count()))
    except RemibenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
