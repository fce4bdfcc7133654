"""A constant added to all logits: every posterior is as it was."""

from __future__ import annotations

from remibench.controls import ControlTask
from remibench.errors import RemibenchError
from remibench.models import Classifier

LABEL = "Control: shift"
COLOUR = "#404040"
MARKER = "D"
ORDER = 200
KEEPS = "predictions"
CONSTANT = -20.0  # in nats


def shift(model: Classifier, constant: float) -> None:
    """Add a constant to all logits, in place."""
    model.head.bias.data += constant


def alter(task: ControlTask) -> dict[str, float]:
    """Shift the target's logits; ``constant`` is by how much.

    Raises:
        RemibenchError: The last layer has no bias.
    """
    if task.model.head.bias is None:
        raise RemibenchError(
            "control shift: the model's last layer has no bias; take shift out of `controls`"
        )
    shift(task.model, CONSTANT)
    return {"constant": CONSTANT}
