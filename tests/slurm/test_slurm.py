"""The workflow through a real SLURM: slurmctld, munged and three slurmd on this host.

``make test-slurm``. Jobs ask for fake GPUs; models compute on the CPU. What holds seconds or names
the host is no part of the comparison with a local run: logs, benchmarks, the cost of unlearning,
and the columns and rows of tables that are called seconds.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from support.smoke import compare_results, copy_repository

pytestmark = pytest.mark.slurm
HERE = Path(__file__).parent
NICE = ["nice", "-n", "15"]
PROFILE = ["--workflow-profile", "profiles/slurm"]
HASTE = [  # for jobs of seconds: 15 s instead of 82 s each
    *("--slurm-init-seconds-before-status-checks", "1"),
    *("--seconds-between-status-checks", "1"),
    *("--slurm-status-command", "squeue"),  # there is no database to ask
]
GRID = {"forget_ratios": [0.1]}
GPU_RULES = ["train_model", "unlearn"]
GROUPS = ["fit_attack=attack", "score_members=attack"]
GROUPS += [f"{rule}=method" for rule in ("unlearn", "make_control", "evaluate")]
CELL = "fmnist_embedded/cnn/0"
MODEL = f"results-smoke/models/{CELL}/target.safetensors"
LONG = ["--config", "training={'epochs': 80}"]  # seconds


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running cluster: the environment in which its commands and Snakemake find it."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    missing = [name for name in ("slurmctld", "slurmd", "munged") if not shutil.which(name)]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install slurm-wlm munge")
    pytest.importorskip("snakemake_executor_plugin_slurm", reason="its plugin is not installed")
    base = tmp_path_factory.mktemp("slurm")
    started = subprocess.run(
        [HERE / "start.sh", base, str(free_ports(4))], stderr=subprocess.PIPE, text=True
    )
    if started.returncode == 77:
        pytest.skip(started.stderr)
    assert started.returncode == 0, started.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(base / "etc/slurm.conf"))
        patch.setenv("PATH", str(base / "bin"), prepend=os.pathsep)
        yield
        subprocess.run([HERE / "stop.sh", base], check=True)


def free_ports(count):
    """The first of so many consecutive TCP ports that nobody listens on."""
    for first in range(17_000, 30_000, count):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise RuntimeError("no free ports")


class Run:
    """Snakemake in a copy of the repository, as a user starts it."""

    def __init__(self, folder, *arguments, path=None):
        self.folder, self.log = folder, folder / f"{time.time_ns()}.log"
        command = [*NICE, sys.executable, "-m", "snakemake", *arguments]
        command += ["--configfile", "config/smoke.yaml"]
        search = os.pathsep.join([*([str(path)] if path else []), os.environ["PATH"]])
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(folder), "PATH": search},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(120) != 0

    def finish(self):
        assert self.process.wait(600) == 0, self.log.read_text()

    def jobs(self):
        """Its SLURM jobs, finished ones too: what scontrol shows, by name of the field."""
        found = re.search(r"SLURM run ID: (\S+)", self.log.read_text())
        listing = subprocess.run(
            ["scontrol", "show", "job", "--oneliner"], capture_output=True, text=True
        ).stdout
        fields = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in listing.splitlines()]
        return [job for job in fields if found and job.get("JobName") == found[1]]

    def states(self):
        return sorted(job["JobState"] for job in self.jobs())

    def wait_until(self, what, condition, seconds=120):
        for _ in range(seconds * 5):
            if found := condition():
                return found
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)
        pytest.fail(f"not {what} after {seconds} s:\n{self.log.read_text()}")

    def not_started(self):
        return re.findall("^SLURM does not start .*", self.log.read_text(), re.MULTILINE)

    def wait_until_it_trains(self):
        log = self.folder / f"results-smoke/logs/train_model/{CELL}/target.log"
        self.wait_until("training", log.exists)


@pytest.fixture(scope="session")
def smoke(cluster, tmp_path_factory):
    """The smoke grid on SLURM and locally, started first and asked for by the last tests."""
    runs = []
    gpus = ["--set-resources", *(f"{rule}:gpu=1" for rule in GPU_RULES)]
    grouped = ["--groups", *GROUPS]
    partitions = {"cpu": {"max_runtime": 1440}, "gpu": {"max_runtime": 1440, "max_gpu": 1}}
    for name, options in (
        (
            "cluster",
            [*PROFILE, *HASTE, *grouped, *gpus, "--slurm-partition-config", "partitions.yaml"],
        ),
        ("local", ["--cores", "1"]),
    ):
        folder = copy_repository(tmp_path_factory.mktemp(name))
        (folder / "partitions.yaml").write_text(yaml.safe_dump({"partitions": partitions}))
        overlay = [f"{key}={value}" for key, value in GRID.items()]
        runs.append(Run(folder, "results-smoke/evaluation.csv", *options, "--config", *overlay))
    yield runs
    for run in runs:
        run.kill()


class Trainings:
    """One training in a folder of its own, as often as a scenario starts it."""

    def __init__(self, folder, partition):
        self.folder, self.partition, self.runs = copy_repository(folder), partition, []

    def start(self):
        where = ["--default-resources", f"slurm_partition={self.partition}"]
        self.runs.append(Run(self.folder, MODEL, *PROFILE, *HASTE, *where, *LONG))
        return self.runs[-1]

    def trained(self):
        return (self.folder / MODEL).stat().st_size > 0


def a_cancelled_job_is_tried_again_with_more_memory_and_time(trainings):
    run = trainings.start()
    run.wait_until_it_trains()
    [job] = run.jobs()
    subprocess.run(["scancel", job["JobId"]], check=True)
    run.finish()
    assert trainings.trained()
    first, second = sorted(run.jobs(), key=lambda job: int(job["JobId"]))
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert memory(second) == 2 * memory(first)
    assert minutes(second) == 2 * minutes(first)
    kept = list((run.folder / ".snakemake/slurm_logs").rglob(f"{first['JobId']}.log"))
    assert kept, "the log of a failed job is kept"


def memory(job):
    return int(job["MinMemoryNode"].removesuffix("M"))


def minutes(job):
    days, _, clock = job["TimeLimit"].rpartition("-")
    hours, mins, _ = map(int, clock.split(":"))
    return (int(days or 0) * 24 + hours) * 60 + mins


def a_drained_node_delays_the_run_and_does_not_fail_it(trainings):
    update = ["scontrol", "update", "nodename=n3"]
    subprocess.run([*update, "state=drain", "reason=test"], check=True)
    try:
        run = trainings.start()
        run.wait_until("submitted", lambda: run.states() == ["PENDING"])
        [line] = run.wait_until("named", run.not_started, seconds=60)
        assert "`sinfo -R` says why" in line
        assert run.states() == ["PENDING"]
        assert run.process.poll() is None
    finally:
        subprocess.run([*update, "state=resume"], check=True)
    run.finish()
    assert trainings.trained()
    assert run.states() == ["COMPLETED"]


def after_a_killed_snakemake_the_same_command_finishes_the_run(trainings):
    """As docs/running.md says: cancel the jobs left behind, unlock, start again."""
    run = trainings.start()
    run.wait_until_it_trains()
    run.kill()
    [orphan] = run.jobs()
    assert orphan["JobState"] == "RUNNING", "it outlives Snakemake"
    subprocess.run(["scancel", "--name", orphan["JobName"]], check=True)
    blocked = trainings.start()
    assert blocked.process.wait(120) != 0
    assert "--unlock" in blocked.log.read_text()
    Run(run.folder, "--unlock", *LONG).finish()
    again = trainings.start()
    again.finish()
    assert trainings.trained()
    assert again.states() == ["COMPLETED"]


def a_job_above_the_limit_of_its_partition_is_named_within_a_minute(trainings):
    run = trainings.start()
    run.wait_until("submitted", lambda: run.states() == ["PENDING"])
    [line] = run.wait_until("named", run.not_started, seconds=60)
    [job] = run.jobs()
    assert line.startswith(
        f"SLURM does not start job {job['JobId']} (train_model fmnist_embedded_cnn_0_target): "
        "PartitionTimeLimit (partition short, time limit "
    )
    assert "--set-resources RULE:runtime=MINUTES" in line
    run.interrupt()
    assert run.states() == ["CANCELLED"]


SCENARIOS = {  # and the partition that each has its training in
    a_cancelled_job_is_tried_again_with_more_memory_and_time: "cpu",
    a_drained_node_delays_the_run_and_does_not_fail_it: "spare",
    after_a_killed_snakemake_the_same_command_finishes_the_run: "cpu",
    a_job_above_the_limit_of_its_partition_is_named_within_a_minute: "short",
}


@pytest.fixture(scope="session")
def futures(smoke, tmp_path_factory):
    """All scenarios at once: most of their time is waiting."""
    with ThreadPoolExecutor() as pool:
        started = [
            Trainings(tmp_path_factory.mktemp("training"), where) for where in SCENARIOS.values()
        ]
        yield dict(zip(SCENARIOS, map(pool.submit, SCENARIOS, started), strict=True))
        for trainings in started:
            for run in trainings.runs:
                run.kill()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_that(scenario, futures):
    futures[scenario].result()


PROBE = """
import os
from pathlib import Path
from remibench.jobs.devices import assign_gpu

assign_gpu(1)
names = "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"
Path(snakemake.output[0]).write_text(" ".join(os.environ[name] for name in names))
"""
PROBING = """
rule probe:
    output:
        "environment.txt",
    resources:
        gpu=1,
        runtime=1,
        mem_mb=300,
    script:
        "probe.py"
"""


def test_in_a_job_the_scheduler_has_assigned_the_gpu(futures, tmp_path):
    """What it set reaches the script, and is left alone though nvidia-smi lists two (fake) GPUs."""
    folder = copy_repository(tmp_path)
    (folder / "Snakefile").write_text(PROBING)
    (folder / "probe.py").write_text(PROBE)
    command = folder / "bin/nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho '0, GPU-a, 100'\necho '1, GPU-b, 100'\n")
    command.chmod(0o755)
    run = Run(folder, *PROFILE, *HASTE, path=command.parent)
    run.finish()
    [job] = run.jobs()
    assert (folder / "environment.txt").read_text().split() == [job["JobId"], "0"]


def test_all_jobs_of_the_smoke_grid_finish(smoke):
    run, _ = smoke
    run.finish()
    # Scoring travels with an attack, unlearning with its evaluation, and the control, which is made
    # from the retrained models, with these.
    trained, attacks, methods = 2, 4, 5
    assert run.states() == ["COMPLETED"] * (trained + attacks + methods)


def test_gpu_jobs_never_exceed_the_gpus_of_a_node(smoke):
    run, _ = smoke
    run.finish()
    on_gpu = [job for job in run.jobs() if "gpu" in job.get("TresPerJob", "")]
    assert len(on_gpu) == 2 + 4  # target, shadow; every method but the target itself
    assert {job["Partition"] for job in on_gpu} == {"gpu"}
    assert {job["Partition"] for job in run.jobs() if job not in on_gpu} == {"cpu"}
    for node in {job["NodeList"] for job in on_gpu}:
        times = sorted(
            (datetime.fromisoformat(job["StartTime"]), datetime.fromisoformat(job["EndTime"]))
            for job in on_gpu
            if job["NodeList"] == node
        )
        for (_, end), (start, _) in pairwise(times):
            assert start >= end, f"two jobs on the one GPU of {node}"


def test_the_results_equal_those_of_a_local_run_byte_for_byte(smoke):
    for run in smoke:
        run.finish()
    first, second = (run.folder / "results-smoke" for run in smoke)
    for expected, found in ((first, second), (second, first)):
        assert compare_results(expected, found) > 30
