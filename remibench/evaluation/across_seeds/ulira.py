"""A likelihood-ratio attack on every single image, after U-LiRA (Hayes et al. 2024)."""

from __future__ import annotations

import numpy as np

from remibench.evaluation.across_seeds import Comparison, Rows, attack_rates

MEASURED = ("forget", "retain", "test")
LEAST_SEEDS = 3  # two others have a standard deviation
FLOOR = 0.1  # of a standard deviation, in units of φ: what bf16 tells apart at φ = 16


def measure(comparison: Comparison) -> Rows:
    """Yield ``ulira_auc`` and ``ulira_tpr_at_…`` (:func:`attack_rates`), and ``ulira_accuracy``.

    Was this image unlearned from the model, or never in its training set? On ``retain`` and
    ``test``, whose images both models have and have not seen, what is told apart is a change of
    the model as a whole. ``ulira_accuracy`` is the share of right answers, ratio above 1, of both
    kinds of models.
    """
    for subset in MEASURED:
        at = comparison.subsets[subset]
        scores = log_ratios(comparison.unlearned[:, at], comparison.retrained[:, at])
        if scores is None:
            continue
        for metric, value in attack_rates("ulira", *scores):
            yield subset, metric, value
        positives, negatives = scores
        right = (positives > 0).mean() + (negatives <= 0).mean()
        yield subset, "ulira_accuracy", float(right / 2)


def log_ratios(
    unlearned: np.ndarray, retrained: np.ndarray, floor: float = FLOOR
) -> tuple[np.ndarray, np.ndarray] | None:
    """Log-likelihood ratios of held-out models: log N(φ; μ_u, σ_u) − log N(φ; μ_r, σ_r).

    For every image, means and deviations (with S − 2 degrees of freedom) of both populations are
    those of the *other* seeds; the held-out seed's unlearned and retrained model are then scored.

    Args:
        unlearned, retrained: (S, n) margins; row s of both has the same seed.
        floor: Least standard deviation.

    Returns:
        Scores (S, n) of the unlearned and of the retrained models; None for fewer than three seeds.
    """
    seeds = len(unlearned)
    if seeds < LEAST_SEEDS:
        return None
    scores = np.empty((2, *unlearned.shape))
    for held_out in range(seeds):
        others = np.arange(seeds) != held_out
        fitted = [
            (known[others].mean(axis=0), np.maximum(known[others].std(axis=0, ddof=1), floor))
            for known in (unlearned, retrained)
        ]
        for kind, models in enumerate((unlearned, retrained)):
            of_unlearned, of_retrained = (
                -(((models[held_out] - mean) / deviation) ** 2) / 2 - np.log(deviation)
                for mean, deviation in fitted
            )
            scores[kind, held_out] = of_unlearned - of_retrained
    return scores[0], scores[1]
