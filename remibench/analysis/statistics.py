"""Statistics: intervals, paired tests and their correction. Arrays and frames in, numbers out.

What each of them is for, and what it assumes, is in docs/statistics.md.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

LEVEL = 0.05
DECIMALS = 6  # rates are stored in single precision: below this, differences are rounding errors


def standard_error(values: np.ndarray, least: float = 0.0) -> float:
    """Standard error of the mean of independent seeds, from a standard deviation ≥ ``least``.

    NaN for fewer than two values; a ``least`` of NaN is none.
    """
    count = len(values)
    return max(float(np.std(values, ddof=1)), least) / np.sqrt(count) if count > 1 else np.nan


def t_interval(
    values: np.ndarray, confidence: float = 0.95, least: float = 0.0
) -> tuple[float, float]:
    """Student's t-interval of the mean of independent seeds; NaN for a single seed.

    ``least``: see :func:`standard_error`.
    """
    if len(values) < 2:
        return np.nan, np.nan
    half = special.stdtrit(len(values) - 1, (1 + confidence) / 2) * standard_error(values, least)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def welch(
    values: np.ndarray, reference: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float, float]:
    """Difference of the means of two independent samples, by Welch's t-test (Welch 1947).

    Variances may differ; degrees of freedom are Satterthwaite's. The same as
    ``scipy.stats.ttest_ind(values, reference, equal_var=False)``.

    Returns:
        mean(values) − mean(reference), its interval, and the two-sided p-value; the last three are
        NaN where a sample has fewer than two values, or neither varies.
    """
    a, b = np.asarray(values, float), np.asarray(reference, float)
    difference = float(a.mean() - b.mean())
    if min(len(a), len(b)) < 2 or (np.ptp(a) == 0 and np.ptp(b) == 0):
        return difference, np.nan, np.nan, np.nan
    parts = np.array([np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)])
    error = np.sqrt(parts.sum())
    freedom = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()
    half = special.stdtrit(freedom, (1 + confidence) / 2) * error
    p = 2 * special.stdtr(freedom, -abs(difference) / error)
    return difference, float(difference - half), float(difference + half), float(p)


def summarise(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean of ``value`` with its 95 % t-interval and number of seeds, per group.

    Returns:
        Columns ``by``, ``mean``, ``low``, ``high``, ``seeds``, in the order of first appearance.
    """
    records = []
    for key, values in rows.groupby(by, sort=False)["value"]:
        low, high = t_interval(values.to_numpy())
        records.append((*key, values.mean(), low, high, len(values)))
    return pd.DataFrame(records, columns=[*by, "mean", "low", "high", "seeds"])


def binomial_interval(
    successes: np.ndarray | int, n: np.ndarray | int, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Exact (Clopper–Pearson) interval of a probability, from k successes in n independent trials.

    Its ends are the α/2 quantile of Beta(k, n − k + 1) and the 1 − α/2 quantile of
    Beta(k + 1, n − k), with 0 and 1 where k is 0 or n (Clopper & Pearson 1934). That is what
    ``scipy.stats.binomtest(k, n).proportion_ci()`` solves for one k; this is for arrays too.

    Args:
        successes: k, whole numbers from 0 to n.
        n: Trials, at least 1.
        confidence: 1 − α.

    Returns:
        Low and high ends, shares in [0, 1].

    Raises:
        ValueError: k is not a whole number from 0 to n, or n is 0.
    """
    k, n = np.asarray(successes, float), np.asarray(n, float)
    if np.any((k < 0) | (k > n) | (n < 1) | (k != np.round(k)) | (n != np.round(n))):
        raise ValueError("successes must be whole numbers from 0 to n, and n at least 1")
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k == 0, 0.0, special.betaincinv(k, n - k + 1, tail))
        high = np.where(k == n, 1.0, special.betaincinv(k + 1, n - k, 1 - tail))
    return low, high


def holm(p: np.ndarray) -> np.ndarray:
    """p-values adjusted for their number by Holm's step-down method (Holm 1979).

    The i-th smallest of m p-values is multiplied by m − i + 1; an adjusted value is never below a
    smaller p-value's, nor above 1. NaN (no test was possible) stays NaN and does not count in m.
    """
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    order = [k for k in np.argsort(p, kind="stable") if not np.isnan(p[k])]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted


def smallest_wilcoxon_p(pairs: int) -> float:
    """The least two-sided p that the exact signed-rank test of so many pairs can give: 2 / 2ⁿ."""
    return min(1.0, 2.0 ** (1 - pairs))


def signed_rank_p(differences: np.ndarray) -> float:
    """The two-sided p of Wilcoxon's signed-rank test, to the bit that of ``scipy.stats.wilcoxon``.

    It depends on the ranks alone. Without ties these are 1 … n, and equal sums of those of positive
    differences have equal p. With ties among up to 13 differences SciPy tests all 2ⁿ signs, and
    ranks anew at every one of them; here the same test is given the ranks. Tables of many cells
    take a hundredth of the time.

    Args:
        differences: Differences of pairs, none of them 0; infinite ones are allowed.
    """
    from scipy.stats import permutation_test, rankdata, wilcoxon  # slow to import

    magnitudes = np.abs(differences)
    order = np.argsort(magnitudes)
    if np.all(magnitudes[order[1:]] > magnitudes[order[:-1]]):
        positive = 1 + np.flatnonzero(differences[order] > 0)  # their ranks
        return _p_without_ties(len(order), int(positive.sum()))
    if len(differences) > 13:
        return wilcoxon(differences).pvalue
    ranks = rankdata(magnitudes)
    return permutation_test(
        (differences,),
        lambda signed, axis: np.where(signed > 0, ranks, 0).sum(axis),
        permutation_type="samples",
        vectorized=True,
    ).pvalue


@cache
def _p_without_ties(pairs: int, positive: int) -> float:
    """The p of so many pairs without ties, by the sum of the ranks of positive differences."""
    from scipy.stats import wilcoxon

    differences = -np.arange(1.0, pairs + 1)
    for rank in range(pairs, 0, -1):
        if rank <= positive:
            differences[rank - 1] = rank
            positive -= rank
    return wilcoxon(differences).pvalue


def paired_differences(values: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``values − reference``; equal infinities differ by 0, and rounding errors are cut off."""
    with np.errstate(invalid="ignore"):
        differences = np.where(values == reference, 0.0, values - reference)
    return np.round(differences, DECIMALS)


class PairedTest(NamedTuple):
    """A comparison of pairs, see :func:`compare_pairs`."""

    gap: float
    low: float
    high: float
    n: int
    p: float
    p_equivalence: float
    remark: str


def compare_pairs(values: np.ndarray, reference: np.ndarray, margin: float = np.nan) -> PairedTest:
    """Compare paired values: mean difference with its 95 % t-interval, and two tests of it.

    Wilcoxon's signed-rank test leaves out differences of 0, as Wilcoxon did. Its p-value is exact
    without ties up to 50 pairs and with ties up to 13, otherwise from the normal approximation
    (``scipy.stats.wilcoxon``). Where even the least p possible, 2 / 2ⁿ, is not below .05 (n < 6
    non-zero differences), there is no p-value and ``remark`` says so.

    Args:
        values, reference: A value per pair each; pairs in which one of them is NaN do not count.
        margin: The margin of the equivalence test, see :func:`equivalence_p`; NaN for none.

    Returns:
        ``gap`` (mean of ``values`` − ``reference``), ``low`` and ``high`` (95 % t-interval of it),
        ``n`` (pairs), ``p`` (two-sided), ``p_equivalence``, ``remark``.
    """
    paired = ~(np.isnan(values) | np.isnan(reference))
    differences = paired_differences(values[paired], reference[paired])
    finite = np.isfinite(differences).all()
    low, high = t_interval(differences) if finite else (np.nan, np.nan)
    remarks = [] if finite else ["infinite difference: no interval"]
    if len(differences) == 1:
        remarks.append("n = 1: no interval")
    nonzero = differences[differences != 0]
    p = np.nan
    if smallest_wilcoxon_p(len(nonzero)) < LEVEL:
        p = signed_rank_p(nonzero)
    elif len(differences) and not len(nonzero):
        remarks.append("no pair differs")
    else:
        remarks.append(f"n too small: {len(nonzero)} of the 6 differing pairs that a test needs")
    mean = differences.mean() if len(differences) else np.nan
    equivalent = equivalence_p(differences, margin)
    return PairedTest(mean, low, high, len(differences), p, equivalent, "; ".join(remarks))


def equivalence_p(differences: np.ndarray, margin: float) -> float:
    """Test by two one-sided t-tests (TOST, Schuirmann 1987) that a mean is within ± margin.

    The null hypotheses are that the mean is at most −margin, and that it is at least margin; the
    greater p of the two. It is below .05 exactly where the 90 % t-interval lies within ± margin.

    Args:
        differences: Differences of pairs.
        margin: Greatest difference that counts as none, > 0.

    Returns:
        p, or NaN for fewer than two pairs, for differences that are all equal (they say nothing of
        how they vary) or infinite, and for a margin that is NaN.
    """
    differences = np.asarray(differences, float)
    if len(differences) < 2 or np.isnan(margin) or not np.isfinite(differences).all():
        return np.nan
    if np.ptp(differences) == 0:
        return np.nan
    tails = (np.array([1, -1]) * differences.mean() + margin) / standard_error(differences)
    return float(special.stdtr(len(differences) - 1, -tails).max())


def ks_efficacy(scores: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
    """Two-sample Kolmogorov–Smirnov test of a method's efficacy scores against retraining's.

    Args:
        scores, reference: One score per seed each; infinite ones are allowed.

    Returns:
        The statistic max |F₁ − F₂|, and its two-sided p-value (exact for these sizes), which is
        NaN where even samples that do not overlap could not give p < .05 (fewer than 4 seeds
        each: the least p is 2 / C(n + m, n)). Both are NaN without scores.
    """
    scores, reference = (np.asarray(x, float) for x in (scores, reference))
    scores, reference = scores[~np.isnan(scores)], reference[~np.isnan(reference)]
    if not len(scores) or not len(reference):
        return np.nan, np.nan
    from scipy.stats import ks_2samp

    result = ks_2samp(scores, reference)
    least = ks_2samp(np.zeros(len(scores)), np.ones(len(reference))).pvalue
    return float(result.statistic), float(result.pvalue) if least < LEVEL else np.nan
