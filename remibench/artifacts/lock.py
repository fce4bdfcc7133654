"""One writer per results tree: the lock of a run of Snakemake, and the check of every write.

Snakemake's own lock lies in the folder that it is started in, and so does not see a run of another
clone that writes the same tree; nor does it stop a job that outlives its Snakemake. So a run also
locks a file of the tree (``flock``: the kernel frees it when the run ends, however it ends; on NFS
and Lustre it depends on the mount options whether another machine sees it). The run writes into
that file who it is, and each of its jobs compares that before a file takes its final name: a job of
an earlier run, or of a config that has changed since, writes nothing.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from remibench.artifacts.paths import LOCK
from remibench.errors import RemibenchError

logger = logging.getLogger("remibench")

VARIABLE = "REMIBENCH_RUN"  # hands the name of the run to Snakemakes on other machines
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # of file systems without them
_PR_SET_PDEATHSIG = 1

_held: tuple[Path, int, dict[str, Any]] | None = None  # the locked file, its descriptor and text
_run: Mapping[str, str] | None = None  # the run that this process is a job of


def describe_run(results: str, config: str, is_job: bool) -> dict[str, str]:
    """Describe the run that is to begin, or the one that this process runs a job of.

    Args:
        results: The results folder.
        config: The whole resolved config as text.
        is_job: True in a Snakemake that another started for a job, as on a cluster's node.

    Returns:
        ``results``; ``run``, a name that no other run has; ``config``, the digest of the config;
        ``seen``, what the lock's file says while the run is planned; ``parent``, this process,
        which starts the jobs.

    Raises:
        RemibenchError: It is a job, and another run has begun, or the config has changed.
    """
    if not is_job:
        os.environ[VARIABLE] = uuid.uuid4().hex
    path = Path(results, LOCK)
    run = {
        "results": results,
        "run": os.environ.get(VARIABLE, ""),
        "config": hashlib.sha256(config.encode()).hexdigest()[:16],
        "seen": _digest(path),
        "parent": f"{os.getpid()} {_pid_namespace()}",
    }
    if is_job:
        _compare(run)
    return run


def take(run: Mapping[str, str]) -> None:
    """Lock the results tree for this run until :func:`release` or the end of the process.

    Raises:
        RemibenchError: Another run holds the lock, or held it since this one was planned; or the
            folder cannot be written.
    """
    global _held
    path = Path(run["results"], LOCK)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise RemibenchError(
            f"cannot write {path}: {error.strerror}; choose another `results` directory"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(descriptor)
            raise RemibenchError(
                f"{run['results']} is written by another run: {_title(path)}; wait until it ends, "
                "end it, or choose another `results` directory"
            ) from error
        logger.warning("%s: this disk has no locks; of two runs the later one goes on", path)
    if _digest(path) != run["seen"]:
        os.close(descriptor)
        raise RemibenchError(
            f"another run wrote {run['results']} while this one was planned: {_title(path)}; run "
            "the same command again"
        )
    record = {
        "run": run["run"],
        "config": run["config"],
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "folder": str(Path.cwd()),
        "began": _now(),
    }
    _held = path, descriptor, record
    _write(descriptor, record)


def release() -> None:
    """Unlock the results tree, if this process has locked it."""
    global _held
    if _held is not None:
        path, descriptor, record = _held
        if (_read(path) or {}).get("run") == record["run"]:  # on a disk without locks, maybe not
            _write(descriptor, record | {"ended": _now()})
        os.close(descriptor)
        _held = None


def join(run: Mapping[str, str] | None) -> None:
    """Make this process a job of a run: each of its writes is checked, and it ends with its parent.

    Args:
        run: Description from :func:`describe_run`; None where results are on no disk.

    Raises:
        RemibenchError: See :func:`check`; or the Snakemake that started this job has ended.
    """
    global _run
    _run = run
    if run is not None:
        check()
        _end_with_parent(run["parent"])


def check() -> None:
    """Compare the results tree's run with that of this job; nothing outside a job.

    Raises:
        RemibenchError: Another run has begun in the results tree, or the config has changed since
            this one began, or the results were removed.
    """
    if _run is not None:
        _compare(_run)


def _compare(run: Mapping[str, str]) -> None:
    path = Path(run["results"], LOCK)
    stated = _read(path)
    if stated is None:
        raise RemibenchError(
            f"{path} is gone: the results were removed, or Snakemake ran with --no-hooks; this job "
            "writes nothing; run the same command again"
        )
    if stated.get("run") != run["run"]:
        raise RemibenchError(
            f"this job is of an earlier run and writes nothing: {run['results']} is written by "
            f"{_title(path)}"
        )
    if stated.get("config") != run["config"]:
        raise RemibenchError(
            "the config has changed since this run began; this job writes nothing; run the same "
            "command again"
        )


def _read(path: Path) -> dict[str, Any] | None:
    """What the lock's file says, as far as it is whole; None where there is none."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return {}
    return stated if isinstance(stated, dict) else {}


def _title(path: Path) -> str:
    stated = _read(path) or {}
    known = {name: stated.get(name, "?") for name in ("pid", "host", "folder", "began")}
    return "process {pid} on {host} (in {folder}, since {began})".format(**known)


def _write(descriptor: int, record: Mapping[str, Any]) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(record, indent=2) + "\n").encode(), 0)
    os.fsync(descriptor)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _end_with_parent(parent: str) -> None:
    """Let the kernel kill this process, stopped or not, when the one that started it ends (Linux).

    The parent is Snakemake itself: the shell that it starts a script with becomes the script. One
    that ended before this call, while the job imported, ends the job here: no signal would come.
    Where a shell or a container lies between, it is that which the job ends with.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    pid, _, namespace = parent.partition(" ")
    # A container with processes of its own sees no process of that number, or another.
    if os.getppid() != int(pid) and namespace == _pid_namespace() and not _is_alive(int(pid)):
        raise RemibenchError(
            "the Snakemake that started this job has ended; this job writes nothing; run the same "
            "command again"
        )


def _pid_namespace() -> str:
    """Which processes this one sees, by a name of the kernel's; nothing where there is none."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
