"""All logits times one factor, which gives white-box MIA the rate on D_f of the retrained model.

No decision changes, and nothing is forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from remibench.attacks import membership
from remibench.attacks.features import model_features
from remibench.controls import ControlTask
from remibench.models import Classifier

LABEL = "Control: temperature"
COLOUR = "#9a9a9a"
MARKER = "$\\mathbf{T}$"
ORDER = 220
KEEPS = "decisions"
USES = ("retrained", "attack")
DOUBLINGS, HALVINGS = 10, 30  # of the search for the factor


def scale_logits(model: Classifier, factor: float) -> None:
    """Multiply all logits by a factor, in place: a temperature of 1 / factor."""
    for parameter in model.head.parameters():
        parameter.data *= factor


def find_factor(rate: Callable[[float], float], goal: float) -> tuple[float, float]:
    """The factor whose rate is nearest to a goal, by bisection of its logarithm.

    The rate need not be monotone. Brackets are doubled, from 1, until they enclose the goal or
    reach 2^±10; of all factors that were tried, the nearest to 1 of those nearest to the goal is
    taken.

    Args:
        rate: Factor of the logits → rate.
        goal: The rate to reach.

    Returns:
        The factor, and its rate.
    """
    tried = {1.0: rate(1.0)}

    def measure(factor: float) -> float:
        if factor not in tried:
            tried[factor] = rate(factor)
        return tried[factor]

    low = high = 1.0
    while measure(low) > goal and low > 2.0**-DOUBLINGS:
        low /= 2
    while measure(high) < goal and high < 2.0**DOUBLINGS:
        high *= 2
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        if measure(middle) > goal:
            high = middle
        else:
            low = middle
    best = min(tried, key=lambda factor: (abs(tried[factor] - goal), abs(math.log(factor))))
    return best, tried[best]


def attack_rate(task: ControlTask, model: Classifier) -> Callable[[float], float]:
    """Share of the forget set that the attack calls members, by the factor of a model's logits."""
    seen = model_features(model, task.images, task.labels, task.precision)

    def rate(factor: float) -> float:
        scores: torch.Tensor = membership(task.attack, seen.scaled(factor))
        return (scores > 0.5).double().mean().item()

    return rate


def cool(task: ControlTask, goal: float) -> dict[str, float]:
    """Give the target the factor that reaches a rate on the forget set; all three are returned."""
    factor, rate = find_factor(attack_rate(task, task.model), goal)
    scale_logits(task.model, factor)
    return {"factor": factor, "rate": rate, "goal": goal}


def alter(task: ControlTask) -> dict[str, float]:
    """Scale the target's logits until its rate on the forget set is the retrained model's."""
    return cool(task, attack_rate(task, task.retrained)(1.0))
