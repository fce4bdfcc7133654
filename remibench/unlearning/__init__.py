"""Unlearning methods, one module each: ``unlearn(task, **parameters) -> history``.

A method gets an :class:`UnlearningTask`, changes ``task.model`` in place, and returns one record
per epoch with at least ``epoch`` and ``seconds``. Its parameters are its section of the config.
``original`` is not a method but the target model itself. For ``remibench plan`` a module also
declares what a run computes on: ``passes(images, parameters, training) -> Passes``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks import load_attack, membership
from remibench.attacks.features import MembershipFeatures, membership_features, model_features
from remibench.components.guards import (
    check_history,
    check_model,
    checksums,
    guarded,
    is_plugin,
    shapes_of,
)
from remibench.components.plugins import broken
from remibench.data.forget_sets import read_forget_set
from remibench.data.prepared import PreparedDataset
from remibench.data.splits import DEFENDER
from remibench.errors import DivergedError
from remibench.jobs.torch_setup import autocast
from remibench.models import Classifier, ModelSpec, build_model, load_model
from remibench.seeding import derive_seed
from remibench.training import History, fit, penultimate_features, predict

logger = logging.getLogger("remibench")

_SMALLER = "it diverged; lower the learning rate, or the scale of its noise"


class Images(NamedTuple):
    """Numbers of images of an unlearning task; expected ones, which need not be whole."""

    forget: float
    retain: float
    out_of_sample: float


class Passes(NamedTuple):
    """Numbers of images that a run computes on, an image counted once for each pass over it.

    Attributes:
        inference: Images of forward passes alone.
        training: Images of forward passes that a backward pass follows.
        precision: ``fp32`` where a method computes in single precision whatever the config's
            training does; else "".
    """

    inference: float = 0
    training: float = 0
    precision: str = ""


@dataclass(frozen=True)
class UnlearningTask:
    """Inputs that a method may use; nothing here knows of the ``test`` role or the attacker.

    Attributes:
        model: The target model in evaluation mode, to be changed in place.
        spec: Shape of the model.
        images: (N, C, S, S) uint8 images of the defender: training set, then out-of-sample pool.
        labels: (N,) int64.
        forget, retain, out_of_sample: Positions in ``images``; forget and retain make up the
            training set.
        guide: The membership fingerprinting model, for methods guided by one; else None.
        training: The target's training section of the config.
        training_seed: The seed that the target was trained with.
        seed: The seed of this method's random numbers.
        progress: Checkpoint of the finished epochs, or None.
        build: Seed → a model like the target, freshly initialised, for methods that start afresh
            (:meth:`fresh_model`); None stands for the classifier of ``spec``.
    """

    model: Classifier
    spec: ModelSpec
    images: torch.Tensor
    labels: torch.Tensor
    forget: torch.Tensor
    retain: torch.Tensor
    out_of_sample: torch.Tensor
    guide: torch.nn.Module | None
    training: Mapping[str, Any]
    training_seed: int
    seed: int
    progress: EpochCheckpoint | None = None
    build: Callable[[int], torch.nn.Module] | None = None

    def fresh_model(self, seed: int) -> torch.nn.Module:
        """A model like the target, freshly initialised; all its randomness comes from ``seed``."""
        return build_model(self.spec, seed) if self.build is None else self.build(seed)

    def features(self, positions: torch.Tensor) -> MembershipFeatures:
        """Attack features under the current model, differentiable in its weights.

        The same mixed precision as in :func:`remibench.training.predict`, whose features the guide
        was fitted on.
        """
        images, precision = self.images[positions], self.training["precision"]
        hidden = penultimate_features(self.model, images, precision)
        head, labels = self.model.head, self.labels[positions]
        return membership_features(head(hidden), hidden, labels, head.weight)

    def logits(self, positions: torch.Tensor) -> torch.Tensor:
        """Float32 logits (B, classes) of the current model, in the target's mixed precision."""
        with autocast(self.images.device, self.training["precision"]):
            logits = self.model(self.images[positions])
        return logits.float()

    def loss(self, positions: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        """Mean cross-entropy of the current model; with other ``labels`` (N,), if not None."""
        labels = self.labels if labels is None else labels
        return functional.cross_entropy(self.logits(positions), labels[positions])

    @torch.no_grad()
    def snapshot(self) -> dict[str, float]:
        """Accuracy and the guide's positive rate on forget set and out-of-sample images.

        ``mf_forget`` and ``mf_out_of_sample`` are the shares that the guide calls members. The
        retain set, by far the largest, decides nothing during unlearning and is left out.

        Raises:
            DivergedError: An output of the model is not finite.
            RemibenchError: The guide returned something else than probabilities; names its file.
        """
        record = {}
        for name in ("forget", "out_of_sample"):
            positions = getattr(self, name)
            images, labels = self.images[positions], self.labels[positions]
            features = model_features(self.model, images, labels, self.training["precision"])
            if not features.logits.isfinite().all():  # no comparison with NaN is true
                raise DivergedError(
                    "the model's outputs are not finite: it diverged; lower the learning rate"
                )
            correct = features.logits.argmax(1) == labels
            record[f"accuracy_{name}"] = correct.float().mean().item()
            if self.guide is not None:
                scores = membership(self.guide, features)
                record[f"mf_{name}"] = (scores > 0.5).float().mean().item()
        return record


def open_task(
    dataset: PreparedDataset,
    spec: ModelSpec,
    *,
    target: str | Path,
    forget: str | Path,
    guide: str | Path | None,
    training: Mapping[str, Any],
    training_seed: int,
    seed: int,
    device: torch.device,
    progress: EpochCheckpoint | None = None,
) -> UnlearningTask:
    """Read the task of making one target model forget one forget set.

    Args:
        dataset: The dataset of the target; of it a task has the defender's roles alone.
        spec: The target's spec.
        target: The target's checkpoint.
        forget: npy file of (F,) int64 positions in the role ``target_train``.
        guide: File of the membership fingerprinting model, or None for a method without one.
        training, training_seed, seed, progress: See :class:`UnlearningTask`.
        device: Where model, images, positions and guide are to lie.

    Raises:
        RemibenchError: A file is missing, damaged, or holds something else.
    """
    images, labels = dataset.select(
        np.concatenate([dataset.roles[role] for role in DEFENDER]), device
    )
    training_images = len(dataset.roles["target_train"])
    forgotten = read_forget_set(forget, training_images)
    retained = np.setdiff1d(np.arange(training_images), forgotten)
    return UnlearningTask(
        model=load_model(target, spec, device),
        spec=spec,
        images=images,
        labels=labels,
        forget=torch.from_numpy(forgotten).to(device),
        retain=torch.from_numpy(retained).to(device),
        out_of_sample=torch.arange(training_images, len(labels), device=device),
        guide=load_attack(guide).to(device) if guide else None,
        training=training,
        training_seed=training_seed,
        seed=seed,
        progress=progress,
    )


def sgd(
    task: UnlearningTask, learning_rate: float, momentum: float | None = None
) -> torch.optim.SGD:
    """SGD on the task's model with the target's weight decay, and its momentum if none is given."""
    return torch.optim.SGD(
        task.model.parameters(),
        lr=learning_rate,
        momentum=task.training["momentum"] if momentum is None else momentum,
        weight_decay=task.training["weight_decay"],
        fused=True,
    )


def wrong_labels(task: UnlearningTask) -> torch.Tensor:
    """The task's labels (N,), those of forget images replaced by any other class at random."""
    generator = torch.Generator().manual_seed(derive_seed(task.seed, "wrong labels"))
    shifts = torch.randint(1, task.spec.classes, (len(task.forget),), generator=generator)
    labels = task.labels.clone()
    labels[task.forget] += shifts.to(labels.device)
    return labels % task.spec.classes


def learn_wrong_labels(
    task: UnlearningTask, optimizer: torch.optim.Optimizer, *, label: str, epochs: int
) -> History:
    """Minimise the cross-entropy on D_r and on D_f with wrong labels, in the target's batches.

    Arguments as in :func:`remibench.training.fit`.
    """
    labels = wrong_labels(task)
    training = torch.cat((task.forget, task.retain))
    return fit(
        task.model,
        optimizer,
        lambda batch: task.loss(training[batch], labels),
        len(training),
        label=label,
        epochs=epochs,
        batch_size=task.training["batch_size"],
        seed=task.seed,
        progress=task.progress,
        capture=True,
    )


def shuffled(positions: torch.Tensor) -> torch.Tensor:
    """The positions in random order."""
    order = torch.randperm(len(positions))
    return positions[order.to(positions.device, non_blocking=True)]


def draw(positions: torch.Tensor, count: int) -> torch.Tensor:
    """Positions drawn at random with replacement."""
    # Not blocking: a copy from ordinary memory is staged before the call returns, and waiting for
    # it would keep Python from launching ahead of a GPU.
    drawn = torch.randint(len(positions), (count,))
    return positions[drawn.to(positions.device, non_blocking=True)]


def run_method(
    module: str, task: UnlearningTask, parameters: Mapping[str, Any], may_diverge: bool = False
) -> History:
    """Run the method of a module on a task.

    Args:
        module: Name of a module of this package.
        task: The unlearning task, whose model is changed in place.
        parameters: Parameters of the method.
        may_diverge: Turn a model that diverged into one of zeros instead of raising. A search goes
            on then, and judges that candidate like any other destroyed model.

    Returns:
        The method's history; of a model that diverged, one record with ``diverged``.

    Raises:
        DivergedError: A loss, a weight or an output of the model on an image of the task is not
            finite, and ``may_diverge`` is not set.
        RemibenchError: The method left something else than its contract says; names its file.
    """
    method = f"remibench.unlearning.{module}"
    plugin, resumed = is_plugin(method), bool(task.progress and task.progress.path.exists())
    target = task.snapshot() if plugin else None
    before = checksums(task.model.state_dict()) if plugin else {}
    shapes = shapes_of(task.model)
    started = time.perf_counter()
    try:
        with guarded(method, "unlearn"):
            history = import_module(method).unlearn(task, **parameters)
        elapsed = time.perf_counter() - started
        for name, weight in task.model.named_parameters():
            if not weight.isfinite().all():
                raise DivergedError(f"{module}: {name!r} is not finite; {_SMALLER}")
        check_model(method, "unlearn", task.model, shapes)
        # Weights can be finite, and so large that what they compute is not.
        outputs = predict(task.model, task.images, task.training["precision"])
        if not all(output.isfinite().all() for output in outputs):
            raise DivergedError(f"{module}: outputs of the model are not finite; {_SMALLER}")
    except DivergedError:
        if not may_diverge:
            raise
        logger.exception("this candidate diverged; it counts as a model of zeros")
        for weight in task.model.parameters():
            torch.nn.init.zeros_(weight)
        return [{"epoch": 0, "seconds": time.perf_counter() - started, "diverged": 1}]
    check_history(method, history, None if resumed else elapsed, target)
    if plugin and history[-1]["epoch"] > 0 and checksums(task.model.state_dict()) == before:
        raise broken(
            method,
            "`unlearn` left every weight as it was; change task.model in place, not a copy of it",
        )
    return history


def unlearning_cost(history: History, loading_seconds: float) -> dict[str, float]:
    """Seconds (loading of model and data included, as in the paper) and epochs of a run.

    ``seconds_attack_loss`` is the part spent in the membership loss, for methods that have one.
    """
    cost = {
        "epochs": history[-1]["epoch"],
        "seconds": loading_seconds + sum(record["seconds"] for record in history),
    }
    if "seconds_attack_loss" in history[-1]:
        cost["seconds_attack_loss"] = sum(record["seconds_attack_loss"] for record in history)
    return cost
