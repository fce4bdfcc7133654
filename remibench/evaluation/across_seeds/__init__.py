"""Single images under all seeds' models, one family per module: ``measure(comparison) -> rows``.

A metric of :mod:`remibench.evaluation.metrics` looks at one model and many images. These look at
one image and many models: those unlearned from every seed's target, beside those retrained without
the forget set, which must be the same for all seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from remibench.analysis.statistics import t_interval
from remibench.components.guards import check_rows
from remibench.components.plugins import broken
from remibench.errors import RemibenchError
from remibench.evaluation.predictions import SUBSETS, Scores
from remibench.evaluation.roc import RATES, area_under_roc, true_positives

Rows = Iterable[tuple[str, str, float]]  # subset, metric, value


@dataclass(frozen=True)
class Comparison:
    """The margins φ of N images under the models of S seeds, at one forget ratio.

    Attributes:
        unlearned: (S, N) float64, of a method's models, see
            :func:`remibench.evaluation.predictions.margins`.
        retrained: (S, N), of the models retrained without the forget set; row by row of the same
            seeds.
        subsets: Positions of the images of ``forget``, ``retain``, ``test``, ``out_of_sample``, and
            where a kind of image is forgotten of ``test_forget``, the test images of that kind.
    """

    unlearned: np.ndarray
    retrained: np.ndarray
    subsets: Mapping[str, np.ndarray]


def comparisons(
    unlearned: Sequence[Scores], retrained: Sequence[Scores]
) -> Iterator[tuple[float, Comparison]]:
    """Yield every forget ratio with its comparison.

    Args:
        unlearned, retrained: One per seed, the same seeds in the same order.

    Raises:
        RemibenchError: The forget sets or images are not the same for all.
    """
    first = unlearned[0]
    for scores in (*unlearned, *retrained):
        for name in ("images", "ratios", "subset"):
            if not np.array_equal(getattr(first, name), getattr(scores, name)):
                raise RemibenchError(
                    "forget sets differ between seeds or methods, so that their models cannot be "
                    "compared image by image; run the same snakemake command again with "
                    "`--forcerun select_forget_set`"
                )
    for place, ratio in enumerate(first.ratios):
        kinds = (
            np.array([scores.at(place, scores.margins) for scores in models], np.float64)
            for models in (unlearned, retrained)
        )
        subsets = {
            name: np.flatnonzero(first.subset[place] == number)
            for number, name in enumerate(SUBSETS)
        }
        if first.alike is not None:
            subsets["test_forget"] = np.flatnonzero(first.alike)
        yield float(ratio), Comparison(*kinds, subsets)


def measure_all(metrics: Sequence[str], comparison: Comparison) -> list[tuple[str, str, float]]:
    """The rows of metrics across seeds, no two of the same quantity.

    Raises:
        RemibenchError: A metric returned no rows, or one is no (subset, metric, number), or another
            metric's; names the metric's file.
    """
    for array in (comparison.unlearned, comparison.retrained, *comparison.subsets.values()):
        array.flags.writeable = False  # the next metric is to see the same
    rows: dict[tuple[str, str], tuple[str, str, float]] = {}
    for metric in metrics:
        name = f"remibench.evaluation.across_seeds.{metric}"
        measured = import_module(name).measure(comparison)
        for row in check_rows(name, measured, comparison.subsets):
            if row[:2] in rows:
                raise broken(
                    name,
                    f"`measure` yielded {row[1]!r} of {row[0] or 'no subset'}, as another metric "
                    "does: they would be averaged; rename it",
                )
            rows[row[:2]] = row
    return list(rows.values())


def halves(models: int) -> tuple[slice, slice]:
    """Two equal halves of the seeds: every other one, from the first and from the second on."""
    even = models - models % 2
    return slice(0, even, 2), slice(1, even, 2)


def across_halves(
    compare: Callable[[np.ndarray, np.ndarray], np.ndarray], one: np.ndarray, other: np.ndarray
) -> float:
    """Mean of a comparison of one half of the seeds with the other half, in both directions.

    Args:
        compare: Margins (H, n) of two populations → a number for each of n images.
        one, other: (S, n) margins of both.
    """
    first, second = halves(len(one))
    both = [compare(one[a], other[b]).mean() for a, b in ((first, second), (second, first))]
    return float(np.mean(both))


def attack_rates(
    name: str, positives: Sequence[np.ndarray], negatives: Sequence[np.ndarray]
) -> Iterator[tuple[str, float]]:
    """AUC and true-positive rates of an attack on one held-out model after the other: their means.

    Scores are compared within a held-out seed alone: there, both models are equally unknown to the
    attack, so that its AUC is .5 on average where they do not differ. (Scores of all seeds in one
    pool are fitted on each other's models.)

    Args:
        name: Name of the attack.
        positives, negatives: Scores, one array per held-out seed.

    Yields:
        ``<name>_auc``, ``<name>_tpr_at_1pct``, ``<name>_tpr_at_0.1pct``, each with ``_low`` and
        ``_high``: the 95 % t-interval over held-out seeds. It is symmetric, since its ends are not
        cut off at 0 and 1; and it covers less than 95 %, since held-out seeds share what the attack
        is fitted on (docs/across_seeds.md). NaN where a rate is not measurable with so few
        negatives (:func:`remibench.evaluation.roc.true_positives`).
    """
    pairs = list(zip(positives, negatives, strict=True))
    values = {"auc": [area_under_roc(*pair) for pair in pairs]}
    for rate, share in RATES.items():
        counts = [true_positives(*pair, share) for pair in pairs]
        values[f"tpr_at_{rate}"] = [
            np.nan if count is None else count / len(scores)
            for count, (scores, _) in zip(counts, pairs, strict=True)
        ]
    for metric, series in values.items():
        low, high = t_interval(np.array(series))
        yield f"{name}_{metric}", float(np.mean(series))
        yield f"{name}_{metric}_low", low
        yield f"{name}_{metric}_high", high
