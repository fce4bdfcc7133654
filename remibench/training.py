"""The training loop: target, shadow, retraining and the white-box attack are one ``fit``."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator

import torch
from torch import nn

from remibench.artifacts.progress import EpochCheckpoint
from remibench.errors import DivergedError
from remibench.graphs import captured
from remibench.jobs.torch_setup import autocast
from remibench.seeding import derive_seed

logger = logging.getLogger("remibench")

History = list[dict[str, float]]

STALLED = 0.99  # share of the labels' entropy from which a loss counts as that of a constant output


def fit(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch_loss: Callable[[torch.Tensor], torch.Tensor],
    samples: int,
    *,
    label: str,
    epochs: int,
    batch_size: int,
    seed: int,
    progress: EpochCheckpoint | None = None,
    capture: bool = False,
    measure: Callable[[], dict[str, float]] | None = None,
) -> History:
    """Minimise the mean of ``batch_loss`` over shuffled mini-batches.

    The randomness of an epoch (its permutation and any dropout) is derived from ``seed`` and the
    epoch's number, so a run resumed from ``progress`` equals the uninterrupted one bit for bit.

    Args:
        module: The module that is trained, in place; left in evaluation mode.
        optimizer: Optimiser of its parameters.
        batch_loss: Positions (B,) → mean loss of those samples.
        samples: Number of samples.
        label: Name for log and error messages.
        epochs, batch_size: Passes over the samples, and samples per step; the last batch of an
            epoch may be smaller. A single sample left over joins the batch before it: batch-norm
            cannot normalise one value.
        seed: Seed of the whole run.
        progress: Checkpoint of the finished epochs, or None.
        capture: Launch the steps as CUDA graphs where the module is on a GPU, which is several
            times faster for small networks and gives the same numbers. Set it only where
            ``batch_loss`` and the optimiser's hooks are operations on the device's tensors alone
            (:func:`remibench.graphs.captured`): nothing drawn on the CPU, no value read. A module
            with an attribute ``capture`` that is False is not captured.
        measure: Called after every epoch with the module in evaluation mode; what it returns is
            added to the record, and its time is none of ``seconds``. It draws no random number.

    Returns:
        One record per epoch: ``epoch``, ``loss`` (mean over samples), ``seconds``.

    Raises:
        DivergedError: The loss of an epoch is not finite.
        RemibenchError: The step was to be captured and cannot be.
    """
    device = next(module.parameters()).device
    total = torch.zeros((), device=device)

    def step(batch: torch.Tensor) -> None:
        loss = batch_loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total.add_(loss.detach() * len(batch))

    history = progress.restore(module, optimizer) if progress else []
    capture = capture and getattr(module, "capture", True)
    with captured(step, optimizer, label) if capture else contextlib.nullcontext(step) as run:
        for epoch in range(len(history) + 1, epochs + 1):
            started = time.perf_counter()
            module.train()
            total.zero_()
            with epoch_randomness(seed, epoch, device):
                for batch in _batches(torch.randperm(samples).to(device), batch_size):
                    run(batch)
            mean = total.item() / samples
            if not math.isfinite(mean):
                rate = optimizer.param_groups[0]["lr"]
                raise DivergedError(
                    f"{label}: the loss became {mean} in epoch {epoch} at learning rate {rate}; "
                    "lower the learning rate"
                )
            record = {"epoch": epoch, "loss": mean, "seconds": time.perf_counter() - started}
            if measure:
                module.eval()
                record |= measure()
            history.append(record)
            logger.info("%s: epoch %d of %d, loss %.6f", label, epoch, epochs, mean)
            if progress:
                progress.save(module, optimizer, history)
    module.eval()
    return history


def _batches(order: torch.Tensor, batch_size: int) -> tuple[torch.Tensor, ...]:
    sizes = [len(batch) for batch in order.split(batch_size)]
    if len(sizes) > 1 and len(order) % batch_size == 1:
        sizes[-2:] = [batch_size + 1]
    return order.split(sizes)


def equal_batches(samples: int, batch_size: int) -> int:
    """Number of batches of equal size up to one sample, none of which holds a single one.

    Batch-norm cannot normalise one value. Batches are no larger than ``batch_size``, unless that is
    the only way.
    """
    return max(1, min(math.ceil(samples / batch_size), samples // 2))


@contextlib.contextmanager
def epoch_randomness(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """Make torch's generators depend on the run's seed and the epoch alone, inside the block."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "epoch", epoch))
        yield


def fit_classifier(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    label: str,
    seed: int,
    epochs: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    batch_size: int,
    precision: str,
    progress: EpochCheckpoint | None = None,
    capture: bool = True,
    held_out: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> History:
    """Train a classifier with SGD and cross-entropy at a constant learning rate.

    Args:
        model: Maps uint8 images to logits; trained in place.
        images: (N, C, S, S) uint8, on the model's device.
        labels: (N,) int64, on the model's device.
        precision: ``bf16`` (autocast) or ``fp32``.
        label, seed, epochs, batch_size, progress, capture: See :func:`fit`.
        learning_rate, momentum, weight_decay: Hyper-parameters of SGD.
        held_out: Images and labels, like the others, that it is not trained on.

    Returns:
        The history of :func:`fit`, with ``stalled`` for every epoch: 1 where the loss is at least
        99 % of what an output that ignores the images can reach, the entropy of the labels. To end
        stalled is a result, not an error: it is logged as a warning. With ``held_out`` also
        ``held_out_accuracy``, a share, after every epoch.
    """
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        fused=True,
    )

    def batch_loss(batch: torch.Tensor) -> torch.Tensor:
        with autocast(images.device, precision):
            logits = model(images[batch])
        return nn.functional.cross_entropy(logits.float(), labels[batch])

    def measure() -> dict[str, float]:
        unseen, theirs = held_out
        right = predict(model, unseen, precision)[0].argmax(1) == theirs
        return {"held_out_accuracy": right.double().mean().item()}

    history = fit(
        model,
        optimizer,
        batch_loss,
        len(labels),
        label=label,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        capture=capture,
        measure=measure if held_out else None,
    )
    entropy = label_entropy(labels)
    for record in history:
        record["stalled"] = int(record["loss"] >= STALLED * entropy)
    if history[-1]["stalled"]:
        logger.warning(
            "%s: the loss ended at %.4f; an output that ignores the images reaches %.4f, "
            "so the model has learned next to nothing",
            label,
            history[-1]["loss"],
            entropy,
        )
    return history


def measure_classifier(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, *, label: str, precision: str
) -> History:
    """Measure a classifier that was trained elsewhere, in the form of a training's history.

    Args:
        model: In evaluation mode.
        images: Its training images, (N, C, S, S) uint8.
        labels: (N,) int64.
        label: Name for the log and the error message.
        precision: See :func:`predict`.

    Returns:
        One record, of epoch 0: ``loss`` on the images, ``seconds`` of 0, ``stalled``.

    Raises:
        DivergedError: The loss is not finite.
    """
    logits, _ = predict(model, images, precision)
    loss = nn.functional.cross_entropy(logits, labels).item()
    if not math.isfinite(loss):
        raise DivergedError(f"{label}: the loss on its training images is {loss}")
    accuracy = (logits.argmax(1) == labels).float().mean().item()
    logger.info("%s: loss %.6f, accuracy %.4f on its training images", label, loss, accuracy)
    stalled = int(loss >= STALLED * label_entropy(labels))
    return [{"epoch": 0, "loss": loss, "seconds": 0.0, "stalled": stalled}]


def label_entropy(labels: torch.Tensor) -> float:
    """Entropy in nats of the distribution of labels (N,) int64; ln C for C equal classes."""
    shares = labels.unique(return_counts=True)[1].double() / len(labels)
    return torch.special.entr(shares).sum().item()


def penultimate_features(model, images: torch.Tensor, precision: str) -> torch.Tensor:
    """Float32 inputs (N, H) of the last layer for uint8 images, differentiable in the weights.

    At ``bf16`` they are computed in mixed precision and rounded.
    """
    with autocast(images.device, precision):
        features = model.features(images)
    return features.float()


@torch.no_grad()
def predict(
    model, images: torch.Tensor, precision: str, batch_size: int = 256
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return float32 logits (N, classes) and penultimate features (N, H) of uint8 images.

    The last layer is single precision, whatever ``precision`` the features have: bf16 has three
    digits, too few for the loss of an image that was memorised.
    """
    pairs = []
    for batch in images.split(batch_size):
        features = penultimate_features(model, batch, precision)
        pairs.append((model.head(features), features))
    logits, features = zip(*pairs, strict=True)
    return torch.cat(logits), torch.cat(features)
