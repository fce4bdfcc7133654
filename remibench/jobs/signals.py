"""Signals to a run: its jobs save their epoch and end, and Snakemake ends with them.

Snakemake's own handler of SIGTERM takes a lock that the interrupted code may hold, and then waits
for it for ever; and it lets running jobs finish, which can take hours. A second Ctrl-C interrupts
it while it cleans up.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

import psutil

from remibench.errors import TerminatedError

_SCRIPTS = "/.snakemake/scripts/"  # where Snakemake puts the scripts of the jobs that it starts


def end_jobs_on_signals() -> None:
    """Make SIGTERM and SIGINT end the jobs on this machine, too, and Snakemake once they have.

    To be called in Snakemake's main thread when its scheduler has installed its handlers. Jobs on a
    cluster go on after SIGTERM, and are cancelled after SIGINT, as before.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    finish = signal.getsignal(signal.SIGTERM)
    interrupted = False

    def terminate(number: int, frame: FrameType | None) -> None:
        if callable(finish):
            _apart(lambda: finish(number, frame))
        _apart(_terminate_jobs)

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        if interrupted:
            os.write(2, b"Snakemake waits for its jobs to end; kill -9 ends it at once\n")
            return
        interrupted = True
        _apart(_terminate_jobs)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)


def _apart(function: Callable[[], None]) -> None:
    """Call a function outside the signal's handler, which may hold what the function waits for."""
    threading.Thread(target=function, daemon=True).start()


def _terminate_jobs() -> None:
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(_SCRIPTS in word for word in process.cmdline()):
                process.terminate()


def stop() -> None:
    """End this job.

    Raises:
        TerminatedError: Always.
    """
    raise TerminatedError("stopped by a signal; run the same command again")


def end_job_on_signals(terminate: Callable[[], None] = stop) -> None:
    """Make SIGTERM and Ctrl-C end this job, and a second Ctrl-C end it at once.

    Args:
        terminate: Ends the job, or sees to it that it ends soon; called once.
    """
    told = interrupted = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal told, interrupted
        again = interrupted and number == signal.SIGINT
        interrupted |= number == signal.SIGINT
        if again:
            stop()
        if not told:  # batch systems repeat SIGTERM, and Snakemake adds one to a Ctrl-C
            told = True
            terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
