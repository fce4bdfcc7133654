"""Where the time and memory of a finished run went, read from its logs."""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.timing import spread, table

CORES = 2
RESULTS = Path("results")
DONE = re.compile(r"^(\S+ \S+),(\d+) INFO done in ([\d.]+) s, peak memory (\d+) MiB$", re.M)


class Job(NamedTuple):
    """What the last line of a job's log says."""

    name: str
    end: datetime
    seconds: float
    memory: int


def read_jobs(logs: Path) -> list[Job]:
    """All jobs that ended, by the names of their logs.

    Raises:
        FileNotFoundError: There are none.
    """
    jobs = []
    for path in sorted(logs.rglob("*.log")):
        for when, milliseconds, seconds, memory in DONE.findall(path.read_text(encoding="utf-8")):
            end = datetime.fromisoformat(when) + timedelta(milliseconds=int(milliseconds))
            name = path.relative_to(logs).with_suffix("").as_posix()
            jobs.append(Job(name, end, float(seconds), int(memory)))
    if not jobs:
        raise FileNotFoundError(f"{logs}: no log of a finished job; run `make run` first")
    return jobs


def section() -> str:
    """The table of rules, and the run's shares."""
    jobs = read_jobs(RESULTS / "logs")
    rules = defaultdict(list)
    for job in jobs:
        rules[re.split(r"[/\d]", job.name)[0]].append(job)
    inside = sum(job.seconds for job in jobs)
    start = min(job.end - timedelta(seconds=job.seconds) for job in jobs)
    wall = (max(job.end for job in jobs) - start).total_seconds()
    rows = [
        [
            name,
            len(each),
            spread([job.seconds for job in each]),
            f"{sum(job.seconds for job in each) / inside:.0%}",
            max(job.memory for job in each),
        ]
        for name, each in sorted(rules.items(), key=lambda item: -sum(j.seconds for j in item[1]))
    ]
    retraining = [job.seconds for job in jobs if "/retrain/" in job.name]
    evaluation = [job.seconds for job in rules["evaluate"]]
    return table(
        "The default run",
        ["rule", "jobs", "seconds a job", "share", "peak memory, MiB"],
        rows,
        f"{len(jobs)} jobs in {wall:.0f} s on {CORES} cores. Inside the jobs' own code: "
        f"{inside / (CORES * wall):.0%} of the cores' time; the rest is the start of Python and "
        "its imports, Snakemake, and idle cores. Evaluation of one method at all ratios takes "
        f"{statistics.median(evaluation) / statistics.median(retraining):.0%} of one retraining "
        f"(medians). {speed_up()}",
    )


def speed_up() -> str:
    """ReMI against retraining, 10 % forgotten, paired by cell and seed."""
    table = pd.read_csv(RESULTS / "evaluation.csv")
    table = table[(table["metric"] == "seconds") & (table["forget_ratio"] == 0.1)]
    times = table.pivot_table("value", ["dataset", "architecture", "seed"], "method")
    ratios = (times["retrain"] / times["remi_whitebox"]).tolist()
    return f"White-box ReMI takes 1 / {spread(ratios)} of retraining at 10 % forgotten."
