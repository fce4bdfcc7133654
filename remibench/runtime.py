"""What a job needs before it computes: log, threads, memory allocator, device, precision."""

from __future__ import annotations

import contextlib
import ctypes
import inspect
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from remibench import plugins
from remibench.checkpoints import EpochCheckpoint, remove_leftovers, sha256
from remibench.errors import RemibenchError, TerminatedError

if TYPE_CHECKING:  # table and figure jobs never import torch
    import torch

logger = logging.getLogger("remibench")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


@contextlib.contextmanager
def job(snakemake) -> Iterator[None]:
    """Run the body of a rule's script: log to the rule's log, report an error in one line.

    The config's plug-ins are parts of the package from here on; an error in one names its file.

    The log file gets everything, tracebacks included. The terminal gets one line when the job
    fails, and the process exits with status 1, so that Snakemake removes unfinished outputs.
    SIGTERM, by which a batch system announces that it is about to kill, is such a failure: at once,
    or after the running epoch in a job with a :func:`progress_checkpoint`.
    """
    signal.signal(signal.SIGTERM, _terminate)
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=log,
        filemode="w",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    logging.captureWarnings(capture=True)
    started = time.perf_counter()
    try:
        plugins.activate(snakemake.config["plugins"])
        for output in snakemake.output:
            remove_leftovers(output)
        if "torch" in sys.modules:
            _configure_torch(snakemake.threads)
        yield
    except (Exception, TerminatedError) as error:
        logger.exception("rule %s failed", snakemake.rule)
        what = " ".join(str(error).split())
        if not isinstance(error, RemibenchError | TerminatedError):
            what = f"{type(error).__name__}: {what}"
            if where := plugins.origin(error):
                what = f"{where}: {what}"
        print(f"rule {snakemake.rule}: {what} (traceback: {log})", file=sys.stderr)
        sys.exit(1)
    logger.info(
        "done in %.2f s, peak memory %.0f MiB", time.perf_counter() - started, peak_memory() / 2**20
    )


def _terminate(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # batch systems repeat it
    raise TerminatedError("stopped by SIGTERM; run the same command again")


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
    """Where a job keeps its epochs: keyed by its rule, wildcards, parameters and input contents.

    From here on SIGTERM ends the job after its epoch.
    """
    inputs = {
        name: sha256(path)
        for name, path in snakemake.input.items()
        if path and name != "images"  # large, and the metadata holds its checksum
    }
    key = [snakemake.rule, dict(snakemake.wildcards), dict(snakemake.params), inputs]
    # Not a parameter: how often progress is saved is no reason to train anew.
    every_seconds = snakemake.config["checkpoint_seconds"]
    progress = EpochCheckpoint(snakemake.params.progress, key, every_seconds)

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # batch systems repeat it
        progress.terminate()

    signal.signal(signal.SIGTERM, terminate)
    return progress


def _configure_torch(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    keep_freed_pages()
    exempt_optimizers_from_compiler()


def exempt_optimizers_from_compiler() -> None:
    """Keep SGD and Adam from importing ``torch.compile``'s stack, which takes a second.

    They import it only to tell the compiler to leave them alone. Their arithmetic is untouched.
    """
    import torch

    base = torch.optim.Optimizer
    for name in ("add_param_group", "zero_grad", "state_dict", "load_state_dict"):
        setattr(base, name, inspect.unwrap(getattr(base, name)))
    for optimizer in (torch.optim.SGD, torch.optim.Adam):
        optimizer.step = torch.no_grad()(inspect.unwrap(optimizer.step))


def keep_freed_pages() -> None:
    """Tell glibc to keep freed activation buffers instead of returning them to the kernel.

    By default every buffer above the mmap threshold is unmapped when freed and page-faulted in
    again at the next step, which costs training on a CPU half of its speed. Other C libraries have
    no ``mallopt``; there this does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 64 * 2**20)


def select_device(name: str, vram_mb: int = 0) -> torch.device:
    """Return the configured device, or say why it cannot be had.

    On a machine with several GPUs this waits for one with room and sees that one alone.

    Args:
        name: ``cpu`` or ``cuda``.
        vram_mb: Memory that the job needs on a GPU, in MB.

    Raises:
        RemibenchError: ``cuda`` was asked for and no CUDA device is visible.
    """
    import torch

    if name == "cuda":
        from remibench.devices import assign_gpu

        assign_gpu(vram_mb)
    if name == "cuda" and not torch.cuda.is_available():
        raise RemibenchError(
            "device: 'cuda' was asked for, but no CUDA device is visible; "
            "set `device: cpu` or check the driver and CUDA_VISIBLE_DEVICES"
        )
    if name == "cuda":  # on the CPU all operations in use are deterministic, and this costs 2 s
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(mode=True)
        # Else every new tensor is filled with NaN first, one launch more each.
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.backends.cudnn.allow_tf32 = False  # fp32 is fp32; training asks for bf16
    return torch.device(name)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Mixed precision for forward passes: ``bf16`` autocast, or plain ``fp32``."""
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


class Stopwatch:
    """Accumulate the seconds spent in a ``with`` block, without synchronising a GPU per step.

    On CUDA, events are recorded in the stream and read only when ``seconds`` is asked for.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._elapsed = 0.0
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def __enter__(self) -> Stopwatch:
        self._start = self._now()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._cuda:
            self._events.append((self._start, self._now()))
        else:
            self._elapsed += self._now() - self._start

    def _now(self):
        if not self._cuda:
            return time.perf_counter()
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @property
    def seconds(self) -> float:
        """Seconds accumulated so far."""
        for start, stop in self._events:
            stop.synchronize()
            self._elapsed += start.elapsed_time(stop) / 1000
        self._events.clear()
        return self._elapsed
