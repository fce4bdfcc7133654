"""Progress of long jobs, kept outside their declared outputs so that an interrupted job resumes."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remibench.artifacts.io import load_tensors, remove_leftovers, save_tensors
from remibench.errors import RemibenchError, TerminatedError

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("remibench")


class EpochCheckpoint:
    """Progress of a long job on disk, from which an interrupted job resumes.

    The file lies outside the declared outputs (Snakemake removes those of a failed job) under a
    name made from the job's parameters: a job with other parameters never picks it up. Every
    epoch's randomness is derived from the seed and the epoch number, so model, optimiser and
    history are the whole state.

    Args:
        directory: Directory for progress files.
        key: Whatever determines the job's result; JSON-serialisable.
        every_seconds: Save at most this often; a run shorter than this never writes.
    """

    def __init__(self, directory: str | Path, key: Any, every_seconds: float) -> None:
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        self.path = Path(directory) / f"{digest[:32]}.safetensors"
        self._expected = {"kind": "epoch checkpoint", "key": digest}
        self._every_seconds = every_seconds
        self._last = time.monotonic()
        self._epochs_began = self._terminating = False

    def terminate(self) -> None:
        """End the job: at the end of the epoch, once it is saved, or now if there is none.

        Raises:
            TerminatedError: There are no epochs, or none yet.
        """
        if not self._epochs_began:
            raise TerminatedError("stopped by a signal; run the same command again")
        self._terminating = True

    def save(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        history: list[dict[str, float]],
    ) -> None:
        """Save the state after an epoch, unless the last save was moments ago.

        Raises:
            TerminatedError: :meth:`terminate` was called; the state is saved.
        """
        if time.monotonic() - self._last < self._every_seconds and not self._terminating:
            return
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        state = optimizer.state_dict()["state"]
        for parameter, values in state.items():
            tensors |= {f"optimizer.{parameter}.{name}": value for name, value in values.items()}
        save_tensors(self.path, tensors, {**self._expected, "history": history})
        self._last = time.monotonic()
        if self._terminating:
            raise TerminatedError(
                f"stopped by a signal after epoch {history[-1]['epoch']}, which is saved; run the "
                "same command again to go on from there"
            )

    def restore(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> list[dict[str, float]]:
        """Load the saved state, if there is one, and return the history of the finished epochs.

        Called before the first epoch.
        """
        import torch

        self._epochs_began = True
        remove_leftovers(self.path)
        if not self.path.exists():
            return []
        try:
            tensors, header = load_tensors(self.path, self._expected)
        except RemibenchError:  # an unreadable progress file costs time, not correctness
            logger.warning("progress file %s is damaged: starting anew", self.path)
            self.path.unlink()
            return []
        model.load_state_dict(
            {name[6:]: value for name, value in tensors.items() if name.startswith("model.")}
        )
        states: dict[int, dict[str, torch.Tensor]] = {}
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, index, field = name.split(".", 2)
                parameter = parameters[int(index)]
                if value.shape == parameter.shape:  # fused optimizers need the same memory layout
                    value = torch.empty_like(parameter).copy_(value)
                states.setdefault(int(index), {})[field] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
        logger.info("resumed after epoch %d", header["history"][-1]["epoch"])
        return header["history"]

    def delete(self) -> None:
        """Remove the saved state; called once the job's outputs are complete."""
        self.path.unlink(missing_ok=True)
