"""Choice of the GPU that a job computes on, where no scheduler of a cluster makes it.

Snakemake counts the resource ``gpu`` but assigns no device. So every job takes a place on a GPU
before CUDA starts, and sees that GPU alone. A place is a locked file: the kernel frees it when the
process ends, however it ends, so nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from remibench.errors import RemibenchError

logger = logging.getLogger("remibench")

VISIBLE = "CUDA_VISIBLE_DEVICES"
_held: list[FileLock] = []  # a lock ends with its object: places are held until the process ends


class Gpu(NamedTuple):
    """A GPU: the UUID by which CUDA selects it, and its memory in MB (0: not known)."""

    uuid: str
    memory_mb: int


def assign_gpu(needed_mb: int) -> None:
    """Wait for a GPU with room and make it the only one that this process sees.

    To be called before CUDA starts. Nothing is done where ``CUDA_VISIBLE_DEVICES`` names one
    device, which is the choice of a cluster's scheduler or of somebody, and where no GPU is found,
    which PyTorch reports.

    Args:
        needed_mb: Memory that the job needs on the GPU, in MB.

    Raises:
        RemibenchError: ``CUDA_VISIBLE_DEVICES`` names a device that there is not.
    """
    visible = os.environ.get(VISIBLE)
    if visible is not None and "," not in visible:
        return
    gpus = list_gpus(visible)
    if gpus:
        # One folder for all Snakemakes of a user on a machine.
        folder = Path(tempfile.gettempdir(), f"remibench-gpus-{os.getuid()}")
        os.environ[VISIBLE] = take_gpu(needed_mb, gpus, folder).uuid


def list_gpus(visible: str | None) -> list[Gpu]:
    """The GPUs of this machine, as ``nvidia-smi`` lists them; none if there is no such command.

    PyTorch is not asked, since asking it may start CUDA, which then sees all devices.

    Args:
        visible: A value of ``CUDA_VISIBLE_DEVICES``, the indices or UUIDs to choose from; None
            for all.

    Raises:
        RemibenchError: One of them is not listed.
    """
    columns = "--query-gpu=index,uuid,memory.total"
    try:
        listing = subprocess.run(
            ["nvidia-smi", columns, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    gpus = {}
    for line in listing.splitlines():
        index, name, mebibytes = (field.strip() for field in line.split(","))
        memory = int(mebibytes) * 2**20 // 10**6 if mebibytes.isdecimal() else 0
        gpus[index] = gpus[name] = Gpu(name, memory)
    chosen = list(gpus) if visible is None else [entry.strip() for entry in visible.split(",")]
    for entry in chosen:
        if entry not in gpus:
            raise RemibenchError(
                f"{VISIBLE}={visible} names {entry!r}, which nvidia-smi does not list; "
                f"give indices or whole UUIDs: {', '.join(gpus)}"
            )
    return list(dict.fromkeys(gpus[entry] for entry in chosen))


def take_gpu(needed_mb: int, gpus: Sequence[Gpu], folder: Path, poll_seconds: float = 1.0) -> Gpu:
    """Take a place on the GPU that is used least, and keep it until this process ends.

    A job fits where the memory is enough for it and all that hold a place there, and on any GPU
    that nobody has. With at most as many jobs as GPUs, every job has one to itself.

    Args:
        needed_mb: Memory that the job needs, in MB.
        gpus: The GPUs to choose from.
        folder: Folder of the places, the same for all that share the GPUs.
        poll_seconds: Seconds between two attempts while there is no room.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The head of the queue alone looks for room: no large job is overtaken by small ones.
    with FileLock(folder / "queue.lock", poll_interval=poll_seconds):
        while True:
            used = {gpu: _memory_in_use(folder / gpu.uuid) for gpu in gpus}
            fitting = [g for g in gpus if not used[g] or used[g] + needed_mb <= g.memory_mb]
            if fitting:
                break
            time.sleep(poll_seconds)
        gpu = min(fitting, key=used.__getitem__)
        place = FileLock(folder / gpu.uuid / f"{max(needed_mb, 1)}.{uuid.uuid4()}")
        place.acquire()
    _held.append(place)
    logger.info("GPU %s: %d MB for this job, %d MB for others", gpu.uuid, needed_mb, used[gpu])
    return gpu


def _memory_in_use(folder: Path) -> int:
    """MB taken by the living processes that hold a place; the files of dead ones are removed."""
    folder.mkdir(exist_ok=True)
    used = 0
    for path in folder.iterdir():
        lock = FileLock(path)
        try:
            with lock.acquire(blocking=False):
                path.unlink()
        except Timeout:
            used += int(path.name.partition(".")[0])
    return used
