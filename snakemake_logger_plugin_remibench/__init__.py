"""Snakemake's log for this workflow: ``snakemake --logger remibench``.

In a terminal one line that is rewritten: jobs done, percentage, an estimate of the time left, and
what runs now; at the end, what was done. Elsewhere a line per finished job. Errors and everything
else that Snakemake says is as usual. The name of this package is what Snakemake finds a plug-in by.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections import Counter
from logging import LogRecord

from snakemake.logging import DefaultFilter, DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

ALL = "total"  # in the counts of a run
TOLD_ELSEWHERE = {LogEvent.JOB_STARTED, LogEvent.PROGRESS, LogEvent.RESOURCES_INFO}
SKIPPED = "Select jobs to execute..."
# The telling ones first.
AXES = ("product", "method", "role", "adversary", "attack", "seed", "ratio")
CELL = ("dataset", "architecture")


class Progress:
    """Jobs of a run: done, running, and an estimate of the time that is left."""

    def __init__(self, counts: dict[str, int], now: float) -> None:
        self.total = counts[ALL]
        self.left = Counter({rule: n for rule, n in counts.items() if rule != ALL})
        self.began = now
        self.running: dict[int, tuple[str, dict[str, str], float]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.failed = 0

    @property
    def done(self) -> int:
        """Number of finished jobs."""
        return self.total - self.left.total()

    def start(self, job: int, rule: str, wildcards: dict[str, str], now: float) -> None:
        """A job has begun."""
        self.running[job] = rule, wildcards, now

    def finish(self, job: int, now: float) -> tuple[str, float]:
        """A job has ended: what it was, and its seconds."""
        rule, wildcards, began = self.running.pop(job)
        self.left[rule] -= 1
        self.seconds.setdefault(rule, []).append(now - began)
        return describe(rule, wildcards), now - began

    def fail(self, job: int) -> None:
        """A job has failed, or was ended."""
        self.failed += self.running.pop(job, None) is not None

    def seconds_left(self, now: float) -> float | None:
        """Estimate from the mean of each rule so far, and of all for rules that are still to come.

        Divided by the number of jobs that ran side by side on average; None before the first job
        has ended.
        """
        spent = [second for seconds in self.seconds.values() for second in seconds]
        if not spent or now <= self.began:
            return None
        mean = sum(spent) / len(spent)
        means = {rule: sum(seconds) / len(seconds) for rule, seconds in self.seconds.items()}
        work = sum(count * means.get(rule, mean) for rule, count in self.left.items())
        return work / max(1.0, sum(spent) / (now - self.began))

    @property
    def state(self) -> str:
        """``37 of 131 jobs, 28 %``, and how many have failed."""
        text = f"{self.done} of {self.total} jobs, {100 * self.done // max(self.total, 1)} %"
        return f"{text}, {self.failed} failed" if self.failed else text

    def summary(self, now: float) -> str:
        """``37 of 131 jobs, 28 %, about 4 min left``."""
        left = self.seconds_left(now)
        if left is None or self.done == self.total:
            return self.state
        return f"{self.state}, about {_duration(left)} left"


class LogHandler(LogHandlerBase):
    """See the module."""

    def __post_init__(self) -> None:
        """Set up the stream and what Snakemake's own log would do."""
        common = self.common_settings
        self._stream = sys.stdout if common.stdout else sys.stderr
        self._formatter = DefaultFormatter(common.quiet, common.show_failed_logs)
        self._filter = DefaultFilter(
            common.quiet, common.debug_dag, common.verbose, common.dryrun, common.printshellcmds
        )
        self._progress: Progress | None = None
        self._ended = False

    def emit(self, record: LogRecord) -> None:
        """Write what a record says."""
        try:
            self._emit(record)
        except Exception:  # a log must not end a run
            self.handleError(record)

    def _emit(self, record: LogRecord) -> None:
        if not self._filter.filter(record):
            return
        event, now = getattr(record, "event", None), time.monotonic()
        progress = self._progress
        if event == LogEvent.RUN_INFO and not self.common_settings.dryrun:
            self._progress = Progress(record.stats, now)
            self._write(f"{record.stats[ALL]} jobs")
        elif progress and event == LogEvent.JOB_INFO:
            progress.start(record.jobid, record.rule_name, record.wildcards or {}, now)
        elif progress and event == LogEvent.JOB_FINISHED:
            what, seconds = progress.finish(record.job_id, now)
            if not self._stream.isatty():
                self._write(f"{progress.summary(now)}: {what} ({_duration(seconds)})")
        elif progress and (event in TOLD_ELSEWHERE or record.getMessage() == SKIPPED):
            pass
        else:
            if progress and event == LogEvent.JOB_ERROR:
                progress.fail(record.jobid)
            if text := self._formatter.format(record):
                self._write(text)
        self._show_status(now)

    def close(self) -> None:
        """Where a run ends early, put what was done in place of what ran."""
        if self._progress and not self._ended and self._stream.isatty():
            self._write(self._progress.state)
            self._ended = True
        super().close()

    def _write(self, text: str) -> None:
        clear = "\r\x1b[K" if self._stream.isatty() else ""
        self._stream.write(f"{clear}{text}\n")
        self._stream.flush()

    def _show_status(self, now: float) -> None:
        progress = self._progress
        if progress is None or self._ended or not self._stream.isatty():
            return
        running = [job[:2] for job in progress.running.values()]
        if progress.failed and not running:
            return  # nothing is to come
        width = shutil.get_terminal_size().columns - 1
        self._ended = progress.done == progress.total
        end = "\n" if self._ended else ""
        self._stream.write(f"\r\x1b[K{fit(progress.summary(now), running, width)}{end}")
        self._stream.flush()

    writes_to_stream = property(lambda self: True)
    writes_to_file = property(lambda self: False)
    has_filter = property(lambda self: True)
    has_formatter = property(lambda self: True)
    needs_rulegraph = property(lambda self: False)


def fit(summary: str, running: list[tuple[str, dict[str, str]]], width: int) -> str:
    """Summary and running jobs in one line, in as many words as there is room for.

    Without cells if need be, then with a count of the rest, then with the rule alone.

    Args:
        summary: What is done.
        running: Rule and wildcards of every job.
        width: Letters in a line.
    """
    if not running:
        return summary[:width]
    lines = [f"{summary}: {', '.join(describe(*job) for job in running)}"]
    for axes in (AXES, ("product",)):
        words = [describe(*job, axes) for job in running]
        for shown in range(len(words), 0, -1):
            rest = f" and {len(words) - shown} more" if shown < len(words) else ""
            lines.append(f"{summary}: {', '.join(words[:shown])}{rest}")
    return next((line for line in lines if len(line) <= width), summary[:width])


def describe(rule: str, wildcards: dict[str, str], axes: tuple[str, ...] = (*AXES, *CELL)) -> str:
    """``unlearn remi_whitebox seed 0 ratio 0.1 fmnist cnn``: a job's rule and its axes.

    Most tables and figures are named as their rule: ``table_gaps``, and not ``table table_gaps``.
    """
    named = {"seed": "seed ", "ratio": "ratio "}
    words = (f"{named.get(axis, '')}{wildcards[axis]}" for axis in axes if axis in wildcards)
    named_so = wildcards.get("product", "").startswith(rule)
    return " ".join(words if named_so else (rule, *words))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
