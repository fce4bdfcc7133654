"""Efficacy score of Becker & Liebig 2022, the paper's measure of leakage."""

import math

from remibench.evaluation.metrics import Evaluation, Rows
from remibench.per_sample import squared_norms

NAMES = ("efficacy",)  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield ``efficacy`` on the forget set: 1 / mean of ‖∂ log p(y | x) / ∂w‖².

    The score is largest for a model that memorised its images (their gradients vanish), so it is to
    be read against the retrained model's, not against zero. It is infinite where every gradient is
    zero in single precision.
    """
    forget = evaluation.subsets["forget"]
    norms = squared_norms(evaluation.model, evaluation.images[forget], evaluation.labels[forget])
    mean = norms.double().mean().item()
    yield "forget", "efficacy", 1 / mean if mean > 0 else math.inf
