"""Training steps as CUDA graphs: all kernels of a step launched by one call.

A small network leaves a GPU idle while Python launches the next of its hundred kernels. A CUDA
graph records the launches of one step and repeats them. The arithmetic is the same, and so are the
random numbers: PyTorch registers its default generator with a graph, which reads seed and offset
when it is launched (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import torch

from remibench.errors import RemibenchError

Step = Callable[[torch.Tensor], None]

# Steps that are computed as usual before one is recorded. The first creates the optimiser's state
# and loads libraries, the second is the first one that finds them. They are steps of the training
# itself, and recording computes nothing, so nothing has to be rolled back.
WARM_UP = 2


class CudaGraph:
    """Records what a function launches on the current stream, in memory shared by recordings.

    A recording may overwrite what another one left in the shared memory. That is safe here, because
    every step writes all that it reads there, and steps follow each other on one stream.
    """

    def __init__(self, pool: object | None) -> None:
        self._graph = torch.cuda.CUDAGraph()
        self._pool = pool

    def record(self, function: Callable[[], None]) -> None:
        """Record the launches of one call, without computing anything."""
        with torch.cuda.graph(self._graph, pool=self._pool, stream=torch.cuda.current_stream()):
            function()

    def replay(self) -> None:
        """Compute what was recorded, on the present contents of the same memory."""
        self._graph.replay()

    @property
    def pool(self) -> object:
        """The memory that later recordings may share."""
        return self._graph.pool()


GRAPHS = {"cuda": CudaGraph}  # by type of device; on others a step is computed as usual


@contextlib.contextmanager
def captured(step: Step, optimizer: torch.optim.Optimizer, label: str) -> Iterator[Step]:
    """Provide a function that does what ``step`` does, as a CUDA graph for every size of batch.

    On a GPU the body of the ``with`` statement runs on a stream of its own, because the default one
    cannot be recorded. On a CPU this is ``step`` itself.

    Args:
        step: Positions (B,) int64 → nothing. It must consist of operations on tensors of the
            optimiser's device and nothing else: what it draws from a CPU generator, reads from a
            tensor or decides in Python would stay as it was when it was recorded. The hooks of the
            optimiser are a part of it.
        optimizer: Optimiser that ``step`` calls; its rates must not change within the block.
        label: Name for error messages.

    Raises:
        RemibenchError: The step or its optimiser cannot be recorded.
    """
    device = optimizer.param_groups[0]["params"][0].device
    if device.type not in GRAPHS:
        yield step
        return
    for group in optimizer.param_groups:
        if "capturable" in group and not (group["capturable"] or group["fused"]):
            raise RemibenchError(
                f"{label}: {type(optimizer).__name__} with fused={group['fused']} counts its steps "
                "on the CPU and cannot be captured; pass fused=True, or capture=False to fit"
            )
    with _own_stream(device):
        yield _CapturedStep(step, optimizer, label, GRAPHS[device.type])


@contextlib.contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    if device.type != "cuda":
        yield
        return
    before, stream = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    stream.wait_stream(before)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        before.wait_stream(stream)


class _CapturedStep:
    def __init__(
        self, step: Step, optimizer: torch.optim.Optimizer, label: str, make_graph: type[CudaGraph]
    ) -> None:
        self._step, self._optimizer, self._label = step, optimizer, label
        self._make_graph = make_graph
        self._seen: Counter[int] = Counter()
        self._graphs: dict[int, tuple[torch.Tensor, CudaGraph]] = {}
        self._pool: object | None = None

    def __call__(self, batch: torch.Tensor) -> None:
        size = len(batch)
        if size not in self._graphs:
            if self._seen[size] < WARM_UP:
                self._seen[size] += 1
                self._step(batch)
                return
            self._graphs[size] = self._record(batch)
        positions, graph = self._graphs[size]
        positions.copy_(batch)
        graph.replay()

    def _record(self, batch: torch.Tensor) -> tuple[torch.Tensor, CudaGraph]:
        positions, graph = batch.clone(), self._make_graph(self._pool)
        try:
            with _capturable(self._optimizer):
                graph.record(partial(self._step, positions))
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise RemibenchError(
                f"{self._label}: the step cannot be captured as a CUDA graph "
                f"({str(error).strip().splitlines()[0]}); pass capture=False to fit, "
                "or declare CAPTURE = False in the architecture's module"
            ) from error
        self._pool = graph.pool
        return positions, graph


@contextlib.contextmanager
def _capturable(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Tell an optimiser that its step is recorded: Adam asks for it, its fused step ignores it."""
    before = [group.get("capturable") for group in optimizer.param_groups]
    try:
        for group, value in zip(optimizer.param_groups, before, strict=True):
            if value is not None:
                group["capturable"] = True
        yield
    finally:
        for group, value in zip(optimizer.param_groups, before, strict=True):
            if value is not None:
                group["capturable"] = value
