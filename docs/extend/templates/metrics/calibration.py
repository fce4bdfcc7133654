"""Calibration error: the difference of a model's confidence from its accuracy."""

import torch

from remibench.evaluation.metrics import Evaluation, Rows

BINS = 10


def measure(evaluation: Evaluation) -> Rows:
    """Yield ``calibration_error`` of every subset: Σ_b n_b / n · |accuracy_b − confidence_b|.

    The expected calibration error over ten equal bins of the greatest posterior (Guo et al. 2017):
    0 where, of images predicted with 80 %, 80 % are right; at most 1.
    """
    confidence, predicted = evaluation.features.posteriors.max(dim=1)
    excess = (predicted == evaluation.labels).double() - confidence.double()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    for subset, positions in evaluation.subsets.items():
        sums = torch.zeros(BINS, dtype=torch.float64, device=excess.device)
        sums.index_add_(0, bins[positions], excess[positions])
        yield subset, "calibration_error", sums.abs().sum().item() / len(positions)
