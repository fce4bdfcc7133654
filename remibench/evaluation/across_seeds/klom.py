"""KL divergence of margins, unlearned against retrained models (Georgiev et al. 2024)."""

from __future__ import annotations

import numpy as np

from remibench.evaluation.across_seeds import Comparison, Rows, across_halves

MEASURED = ("forget", "retain", "test")
BINS = 20
LIMIT = 100.0  # margins are clipped to ±
LEAST = 1e-5  # probability of an empty bin of the retrained models


def measure(comparison: Comparison) -> Rows:
    """Yield ``klom`` and ``klom_p95``, mean and 95 % quantile over the images of every subset.

    ``klom_halves`` compares the unlearned models of one half of the seeds with the retrained ones
    of the other half, and ``klom_floor`` the retrained ones with each other in the same way (means
    of both directions): so few models give a divergence where there is none. A floor is subtracted
    nowhere.
    """
    for subset in MEASURED:
        at = comparison.subsets[subset]
        unlearned, retrained = comparison.unlearned[:, at], comparison.retrained[:, at]
        divergence = divergences(unlearned, retrained)
        yield subset, "klom", float(divergence.mean())
        yield subset, "klom_p95", float(np.quantile(divergence, 0.95))
        if len(unlearned) < 2:
            continue
        for name, models in {"klom_halves": unlearned, "klom_floor": retrained}.items():
            yield subset, name, across_halves(divergences, models, retrained)


def divergences(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """KL(unlearned ‖ retrained) of every image's histograms of margins over models, in nats.

    The bins of an image have equal width between its least and greatest margin in both
    populations, and the last one includes the greatest. Probabilities of the retrained models are
    at least ``LEAST`` and then normalised, which leaves equal populations a divergence of at most
    2e-4. Where all margins are equal, they are in one bin.

    Args:
        unlearned, retrained: (S, n) and (T, n) margins.

    Returns:
        (n,), at most about ln(1 / ``LEAST``) = 11.5.
    """
    both = np.clip(np.concatenate((unlearned, retrained)), -LIMIT, LIMIT)
    low = both.min(axis=0)
    width = np.ptp(both, axis=0)
    place = (both - low) * np.divide(BINS, width, out=np.zeros_like(width), where=width > 0)
    place = np.minimum(place.astype(np.int64), BINS - 1) + BINS * np.arange(both.shape[1])
    parts = np.split(place, [len(unlearned)])
    p, q = (
        np.bincount(part.ravel(), minlength=BINS * both.shape[1]).reshape(-1, BINS) / len(part)
        for part in parts
    )
    q = np.maximum(q, LEAST)
    q /= q.sum(axis=1, keepdims=True)
    logs = np.log(np.divide(p, q, out=np.ones_like(p), where=p > 0))
    return (p * logs).sum(axis=1)
