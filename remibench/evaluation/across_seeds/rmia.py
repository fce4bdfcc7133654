"""A relative membership attack, after RMIA (Zarifzadeh et al. 2024)."""

from __future__ import annotations

import numpy as np

from remibench.evaluation.across_seeds import Comparison, Rows, attack_rates

LEAST_SEEDS = 2  # one other seed to refer to
GAMMA = 2.0  # the paper's
OFFLINE = 0.3  # the paper's a: how far p(x | θ) of models trained on x is from 1


def measure(comparison: Comparison) -> Rows:
    """Yield AUC and TPRs of two games on ``forget`` (:func:`attack_rates`), seed by seed held out.

    ``rmia_…``: forget images under the unlearned model against the same images under the retrained
    one, as ``ulira_…``. ``rmia_vs_test_…``: under the unlearned model, forget images against test
    images, the usual game of membership.

    References are the retrained models of all other seeds, none of which was trained on a forget
    or a test image: RMIA offline. (With targets among them, p(x) of forget images alone would be
    that of members.) Population Z is every other test image, from the first on; test images that
    are attacked are the others (where a kind of image is forgotten, those of that kind).
    """
    forget, test = comparison.subsets["forget"], comparison.subsets["test"]
    population = test[::2]
    negatives = np.setdiff1d(comparison.subsets.get("test_forget", test), population)
    if len(comparison.unlearned) < LEAST_SEEDS:
        return
    scores: dict[str, list[np.ndarray]] = {"unlearned": [], "retrained": [], "test": []}
    for held_out in range(len(comparison.unlearned)):
        others = np.arange(len(comparison.unlearned)) != held_out
        references = comparison.retrained[others]
        unlearned = relative(comparison.unlearned[held_out], references)
        retrained = relative(comparison.retrained[held_out], references)
        scores["unlearned"].append(exceeded(unlearned[forget], unlearned[population]))
        scores["retrained"].append(exceeded(retrained[forget], retrained[population]))
        scores["test"].append(exceeded(unlearned[negatives], unlearned[population]))
    games = {"rmia": "retrained", "rmia_vs_test": "test"}
    for name, kind in games.items():
        for metric, value in attack_rates(name, scores["unlearned"], scores[kind]):
            yield "forget", metric, value


def relative(margins: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Log of p(x | θ) / p(x), p(x) = [(1 + a) p_out(x) + 1 − a] / 2.

    p_out is the mean of p(x | θ') over reference models θ' that were not trained on x; models that
    were are taken to have a p_out + 1 − a, and p(x) is the mean of both.

    Args:
        margins: (N,) of the model θ; p(x | θ) is the probability of the label, 1 / (1 + e^−φ).
        references: (R, N) margins under the models θ'.

    Returns:
        (N,) natural logarithms.
    """
    out = np.exp(-np.logaddexp(0, -references)).mean(axis=0)
    return -np.logaddexp(0, -margins) - np.log(((1 + OFFLINE) * out + 1 - OFFLINE) / 2)


def exceeded(relatives: np.ndarray, population: np.ndarray, gamma: float = GAMMA) -> np.ndarray:
    """The share of z in Z with ratio(x) / ratio(z) ≥ γ, for every x: the score of RMIA.

    Args:
        relatives: (n,) log ratios of the images x, of :func:`relative`.
        population: (m,) those of Z.
        gamma: γ > 0.

    Returns:
        (n,) in [0, 1].
    """
    ordered = np.sort(population)
    return np.searchsorted(ordered, relatives - np.log(gamma), side="right") / len(ordered)
