"""A rule's script: its log, its signals, its errors in one line, and its progress."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from remibench.artifacts import lock
from remibench.artifacts.identity import Origin, made_by, origin
from remibench.artifacts.io import remove_leftovers
from remibench.artifacts.progress import EpochCheckpoint
from remibench.components import plugins
from remibench.errors import RemibenchError, TerminatedError
from remibench.jobs.signals import end_job_on_signals
from remibench.jobs.torch_setup import configure_torch

logger = logging.getLogger("remibench")

# Params that are no part of the config, or only say on what a job runs.
_NO_SETTINGS = {"code", "progress", "device"}


@contextlib.contextmanager
def job(snakemake) -> Iterator[None]:
    """Run the body of a rule's script: log to the rule's log, report an error in one line.

    The config's plug-ins are parts of the package from here on; an error in one names its file.

    The log file gets everything, tracebacks included. The terminal gets one line when the job
    fails, and the process exits with status 1, so that Snakemake removes unfinished outputs.
    SIGTERM, by which a batch system announces that it is about to kill, and Ctrl-C are such
    failures: at once, or after the running epoch in a job with a :func:`progress_checkpoint`.

    The process ends with the body: nothing after it is run, nor what was registered with atexit.
    """
    end_job_on_signals()
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    handler = logging.FileHandler(log, mode="a")  # opened again where a library has closed it
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log_to(handler)
    logging.captureWarnings(capture=True)
    started = time.perf_counter()
    try:
        lock.join(snakemake.config["run"])
        plugins.activate(snakemake.config["plugins"])
        for output in snakemake.output:
            remove_leftovers(output)
        if "torch" in sys.modules:
            configure_torch(snakemake.threads)
        with made_by(Origin(snakemake.input, settings_of(snakemake.params))):
            yield
    except (Exception, TerminatedError) as error:
        _log_to(handler)
        logger.exception("rule %s failed", snakemake.rule)
        what = " ".join(str(error).split())
        if not isinstance(error, RemibenchError | TerminatedError):
            what = f"{type(error).__name__}: {what}"
            if where := plugins.origin(error):
                what = f"{where}: {what}"
        clear = "\r\x1b[K" if sys.stderr.isatty() else ""  # the run's progress stands there
        print(f"{clear}rule {snakemake.rule}: {what} (traceback: {log})", file=sys.stderr)
        sys.exit(1)
    _log_to(handler)
    logger.info(
        "done in %.2f s, peak memory %.0f MiB", time.perf_counter() - started, peak_memory() / 2**20
    )
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # Python's own end takes torch's modules apart, for a fifth of all start-up


def _log_to(handler: logging.Handler) -> None:
    """Log to a handler, also after a library has configured logging for itself, as ART does."""
    root = logging.getLogger()
    if handler not in root.handlers:
        root.addHandler(handler)
    root.setLevel(logging.INFO)
    logger.disabled = False


def settings_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """The params of which an artifact states the digest: not where a file lies, as no input."""
    settings = {key: value for key, value in params.items() if key not in _NO_SETTINGS}
    if {"selection", "parameters"} <= set(settings):
        given = settings["parameters"]
        settings["parameters"] = {key: value for key, value in given.items() if key != "path"}
    return settings


def peak_memory() -> int:
    """Greatest resident set size of this process so far, in bytes.

    Linux's own figure where there is one: ``getrusage`` also counts the process that started this
    one.
    """
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def progress_checkpoint(snakemake) -> EpochCheckpoint:
    """Make a job's epoch checkpoint: keyed by rule, wildcards, parameters and input contents.

    From here on SIGTERM and the first Ctrl-C end the job after its epoch.
    """
    key = [snakemake.rule, dict(snakemake.wildcards), dict(snakemake.params), origin().inputs]
    # Not a parameter: how often progress is saved is no reason to train anew.
    every_seconds = snakemake.config["checkpoint_seconds"]
    progress = EpochCheckpoint(snakemake.params.progress, key, every_seconds)
    end_job_on_signals(progress.terminate)
    return progress
