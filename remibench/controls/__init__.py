"""Controls, one module each: changes to the target model that forget nothing.

A control has ``alter(task) -> record``: it changes ``task.model`` in place without training and
returns numbers that say what it did. What it asks for beyond the target model and the forget set is
its constant ``USES``. ``KEEPS`` says what it leaves as it was: "predictions" (every posterior, all
that an attack on predictions may read) or "decisions" (the class of every image). Its model
is evaluated like that of an unlearning method: a number that cannot tell a control from retraining
does not show forgetting.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from numbers import Real

import torch

from remibench.components.guards import check_model, guarded, shapes_of
from remibench.components.plugins import broken
from remibench.models import Classifier, ModelSpec
from remibench.training import History


@dataclass(frozen=True)
class ControlTask:
    """Inputs that a control may use.

    Attributes:
        model: The target model in evaluation mode, to be changed in place.
        spec: Shape of the model.
        images: (N, C, S, S) uint8 images of the forget set.
        labels: (N,) int64.
        precision: See :func:`remibench.training.predict`.
        retrained: The model retrained without the forget set, where ``USES`` has "retrained".
        attack: The attacker's white-box attack, where ``USES`` has "attack".
        published: The paper's white-box MIA rate on the forget set after ReMI (Table IV) in this
            cell, where ``USES`` has "published" and the paper has a number.
    """

    model: Classifier
    spec: ModelSpec
    images: torch.Tensor
    labels: torch.Tensor
    precision: str
    retrained: Classifier | None = None
    attack: torch.nn.Module | None = None
    published: float | None = None


@torch.no_grad()
def run_control(name: str, task: ControlTask) -> History:
    """Run the control of that name on a task.

    Returns:
        One record: ``epoch`` (0), ``seconds`` and what the control says of itself.

    Raises:
        RemibenchError: The control left something else than its contract says; names its file.
    """
    module, shapes = f"remibench.controls.{name}", shapes_of(task.model)
    started = time.perf_counter()
    with guarded(module, "alter"):
        record = import_module(module).alter(task)
    check_model(module, "alter", task.model, shapes)
    if not isinstance(record, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Real) for key, value in record.items()
    ):
        raise broken(module, f"`alter` returned {record!r:.80}; it returns numbers by name")
    if not all(weight.isfinite().all() for weight in task.model.parameters()):
        raise broken(module, "`alter` left a weight that is not finite")
    return [{"epoch": 0, "seconds": time.perf_counter() - started, **record}]
