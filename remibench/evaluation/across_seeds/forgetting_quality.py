"""Forgetting quality of the NeurIPS 2023 unlearning competition (Triantafillou et al. 2024)."""

from __future__ import annotations

import numpy as np

from remibench.evaluation.across_seeds import Comparison, Rows, across_halves

DELTA = 1e-5
BUCKET = 0.5  # of ε; each next one halves the score
LEAST_SEEDS = 3  # of fewer models no finite ε above 0 can be measured
CHUNK = 500  # images at once


def measure(comparison: Comparison) -> Rows:
    """Yield ``forgetting_quality``, ``epsilon_median`` and ``epsilon_separated`` of ``forget``.

    The first is the mean of :func:`points` over the forget set, in [0, 1]; the last the share of
    images by which every unlearned model is told from every retrained one (ε = ∞).

    ``forgetting_quality_halves`` compares the unlearned models of one half of the seeds with the
    retrained ones of the other half, ``forgetting_quality_floor`` the retrained ones with each
    other in the same way (means of both directions): what a perfect method would reach.
    """
    at = comparison.subsets["forget"]
    unlearned, retrained = comparison.unlearned[:, at], comparison.retrained[:, at]
    models = len(unlearned)
    if models < LEAST_SEEDS:
        return
    epsilon = epsilons(unlearned, retrained)
    yield "forget", "forgetting_quality", float(points(epsilon, models).mean())
    yield "forget", "epsilon_median", float(np.median(epsilon))
    yield "forget", "epsilon_separated", float(np.isinf(epsilon).mean())
    half = models // 2
    if half < LEAST_SEEDS:
        return

    def compare(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return points(epsilons(one, other), half)

    kinds = {"forgetting_quality_halves": unlearned, "forgetting_quality_floor": retrained}
    for name, margins in kinds.items():
        yield "forget", name, across_halves(compare, margins, retrained)


def points(epsilon: np.ndarray, models: int) -> np.ndarray:
    """1 for ε in [0, ½), ½ in [½, 1), ¼ in [1, 1½) …; 0 from ⌈ln(models − 1)⌉ on.

    Args:
        epsilon: ε of any shape, ≥ 0, or ∞.
        models: Number of models of each population; no finite ε is above ln(models − 1).
    """
    capped = epsilon >= np.ceil(np.log(models - 1))
    bucket = np.floor(np.where(capped, 0, epsilon) / BUCKET)
    return np.where(capped, 0.0, 2.0**-bucket)


def epsilons(unlearned: np.ndarray, retrained: np.ndarray, delta: float = DELTA) -> np.ndarray:
    """The greatest ε that an attack on every image's margin shows, (n,).

    Attacks are all intervals of φ, bounded on one or both sides, whose ends part the observed
    margins differently, and each says "unlearned" or "retrained" of a model inside. One with
    false-positive rate a and false-negative rate b shows

        ε = max(ln(1 − δ − a) − ln b, ln(1 − δ − b) − ln a).

    If a = b = 0, ε is ∞; if one of them is 0, the attack is discarded, since with so few models it
    shows nothing. ε is 0 if no attack is left.

    Args:
        unlearned, retrained: (S, n) and (T, n) margins.
        delta: δ.
    """
    starts = range(0, unlearned.shape[1], CHUNK)
    chunks = ([models[:, at : at + CHUNK] for models in (unlearned, retrained)] for at in starts)
    return np.concatenate([_epsilons(*chunk, delta) for chunk in chunks])


def _epsilons(unlearned: np.ndarray, retrained: np.ndarray, delta: float) -> np.ndarray:
    margins = np.concatenate((unlearned, retrained))
    order = np.argsort(margins, axis=0)
    ordered = np.take_along_axis(margins, order, axis=0)
    none = np.zeros((1, margins.shape[1]), np.int64)
    below = np.concatenate((none, np.cumsum(order < len(unlearned), axis=0)))
    below_any = np.arange(len(below))[:, None]
    possible = np.concatenate((none == 0, ordered[1:] > ordered[:-1], none == 0))
    low, high = np.triu_indices(len(below), 1)
    share_u = (below[high] - below[low]) / len(unlearned)  # shares of the models inside
    share_r = (below_any[high] - below_any[low] - below[high] + below[low]) / len(retrained)
    shown = np.maximum(_shown(share_r, 1 - share_u, delta), _shown(share_u, 1 - share_r, delta))
    return np.where(possible[low] & possible[high], shown, 0.0).max(axis=0)


def _shown(false_positives: np.ndarray, false_negatives: np.ndarray, delta: float) -> np.ndarray:
    """ε of attacks by their two rates; 0 for those that are discarded."""
    with np.errstate(divide="ignore", invalid="ignore"):
        bounds = [
            np.log(1 - delta - one) - np.log(other)
            for one, other in (
                (false_positives, false_negatives),
                (false_negatives, false_positives),
            )
        ]
    epsilon = np.fmax(np.fmax(*bounds), 0)
    zero = (false_positives == 0).astype(int) + (false_negatives == 0)
    return np.select([zero == 2, zero == 1], [np.inf, 0.0], epsilon)
