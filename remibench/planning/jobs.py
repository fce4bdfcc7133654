"""The jobs of a config, as ``snakemake --summary`` lists them; nothing is run or written."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config
from snakemake_interface_common.exceptions import WorkflowError

from remibench.artifacts.paths import FORMATS, JOBS, wildcards_of
from remibench.config.folders import locate
from remibench.config.model import Config, load_config
from remibench.config.variants import method_of
from remibench.errors import RemibenchError


class Job(NamedTuple):
    """A job of the workflow."""

    rule: str
    wildcards: Mapping[str, str]
    pending: bool


def read_config(paths: Sequence[str]) -> Config:
    """Read ``config.yaml`` and lay the given files over it, as ``--configfile`` does.

    Raises:
        RemibenchError: This is no clone, a file cannot be read, or the configuration is invalid.
    """
    if not Path("Snakefile").is_file():
        raise RemibenchError(
            "there is no Snakefile here; run in a clone of the repository, which has the workflow "
            "that pip does not install"
        )
    raw: dict[str, Any] = {}
    for path in (str(locate("config.yaml")), *paths):
        try:
            update_config(raw, load_configfile(path))
        except (WorkflowError, OSError, UnicodeDecodeError, RecursionError) as error:
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


def list_jobs(summary: str) -> list[Job]:
    """Group the rows of Snakemake's summary, one per output file, into jobs.

    Args:
        summary: Tab-separated, with a header.

    Raises:
        RemibenchError: An output is not where :mod:`remibench.artifacts.paths` says.
    """
    _, header, rows = summary.partition("output_file\t")
    jobs: dict[tuple, bool] = {}
    for row in csv.DictReader((header + rows).splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE):
        rule, path = row["rule"], row["output_file"]
        wildcards = wildcards_of(path) if rule in JOBS else {}
        if wildcards is None:
            raise RemibenchError(
                f"rule {rule} writes {path}, which planning does not know; "
                "adapt ARTIFACTS of remibench/artifacts/paths.py"
            )
        # A job may write a file for every forget ratio: its own wildcards are its log's.
        own = [item for item in wildcards.items() if f"{{{item[0]}}}" in JOBS[rule]]
        job = (rule, tuple(own))
        jobs[job] = jobs.get(job, False) or row["plan"] == "update pending"
    return [Job(rule, dict(cell), pending) for (rule, cell), pending in jobs.items()]


def name_kind(rule: str, wildcards: Mapping[str, str]) -> str:
    """The rule, with the attack or method where it has one: jobs that take alike."""
    detail = {"fit_attack": "attack", "unlearn": "method", "make_control": "method"}.get(rule)
    return f"{rule} {method_of(wildcards[detail])}" if detail else rule


def position(job: Job) -> int:
    """Place of a job's rule in the pipeline.

    Rules that gather, tables and figures come last, in Snakemake's order.
    """
    return list(JOBS).index(job.rule) if job.rule in JOBS.keys() - FORMATS.keys() else len(JOBS)
