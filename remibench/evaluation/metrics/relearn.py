"""Relearn time: how soon training on D_f alone brings back what the target knew of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn import functional

from remibench.evaluation.metrics import Evaluation, Rows
from remibench.jobs.torch_setup import autocast
from remibench.models import Classifier
from remibench.training import epoch_randomness, equal_batches, predict

NAMES = ("relearn_steps", "relearn_capped")  # of its rows

MAX_EPOCHS = 50  # passes over D_f, as many as the target made by default


def measure(evaluation: Evaluation) -> Rows:
    """Yield ``relearn_steps`` and ``relearn_capped`` (0 or 1) on ``forget``.

    Steps of the target's SGD on batches of D_f, from the unlearned model, until the mean loss
    on D_f is at most the target's (Golatkar et al. 2020); 0 if it is from the start. The loss is
    looked at after every pass over D_f. A model that has not relearned after 50 of them has their
    steps, and ``relearn_capped`` is 1: it takes longer.
    """
    forget = evaluation.subsets["forget"]
    goal = evaluation.before().loss[forget].mean().item()
    steps, capped = 0, False
    if evaluation.features.loss[forget].mean().item() > goal:
        steps, capped = relearn(
            evaluation.model,
            evaluation.images[forget],
            evaluation.labels[forget],
            goal,
            evaluation.training,
            evaluation.seed,
        )
    yield "forget", "relearn_steps", float(steps)
    yield "forget", "relearn_capped", float(capped)


def relearn(
    model: Classifier,
    images: torch.Tensor,
    labels: torch.Tensor,
    goal: float,
    training: Mapping[str, Any],
    seed: int,
) -> tuple[int, bool]:
    """Train a copy of the model until its mean loss on all images is at most ``goal``.

    Args:
        model: Left as it is.
        images, labels: (N, C, S, S) uint8 and (N,) int64.
        goal: Mean cross-entropy in nats.
        training: See :class:`~remibench.evaluation.metrics.Evaluation`. The batches of an epoch
            are of equal size up to one image: none holds a single one, which batch-norm could
            not normalise.
        seed: Seed of the order of the images and of dropout.

    Returns:
        Steps taken, and whether ``MAX_EPOCHS`` were not enough.
    """
    model = copy.deepcopy(model).requires_grad_(requires_grad=True)
    settings = {name: training[name] for name in ("momentum", "weight_decay")}
    optimizer = torch.optim.SGD(model.parameters(), lr=training["learning_rate"], **settings)
    batches = equal_batches(len(labels), training["batch_size"])
    for epoch in range(1, MAX_EPOCHS + 1):
        model.train()
        with epoch_randomness(seed, epoch, images.device):
            for batch in torch.randperm(len(labels)).to(images.device).tensor_split(batches):
                with autocast(images.device, training["precision"]):
                    logits = model(images[batch])
                loss = functional.cross_entropy(logits.float(), labels[batch])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
        logits, _ = predict(model.eval(), images, training["precision"])
        if functional.cross_entropy(logits, labels).item() <= goal:
            return epoch * batches, False
    return MAX_EPOCHS * batches, True
