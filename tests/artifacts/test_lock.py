"""One writer per results tree: locks, and writes of jobs whose run is not the tree's any more."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.smoke import ROOT, is_alive

from remibench.artifacts import lock
from remibench.artifacts.io import load_array, save_array, save_json
from remibench.artifacts.paths import LOCK
from remibench.artifacts.tables import save_table
from remibench.errors import RemibenchError

HOLD = """
import sys
from remibench.artifacts import lock
lock.take(lock.describe_run(sys.argv[1], "a config", is_job=False))
print("locked", flush=True)
sys.stdin.read()
"""

JOB = """
import os, sys, time
from remibench.artifacts import lock

run = {run} | {{"parent": "{parent} " + {namespace}}}
parent = os.getppid()
print(os.getpid(), flush=True)
while {late} and os.getppid() == parent:  # it still imports
    time.sleep(0.01)
try:
    lock.join(run)
except lock.RemibenchError as error:
    print(error, flush=True)
    sys.exit(1)
print("joined", flush=True)
time.sleep(60)
"""
SNAKEMAKE = """
import os, subprocess, sys
from pathlib import Path

script = Path({script!r})
script.write_text({job!r}.format(
    run={run}, late={late}, namespace={namespace!r}, parent=os.getpid()
))
command = "set -euo pipefail; " + sys.executable + " " + str(script) + {behind!r}
subprocess.run(command, shell=True, executable="/bin/bash")  # as it starts a script
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """What a test makes of this process ends with it: a holder of locks, a job of a run."""
    monkeypatch.setattr(lock, "_held", None)
    monkeypatch.setattr(lock, "_run", None)
    monkeypatch.setattr(lock, "_end_with_parent", lambda parent: None)
    monkeypatch.setenv(lock.VARIABLE, "")
    yield
    lock.release()


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a tree."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    yield process
    process.kill()
    process.communicate()


def begin(tree, config="a config"):
    """Begin a run in this process, as Snakemake does."""
    run = lock.describe_run(str(tree), config, is_job=False)
    lock.take(run)
    return run


def test_a_second_run_is_refused_and_told_who_holds_the_lock(tmp_path, holder):
    before = (tmp_path / LOCK).read_bytes()
    with pytest.raises(RemibenchError) as error:
        begin(tmp_path, "another config")
    assert f"{tmp_path} is written by another run: process {holder.pid} on " in str(error.value)
    assert f"(in {Path.cwd()}, since " in str(error.value)
    assert (tmp_path / LOCK).read_bytes() == before


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, None], ids=["kill", "term", "end"])
def test_the_lock_of_a_run_that_ended_in_any_way_is_free(tmp_path, holder, how):
    if how:
        holder.send_signal(how)
    holder.communicate()
    begin(tmp_path)


def test_the_lock_of_a_stopped_run_is_not(tmp_path, holder):
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(RemibenchError, match=f"process {holder.pid} on"):
        begin(tmp_path)


def test_a_run_that_was_planned_before_another_wrote_begins_anew(tmp_path):
    planned = lock.describe_run(str(tmp_path), "a config", is_job=False)
    begin(tmp_path, "another config")
    lock.release()
    with pytest.raises(RemibenchError, match=r"while this one was planned: .*the same command"):
        lock.take(planned)
    begin(tmp_path)


def test_a_run_that_was_planned_while_another_wrote_begins_anew(tmp_path):
    begin(tmp_path, "another config")
    planned = lock.describe_run(str(tmp_path), "a config", is_job=False)
    lock.release()
    with pytest.raises(RemibenchError, match="while this one was planned"):
        lock.take(planned)


WRITERS = {
    "array": lambda path: save_array(path, np.ones(3)),
    "record": lambda path: save_json(path, {"a": 1}),
    "table": lambda path: save_table(path, [{"a": 1}]),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_job_writes_while_its_run_lasts_and_after_it_until_another_begins(tmp_path, write):
    lock.join(begin(tmp_path))
    write(tmp_path / "file")
    lock.release()
    write(tmp_path / "file")
    old = (tmp_path / "file").read_bytes()
    begin(tmp_path)
    with pytest.raises(RemibenchError, match="this job is of an earlier run and writes nothing"):
        write(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == old
    assert {path.name for path in tmp_path.iterdir()} == {"file", LOCK}


def test_a_job_of_an_earlier_run_does_not_begin(tmp_path):
    earlier = begin(tmp_path)
    lock.release()
    begin(tmp_path)
    with pytest.raises(RemibenchError, match=f"is written by process {os.getpid()} on "):
        lock.join(earlier)


def test_a_job_whose_results_were_removed_writes_nothing(tmp_path):
    lock.join(begin(tmp_path))
    (tmp_path / LOCK).unlink()
    with pytest.raises(RemibenchError, match=rf"{LOCK} is gone: the results were removed"):
        save_array(tmp_path / "a.npy", np.ones(3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"run": 3}', "\xff"])
def test_a_lock_that_says_nothing_stops_jobs_and_no_run(tmp_path, content):
    lock.join(begin(tmp_path))
    (tmp_path / LOCK).write_text(content, encoding="latin-1")
    with pytest.raises(RemibenchError, match="of an earlier run"):
        save_array(tmp_path / "a.npy", np.ones(3))
    lock.release()
    begin(tmp_path)


def test_what_is_no_job_is_not_checked(tmp_path):
    begin(tmp_path)
    lock.join(None)
    (tmp_path / LOCK).unlink()
    save_array(tmp_path / "a.npy", np.ones(3))
    assert load_array(tmp_path / "a.npy").tolist() == [1, 1, 1]


def test_a_job_on_another_machine_is_of_the_run_that_the_environment_names(tmp_path, monkeypatch):
    """There Snakemake reads the config again, and starts the script."""
    begin(tmp_path)
    lock.join(lock.describe_run(str(tmp_path), "a config", is_job=True))
    save_array(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(RemibenchError, match="the config has changed since this run began"):
        lock.describe_run(str(tmp_path), "another config", is_job=True)
    monkeypatch.setenv(lock.VARIABLE, "an earlier run")
    with pytest.raises(RemibenchError, match="of an earlier run"):
        lock.describe_run(str(tmp_path), "a config", is_job=True)


def test_a_disk_without_locks_leaves_the_tree_to_the_later_run(tmp_path, monkeypatch, caplog):
    def flock(descriptor, how):
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    lock.join(begin(tmp_path))
    begin(tmp_path)
    assert "this disk has no locks" in caplog.text
    with pytest.raises(RemibenchError, match="of an earlier run"):
        save_array(tmp_path / "a.npy", np.ones(3))


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RemibenchError, match=r"cannot write \S+file/tree/\.lock: Not a directory"):
        begin(tmp_path / "file" / "tree")


def test_the_lock_says_who_holds_it(tmp_path):
    begin(tmp_path)
    stated = json.loads((tmp_path / LOCK).read_text())
    assert stated["pid"] == os.getpid()
    assert stated["folder"] == str(Path.cwd())
    assert "ended" not in stated
    lock.release()
    assert json.loads((tmp_path / LOCK).read_text())["ended"] >= stated["began"]


def start_job(tmp_path, *, late=False, behind="", namespace="lock._pid_namespace()"):
    """A process in the place of Snakemake, and the number of the job that it has started."""
    code = SNAKEMAKE.format(
        script=str(tmp_path / "script.py"),
        job=JOB,
        run=begin(tmp_path),
        late=late,
        behind=behind,
        namespace=namespace,
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    return parent, int(parent.stdout.readline())


def wait_for_the_end(pid):
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline, "the job goes on"
        time.sleep(0.05)


linux = pytest.mark.skipif(
    sys.platform != "linux", reason="it is Linux that kills jobs with their parent"
)


@linux
@pytest.mark.parametrize("stopped", [False, True])
def test_a_job_ends_when_its_snakemake_is_killed_even_if_it_is_stopped(tmp_path, stopped):
    parent, pid = start_job(tmp_path)
    assert parent.stdout.readline() == "joined\n"
    if stopped:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    parent.communicate()
    wait_for_the_end(pid)


@linux
def test_a_job_whose_snakemake_was_killed_while_it_imported_does_not_begin(tmp_path):
    parent, pid = start_job(tmp_path, late=True)
    parent.kill()
    said, _ = parent.communicate()
    assert said.startswith("the Snakemake that started this job has ended; this job writes nothing")
    wait_for_the_end(pid)


@linux
def test_a_job_behind_a_shell_that_stays_runs(tmp_path):
    """As with a bash before 5.1: its parent is not Snakemake, which lives."""
    parent, pid = start_job(tmp_path, behind="; true")
    assert parent.stdout.readline() == "joined\n"
    os.kill(pid, signal.SIGKILL)
    parent.communicate()


@linux
def test_a_job_in_a_container_that_sees_no_snakemake_runs(tmp_path):
    """There the number of the parent is nobody's, or another's, and says nothing."""
    parent, pid = start_job(tmp_path, late=True, namespace="'pid:[1]'")
    parent.kill()
    assert parent.stdout.readline() == "joined\n"
    os.kill(pid, signal.SIGKILL)
    parent.communicate()
