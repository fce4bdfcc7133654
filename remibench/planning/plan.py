"""Plan of a config before it runs: jobs, disk space, and hours projected from earlier runs.

``remibench plan CONFIG... [--measured RESULTS...]``, or ``make plan CONFIG=...``.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from snakemake.utils import available_cpu_count

from remibench.config.model import Config
from remibench.errors import RemibenchError
from remibench.models import count_parameters
from remibench.planning.disk import disk_space
from remibench.planning.jobs import (
    Job,
    list_jobs,
    name_kind,
    position,
    read_config,
    summarise_workflow,
)
from remibench.planning.timings import (
    QUALITIES,
    SHORTEST,
    TIMED,
    Projection,
    Record,
    Task,
    Timings,
    planned_task,
    read_records,
)
from remibench.planning.work import declares_passes, model_spec


def plan(configs: Sequence[str], measured: Sequence[Path] | None = None) -> tuple[str, list[str]]:
    """Plan a config, in the folder of its ``Snakefile``.

    Args:
        configs: Files that are laid over ``config.yaml``.
        measured: Results trees that times are taken from; all ``results*`` where None.

    Returns:
        The plan, and a warning for everything on record that cannot be read.

    Raises:
        RemibenchError: The config is invalid, a tree has no benchmarks, or Snakemake failed.
    """
    cfg = read_config(configs)
    for tree in measured or []:
        if not (tree / "benchmarks").is_dir():
            raise RemibenchError(f"{tree} has no benchmarks; name a results tree")
    records, warnings = [], []
    for tree in measured or sorted(Path().glob("results*")):
        read, skipped = read_records(tree, cfg.data.out_of_sample_fraction)
        records += read
        warnings += skipped
    jobs = list_jobs(summarise_workflow(configs, "tune" if cfg.variants else "all"))
    title = f"Plan of {' + '.join(configs) or 'config.yaml'} into {cfg.results}/"
    return f"{title}\n\n{render_plan(cfg, jobs, records, available_cpu_count())}", warnings


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
    kinds = (name_kind(job.rule, job.wildcards) for job in sorted(jobs, key=position))
    for name in dict.fromkeys(kinds):
        alike = {task: count for task, count in tasks.items() if task.kind == name}
        lines.append(
            f"{name:34}{pending[name]:7,}{done[name]:7,}" + _hour_columns(alike, projections)
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
        there = [task for task in known if task.device == device]
        if there:
            longest = max(there, key=lambda task: known[task].seconds)
            # A GPU is one resource, whatever the number of cores.
            parallel, where = (cores, f"{cores} cores") if unit == "CPU" else (1, "one GPU")
            last = known[longest].seconds / 3600
            least = _figure(max(hours(there) / parallel, last))
            cell = f"{longest.kind}, {longest.dataset} {longest.architecture}".strip()
            total = _figure(hours(there))
            yield f"{unit} hours: {total}; the longest job: {_figure(last)} ({cell})"
            yield f"On {where}, at 1 thread a job: at least {least} h wall-clock"
    yield "measured  median time of the same job, any seed"
    yield "scaled    by work, at the architecture's speed on another dataset, size or duration"
    yield "borrowed  by work, at another architecture's, precision's or training's speed: rough"
    yield "unknown   jobs that no record tells of; – seconds a job, not counted"
    unlearned = {task.kind.partition(" ")[2] for task in tasks if task.kind.startswith("unlearn ")}
    if guessed := sorted(name for name in unlearned if not declares_passes(name)):
        yield (
            f"{', '.join(f'unlearn {name}' for name in guessed)}: the module declares no `passes`, "
            "so its work is a guess: training on the retain set for its `epochs`, or the target's"
        )
    stopping = [t for t in known if t.may_stop and known[t].quality != "measured"]
    if stopping:
        kinds = " and ".join(sorted({task.kind for task in stopping}))
        yield (
            f"Upper bound: {_figure(hours(stopping))} h of {kinds}, at `max_epochs`; a run may "
            "stop before."
        )


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
