"""Places on GPUs: fake devices, real processes."""

import os
import select
import signal
import subprocess
import sys

import pytest

from remibench.errors import RemibenchError
from remibench.jobs import devices
from remibench.jobs.devices import Gpu, assign_gpu, list_gpus

TWO = [Gpu("GPU-a", 10_000), Gpu("GPU-b", 10_000)]
HOLD = """
import sys
from pathlib import Path
from remibench.jobs.devices import Gpu, take_gpu
gpus = [Gpu(*gpu) for gpu in {gpus}]
print("asking", flush=True)
print(take_gpu({needed}, gpus, Path({folder!r}), poll_seconds=0.05).uuid, flush=True)
sys.stdin.read()
"""


class Job:
    """A process that takes a place and keeps it until it is ended."""

    def __init__(self, folder, needed, gpus):
        code = HOLD.format(gpus=[tuple(gpu) for gpu in gpus], needed=needed, folder=str(folder))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what is not yet read must be in the pipe, where `waits` looks
        )
        assert self.process.stdout.readline() == b"asking\n"

    def gpu(self):
        """The UUID it got; blocks until it has one."""
        return self.process.stdout.readline().decode().strip()

    def waits(self, seconds=1.0):
        """Whether it has no place after so many seconds."""
        answered, _, _ = select.select([self.process.stdout], [], [], seconds)
        return not answered

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def start(tmp_path):
    """Start jobs, by default in the same pool; those still there are killed in the end."""
    started = []

    def start(needed=1_000, gpus=TWO, pool="pool"):
        started.append(Job(tmp_path / pool, needed, gpus))
        return started[-1]

    yield start
    for job in started:
        job.kill()


def test_as_many_jobs_as_gpus_have_one_each(start):
    jobs = [start(), start()]
    assert {job.gpu() for job in jobs} == {"GPU-a", "GPU-b"}
    assert jobs[0].process.poll() is None


def test_small_jobs_share_a_gpu_until_its_memory_is_taken(start):
    jobs = [start(4_000) for _ in range(4)]
    assert sorted(job.gpu() for job in jobs) == ["GPU-a", "GPU-a", "GPU-b", "GPU-b"]
    assert start(4_000).waits()


@pytest.mark.parametrize("leave", [Job.end, Job.kill])
def test_a_job_waits_for_room_and_takes_that_of_one_that_ends_or_is_killed(start, leave):
    holders = [start(6_000), start(6_000)]
    places = [job.gpu() for job in holders]
    waiting = start(6_000)
    assert waiting.waits()
    leave(holders[1])
    assert waiting.gpu() == places[1]


def test_a_killed_job_that_waited_keeps_nobody_from_the_queue(start):
    holders = [start(10_000), start(10_000)]
    places = [job.gpu() for job in holders]
    first = start(10_000)
    assert first.waits()
    first.kill()
    second = start(10_000)
    holders[0].kill()
    assert second.gpu() == places[0]


def test_a_large_job_is_not_overtaken_by_small_ones(start):
    holder = start(6_000, TWO[:1])
    assert holder.gpu() == "GPU-a"
    large = start(9_000, TWO[:1])
    assert large.waits()
    small = start(1_000, TWO[:1])
    assert small.waits(), "it fits beside the holder, but the large one was first"
    holder.end()
    assert large.gpu() == small.gpu() == "GPU-a"


def test_a_job_larger_than_every_gpu_has_one_to_itself(start):
    job = start(50_000, TWO[:1])
    assert job.gpu() == "GPU-a"
    assert start(1, TWO[:1]).waits()


def test_memory_that_is_not_known_is_for_one_job(start):
    unknown = [Gpu("GPU-a", 0)]
    assert start(1, unknown).gpu() == "GPU-a"
    assert start(1, unknown).waits()


def test_pools_are_independent(start):
    jobs = [start(10_000, TWO[:1], pool) for pool in ("one", "other")]
    assert [job.gpu() for job in jobs] == ["GPU-a", "GPU-a"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with two fake GPUs, its own temporary folder and no scheduler."""
    command = tmp_path / "bin" / "nvidia-smi"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\necho '0, GPU-a, 10000'\necho '1, GPU-b, [N/A]'\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    for name in ("SLURM_JOB_ID", devices.VISIBLE):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    yield monkeypatch
    while devices._held:
        devices._held.pop().release()


def test_gpus_are_listed_with_their_memory_in_megabytes(machine):
    assert list_gpus(None) == [Gpu("GPU-a", 10_485), Gpu("GPU-b", 0)]


def test_the_visible_devices_are_the_pool(machine):
    assert [gpu.uuid for gpu in list_gpus("1, 0")] == ["GPU-b", "GPU-a"]
    assert [gpu.uuid for gpu in list_gpus("GPU-b")] == ["GPU-b"]


def test_a_visible_device_that_there_is_not_is_one_clear_error(machine):
    machine.setenv(devices.VISIBLE, "0,7")
    with pytest.raises(RemibenchError, match="=0,7 names '7', which nvidia-smi does not list"):
        assign_gpu(1)


def test_a_job_sees_its_own_gpu_alone(machine):
    assign_gpu(1)
    first = os.environ.pop(devices.VISIBLE)
    assign_gpu(1)
    assert {first, os.environ[devices.VISIBLE]} == {"GPU-a", "GPU-b"}


@pytest.mark.parametrize("visible", ["", "1", "MIG-1"])
def test_a_single_visible_device_is_left_as_it_is(machine, visible):
    machine.setenv(devices.VISIBLE, visible)
    assign_gpu(1)
    assert os.environ[devices.VISIBLE] == visible
    assert devices._held == []


def test_jobs_side_by_side_in_one_allocation_of_several_gpus_get_one_each(machine):
    machine.setenv("SLURM_JOB_ID", "12")
    machine.setenv(devices.VISIBLE, "0,1")
    assign_gpu(1)
    assert "," not in os.environ[devices.VISIBLE]


def test_without_nvidia_smi_nothing_is_assigned(machine):
    machine.setenv("PATH", "/nonexistent")
    assign_gpu(1)
    assert devices.VISIBLE not in os.environ
