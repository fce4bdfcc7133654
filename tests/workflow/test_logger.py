"""The log of a run: progress in a terminal, a line per job elsewhere, errors as usual."""

import io
import logging
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

import snakemake_logger_plugin_remibench as plugin


class Terminal(io.StringIO):
    def isatty(self):
        return True


def handler(monkeypatch, stream, **changed):
    settings = {"stdout": False, "quiet": None, "show_failed_logs": False, "debug_dag": False}
    settings |= {"verbose": False, "dryrun": False, "printshellcmds": False} | changed
    monkeypatch.setattr(plugin.sys, "stderr", stream)
    return plugin.LogHandler(SimpleNamespace(**settings), None)


def say(handler, text=None, /, **fields):
    record = logging.makeLogRecord({"msg": text, "levelno": logging.INFO, **fields})
    handler.emit(record)


def run(log, clock, jobs=4):
    """Two jobs at a time, of ten seconds each."""
    say(log, "job counts", event=LogEvent.RUN_INFO, stats={"unlearn": jobs, "total": jobs})
    for first in range(0, jobs, 2):
        say(log, plugin.SKIPPED)
        say(log, "Execute 2 jobs...", event=LogEvent.JOB_STARTED, jobs=[first, first + 1])
        for job in (first, first + 1):
            wildcards = {"dataset": "fmnist", "seed": str(job), "method": "fisher", "ratio": "0.1"}
            say(log, event=LogEvent.JOB_INFO, jobid=job, rule_name="unlearn", wildcards=wildcards)
        clock.now += 10
        for job in (first, first + 1):
            say(log, "Finished", event=LogEvent.JOB_FINISHED, job_id=job)
            say(log, "x", event=LogEvent.PROGRESS, done=job + 1, total=jobs)


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(plugin.time, "monotonic", lambda: clock.now)
    return clock


def test_a_file_has_a_line_per_job_with_what_is_done_and_left(monkeypatch, clock):
    stream = io.StringIO()
    run(handler(monkeypatch, stream), clock)
    assert stream.getvalue().splitlines() == [
        "4 jobs",
        "1 of 4 jobs, 25 %, about 30 s left: unlearn fisher seed 0 ratio 0.1 fmnist (10 s)",
        "2 of 4 jobs, 50 %, about 10 s left: unlearn fisher seed 1 ratio 0.1 fmnist (10 s)",
        "3 of 4 jobs, 75 %, about 7 s left: unlearn fisher seed 2 ratio 0.1 fmnist (10 s)",
        "4 of 4 jobs, 100 %: unlearn fisher seed 3 ratio 0.1 fmnist (10 s)",
    ]


def test_a_terminal_has_one_line_that_says_what_runs(monkeypatch, clock):
    stream = Terminal()
    monkeypatch.setenv("COLUMNS", "60")
    run(handler(monkeypatch, stream), clock)
    states = stream.getvalue().split("\r\x1b[K")
    assert "0 of 4 jobs, 0 %: unlearn fisher seed 0 ratio 0.1 fmnist" in states
    assert all(len(state.rstrip("\n")) < 60 for state in states)
    assert stream.getvalue().count("\n") == 2  # "4 jobs", and the end
    assert states[-1] == "4 of 4 jobs, 100 %\n"


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (
            99,
            "1/9: unlearn ssd seed 0 ratio 0.1 fmnist cnn, evaluate ssd fmnist cnn, make_product",
        ),
        (80, "1/9: unlearn ssd seed 0 ratio 0.1, evaluate ssd, make_product"),
        (60, "1/9: unlearn ssd seed 0 ratio 0.1, evaluate ssd and 1 more"),
        (50, "1/9: unlearn ssd seed 0 ratio 0.1 and 2 more"),
        (33, "1/9: unlearn, evaluate and 1 more"),
        (32, "1/9: unlearn and 2 more"),
        (20, "1/9"),
        (2, "1/"),
    ],
)
def test_a_narrow_terminal_leaves_out_cells_then_counts_jobs(width, line):
    cell = {"dataset": "fmnist", "architecture": "cnn", "method": "ssd"}
    jobs = [("unlearn", {**cell, "seed": "0", "ratio": "0.1"}), ("evaluate", cell)]
    assert plugin.fit("1/9", [*jobs, ("make_product", {})], width) == line
    assert plugin.fit("1/9", [], width) == "1/9"[:width]


def test_a_table_or_figure_is_named_once():
    assert plugin.describe("table", {"product": "table_gaps"}) == "table_gaps"
    assert plugin.describe("figure", {"product": "rates_of_mine"}) == "figure rates_of_mine"


def test_errors_and_messages_are_snakemakes_own(monkeypatch, clock):
    stream = io.StringIO()
    log = handler(monkeypatch, stream)
    run(log, clock)
    say(log, "rule unlearn: cannot read x.npy", levelno=logging.ERROR)
    assert stream.getvalue().endswith("rule unlearn: cannot read x.npy\n")
    fail(log, 7)
    assert "Error in rule unlearn" in stream.getvalue()
    assert "c.log" in stream.getvalue()


def fail(log, job):
    say(log, event=LogEvent.JOB_ERROR, rule_name="unlearn", jobid=job, rule_msg=None, input=["a"],
        output=["b"], log=["c.log"], conda_env=None, container_img=None, aux={}, indent=False,
        shellcmd=None, checkpoint=False)  # fmt: skip


def begin(log, *jobs):
    """A run of four jobs, some of which have begun."""
    say(log, "job counts", event=LogEvent.RUN_INFO, stats={"unlearn": 4, "total": 4})
    for job in jobs:
        say(log, event=LogEvent.JOB_INFO, jobid=job, rule_name="unlearn", wildcards={})


def test_a_failed_run_ends_with_what_was_done(monkeypatch, clock):
    stream = Terminal()
    log = handler(monkeypatch, stream)
    begin(log, 0, 1, 2)
    clock.now += 10
    say(log, "Finished", event=LogEvent.JOB_FINISHED, job_id=0)
    fail(log, 1)
    assert stream.getvalue().endswith("1 of 4 jobs, 25 %, 1 failed, about 30 s left: unlearn")
    fail(log, 2)
    say(log, "Complete log(s): x")
    assert stream.getvalue().endswith("\r\x1b[KComplete log(s): x\n"), "what ran has ended"
    log.close()
    log.close()
    assert stream.getvalue().endswith("x\n\r\x1b[K1 of 4 jobs, 25 %, 2 failed\n")


def test_an_interrupted_run_ends_with_what_was_done(monkeypatch, clock):
    stream = Terminal()
    log = handler(monkeypatch, stream)
    begin(log, 0)
    log.close()
    assert stream.getvalue().endswith(": unlearn\r\x1b[K0 of 4 jobs, 0 %\n")


def test_a_run_that_has_ended_has_one_last_line(monkeypatch, clock):
    stream = Terminal()
    log = handler(monkeypatch, stream)
    run(log, clock)
    log.close()
    assert stream.getvalue().endswith("4 of 4 jobs, 100 %\n")
    assert stream.getvalue().count("100 %") == 1


def test_a_dry_run_lists_its_jobs_as_usual(monkeypatch, clock):
    stream = io.StringIO()
    log = handler(monkeypatch, stream, dryrun=True)
    say(log, "Job stats:\nunlearn 4", event=LogEvent.RUN_INFO, stats={"unlearn": 4, "total": 4})
    assert "Job stats" in stream.getvalue()


def test_rules_that_are_to_come_count_as_the_mean_of_all():
    progress = plugin.Progress({"a": 2, "b": 1, "total": 3}, 0.0)
    assert progress.seconds_left(5.0) is None
    progress.start(0, "a", {}, 0.0)
    assert progress.finish(0, 6.0) == ("a", 6.0)
    assert progress.seconds_left(6.0) == pytest.approx(12.0)


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds, text):
    assert plugin._duration(seconds) == text
