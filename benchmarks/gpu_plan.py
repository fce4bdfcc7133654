"""The plan of a config on one GPU, projected from what was just measured on it.

``python -m benchmarks.gpu_plan CONFIG... --benchmarks GPU.csv [--measured RESULTS]``. Jobs of a
finished or interrupted results tree count as in ``make plan``; trainings and retrainings that were
not run there are taken to go at the images/s of the benchmarks, for every architecture. One of the
configs has to say ``device: cuda``. It needs no GPU: what a machine with one has measured will do.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from remibench.config.model import Config
from remibench.errors import RemibenchError
from remibench.planning.jobs import Job, list_jobs, read_config, summarise_workflow
from remibench.planning.plan import render_plan
from remibench.planning.timings import Record, Task, planned_task, read_records
from remibench.planning.work import count_images, role_sizes


def measured_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the benchmarks that have a value."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["value"]]


def training_records(cfg: Config, rows: Sequence[dict[str, str]]) -> Iterator[Record]:
    """Jobs as if they had run: the shortest one, and trainings at the measured images/s.

    Args:
        cfg: The planned config.
        rows: See :func:`measured_rows`.
    """
    start = min((float(row["value"]) for row in rows if row["section"] == "start-up"), default=None)
    if start is None:
        return
    yield Record(Task("start-up", cfg.device, "", "any", "", "", None), start)
    for row in rows:
        measured = row["section"], row["mode"], row["precision"]
        if measured != ("training", "captured", cfg.training.precision):
            continue
        if row["name"] not in cfg.architectures:
            continue
        for dataset in cfg.datasets:
            count = count_images(dataset, cfg.data.limit)
            images = role_sizes(count, cfg.data.out_of_sample_fraction)["target_train"]
            cell = {"dataset": dataset, "architecture": row["name"], "seed": "0"}
            for job, share in (
                (Job("train_model", cell | {"role": "target"}, pending=True), 1.0),
                (Job("unlearn", cell | {"method": "retrain", "ratio": "0.5"}, pending=True), 0.5),
            ):
                passes = share * images * cfg.training.epochs / float(row["value"])
                # Not the very same job, so that the plan calls its time scaled, not measured.
                task = replace(planned_task(cfg, job), details="benchmarks")
                yield Record(task, start + passes)


def at_once(rows: Sequence[dict[str, str]]) -> str:
    """A line on how many trainings at once use the GPU best."""
    rates = {row["name"]: float(row["value"]) for row in rows if row["section"] == "jobs at once"}
    alone = rates.get("1 trainings")
    if not alone or len(rates) < 2:
        return "Several jobs at once: not measured."
    best = max(rates, key=rates.__getitem__)
    return (
        f"CNN, {best} at once: {rates[best] / alone:.2f} times the images/s of one. The hours "
        "above are of jobs one after the other; where a job does not fill the GPU, so many "
        "times fewer."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the plan; exit with status 1 and one line if there is none."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_plan", description=__doc__)
    parser.add_argument("config", nargs="+", help="files laid over config.yaml")
    parser.add_argument("--benchmarks", type=Path, required=True, help="CSV of benchmarks.gpu")
    parser.add_argument("--measured", type=Path, help="results tree to take times from")
    options = parser.parse_args(arguments)
    try:
        cfg = read_config(options.config)
        rows = measured_rows(options.benchmarks) if options.benchmarks.exists() else []
        records = list(training_records(cfg, rows))
        if options.measured and options.measured.is_dir():
            found, warnings = read_records(options.measured, cfg.data.out_of_sample_fraction)
            records += found
            for warning in warnings:
                print(f"warning: {warning}", file=sys.stderr)
        jobs = list_jobs(summarise_workflow(options.config, "all"))
        print(render_plan(cfg, jobs, records, os.cpu_count() or 1))
        print(at_once(rows))
    except RemibenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
