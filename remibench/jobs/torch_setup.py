"""Torch in a job: threads, memory allocator, optimisers, device, precision and timing."""

from __future__ import annotations

import ctypes
import inspect
import os
import time
from typing import TYPE_CHECKING

from remibench.errors import RemibenchError

if TYPE_CHECKING:  # jobs without models never import torch
    import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


def configure_torch(threads: int) -> None:
    """Set torch up for a job on this number of threads."""
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

    if name != "cuda":  # all operations in use are deterministic
        return torch.device(name)
    from remibench.jobs.devices import assign_gpu

    assign_gpu(vram_mb)
    if not torch.cuda.is_available():
        raise RemibenchError(
            "device: 'cuda' was asked for, but no CUDA device is visible; "
            "set `device: cpu` or check the driver and CUDA_VISIBLE_DEVICES"
        )
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
    torch.use_deterministic_algorithms(mode=True)  # takes 2 s
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
