"""Separation of two populations by scores: area under the ROC curve, and its ends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

import numpy as np

RATES = {"1pct": Fraction(1, 100), "0.1pct": Fraction(1, 1000)}  # false-positive rates


def area_under_roc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """P(positive scores above negative) + ½ P(equal): the Mann-Whitney form of the AUC.

    NaN without negatives.
    """
    if not len(negatives):
        return math.nan
    ordered = np.sort(negatives)
    below, not_above = (np.searchsorted(ordered, positives, side) for side in ("left", "right"))
    return float((below + not_above).mean() / (2 * len(negatives)))


def operating_points(
    positives: np.ndarray, negatives: np.ndarray, rates: Mapping[str, Fraction] = RATES
) -> list[tuple[str, float]]:
    """True-positive rates at false-positive rates, with exact intervals.

    Args:
        positives, negatives: Scores; a sample is called positive above the threshold.
        rates: False-positive rates by the name that rows have.

    Returns:
        ``tpr_at_1pct``, ``tpr_at_1pct_low``, ``tpr_at_1pct_high`` and the same of .1 %. The
        interval is Clopper's and Pearson's (1934), of 95 %, at the threshold as it is. NaN where a
        rate is not measurable: of fewer than 1/FPR negatives, a single one exceeds it.
    """
    from scipy.stats import binomtest

    rows = []
    for name, rate in rates.items():
        count = true_positives(positives, negatives, rate)
        values = [math.nan] * 3
        if count is not None:
            interval = binomtest(count, len(positives)).proportion_ci(0.95, method="exact")
            values = [count / len(positives), float(interval.low), float(interval.high)]
        names = (f"tpr_at_{name}{end}" for end in ("", "_low", "_high"))
        rows += zip(names, values, strict=True)
    return rows


def true_positives(positives: np.ndarray, negatives: np.ndarray, rate: Fraction) -> int | None:
    """Number of positives above the most permissive threshold whose FPR does not exceed ``rate``.

    That is the (k + 1)-th largest negative score, k = ⌊rate · n⌋: at most k negatives are above it,
    and any lower threshold has more of them. The FPR is ``rate`` or less, never the nearest to it.

    Returns:
        The number, or None where n < 1 / rate: no threshold has an FPR between 0 and ``rate``.
    """
    allowed = math.floor(rate * len(negatives))
    if allowed == 0:
        return None
    threshold = np.partition(negatives, -allowed - 1)[-allowed - 1]
    return int((positives > threshold).sum())
