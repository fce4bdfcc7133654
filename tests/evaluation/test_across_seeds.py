"""Comparisons across seeds: against closed forms, naive loops, scipy and scikit-learn."""

from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.text import Text
from scipy import special, stats
from sklearn.metrics import roc_auc_score
from support.pages import note, shown
from support.synthetic import synthetic_results

from remibench.analysis.results import ACROSS_SEEDS, COLORS, NUMBERS, Results
from remibench.analysis.statistics import t_interval
from remibench.artifacts.tables import write_csv
from remibench.components.registry import components
from remibench.data.forget_sets import mean_scores, select_forget_set
from remibench.errors import RemibenchError
from remibench.evaluation.across_seeds import (
    Comparison,
    attack_rates,
    comparisons,
    forgetting_quality,
    halves,
    klom,
    rmia,
    ulira,
)
from remibench.evaluation.predictions import (
    SUBSETS,
    Scores,
    join_scores,
    load_scores,
    margins,
    save_scores,
    score_images,
)
from remibench.reporting.beyond import figure_across_seeds, table_across_seeds
from remibench.reporting.render import use_theme, without_unrun, write_table

SIZES = {"forget": 120, "retain": 150, "test": 200, "out_of_sample": 80}
ENDS = np.cumsum([0, *SIZES.values()])
PLACES = {name: np.arange(*ENDS[k : k + 2]) for k, name in enumerate(SIZES)}


def comparison(seeds=8, shift=0.0, seed=0):
    """Margins of images of different difficulty; ``shift`` is the unlearned models' on D_f."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(2, 2, ENDS[-1])
    unlearned, retrained = difficulty + rng.normal(size=(2, seeds, ENDS[-1]))
    unlearned[:, PLACES["forget"]] += shift
    return Comparison(unlearned, retrained, PLACES)


def measured(module, given):
    return {(subset, metric): value for subset, metric, value in module.measure(given)}


# Margins and their file


def test_margins_are_the_log_odds_of_the_label():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 4, (50, 6)).astype(np.float32), rng.integers(0, 6, 50)
    found = margins(logits, labels)
    p = special.softmax(logits.astype(np.float64), axis=1)[np.arange(50), labels]
    assert found.dtype == np.float32
    assert found == pytest.approx(np.log(p) - np.log1p(-p), rel=1e-5, abs=1e-5)
    loss = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits).double(), torch.from_numpy(labels), reduction="none"
    )
    assert np.logaddexp(0, -found) == pytest.approx(loss.numpy(), rel=1e-4, abs=1e-5)


def test_margins_do_not_saturate():
    """In single precision the probability of the first is 1, and that of the second 0."""
    logits = np.array([[300.0, 0, 0], [0, 200, -50], [1e4, -1e4, -1e4]], np.float32)
    expected = [300 - np.log(2), -200, 2e4 - np.log(2)]
    assert margins(logits, np.zeros(3, int)) == pytest.approx(expected)


def scores_of(subset, rows=2, images=9, seed=0):
    rng = np.random.default_rng(seed)
    values = {name: rng.random((rows, images), np.float32) for name in ("mia_whitebox", "mf_x")}
    return Scores(
        images=np.arange(images) * 3,
        ratios=np.array([0.1, 0.25]),
        subset=np.array(subset, np.uint8),
        margins=rng.normal(size=(rows, images)).astype(np.float32),
        members=values,
        predicted=rng.integers(0, 5, (rows, images), dtype=np.int16),
    )


SUBSET = [[0, 1, 1, 1, 2, 2, 3, 3, 3], [0, 0, 1, 1, 2, 2, 3, 3, 3]]


def test_scores_come_back_from_their_file_without_pickle(tmp_path):
    scores = scores_of(SUBSET)
    save_scores(tmp_path / "a.npz", scores)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert {file[name].dtype.kind for name in file.files} == {"i", "f", "u"}
    back = load_scores(tmp_path / "a.npz")
    for name in ("images", "ratios", "subset", "margins", "predicted"):
        assert np.array_equal(getattr(back, name), getattr(scores, name))
    assert np.array_equal(back.members["mf_x"], scores.members["mf_x"])
    assert set(load_scores(tmp_path / "a.npz", attacks=["mia_whitebox"]).members) == {
        "mia_whitebox"
    }
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    with pytest.raises(RemibenchError, match=r"b.npz: it holds no scores"):
        load_scores(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("images", lambda images: images[:-1], "subset is uint8 of shape"),
        ("images", lambda images: images * 0, "positions of its images are .* repeated"),
        ("images", lambda images: images - 5, "positions of its images are .* negative"),
        ("images", lambda images: images.astype(float), "images is float64"),
        ("images", lambda images: images[:0], "expected"),
        ("subset", lambda subset: subset + 4, "subsets 0…7"),
        ("subset", lambda subset: subset[0], "subset is uint8 of shape"),
        ("ratios", lambda ratios: ratios[:1], "subset is uint8 of shape"),
        ("margins", lambda margins: margins[:, :-1], "margins is float32 of shape"),
        ("margins", lambda margins: np.repeat(margins, 3, axis=0), "members|models at 2 ratios"),
    ],
)
def test_scores_of_other_shapes_or_positions_are_refused(tmp_path, name, change, message):
    scores = scores_of(SUBSET)
    changed = replace(scores, **{name: change(getattr(scores, name))})
    save_scores(tmp_path / "a.npz", changed)
    with pytest.raises(RemibenchError, match=rf"a\.npz: it holds no scores: .*({message})"):
        load_scores(tmp_path / "a.npz", attacks=())


def test_scores_of_all_images_are_joined_with_their_subsets():
    parts = [
        SimpleNamespace(
            logits=torch.tensor([[2.0, 0.0]] * count), label=torch.tensor([[1, 0]] * count)
        )
        for count in (6, 3)
    ]
    scores = [{"mia_whitebox": features.logits[:, 0] / 4} for features in parts]
    outputs = score_images(zip(parts, scores, strict=True))
    assert outputs["margins"].tolist() == [2.0] * 9
    assert outputs["mia_whitebox"].tolist() == [0.5] * 9
    assert outputs["predicted"].tolist() == [0] * 9
    names = [dict(zip(SUBSETS, np.split(np.arange(9), cuts), strict=True)) for cuts in
             ([1, 4, 6], [2, 4, 6])]  # fmt: skip
    joined = join_scores(np.arange(9), dict(zip((0.1, 0.25), names, strict=True)), [outputs])
    assert joined.subset.tolist() == SUBSET
    assert joined.margins.shape == (1, 9)  # one model for both ratios
    assert np.array_equal(joined.at(1, joined.margins), joined.margins[0])


# What is compared


def test_every_ratio_is_compared_by_its_own_forget_set():
    models = [
        [scores_of(SUBSET, rows, seed=s + 9 * k) for s in range(4)] for k, rows in enumerate((2, 1))
    ]
    found = dict(comparisons(*models))
    assert list(found) == [0.1, 0.25]
    assert found[0.25].subsets["forget"].tolist() == [0, 1]
    assert np.array_equal(found[0.25].unlearned, [s.margins[1] for s in models[0]])
    assert np.array_equal(found[0.25].retrained, [s.margins[0] for s in models[1]])
    assert found[0.1].retrained.dtype == np.float64


def test_a_forgotten_kind_is_told_from_test_images_of_that_kind(tmp_path):
    """Of the two test images the first is in RMIA's population, the second is attacked."""
    kind = np.arange(9) == 5
    models = [
        [replace(scores_of(SUBSET, seed=s + 9 * k), alike=kind) for s in range(4)] for k in range(2)
    ]
    save_scores(tmp_path / "a.npz", models[0][0])
    assert np.array_equal(load_scores(tmp_path / "a.npz").alike, kind)
    found = dict(comparisons(*models))[0.1]
    assert found.subsets["test_forget"].tolist() == [5]
    plain = replace(found, subsets={k: v for k, v in found.subsets.items() if k != "test_forget"})
    np.testing.assert_equal(measured(rmia, found), measured(rmia, plain))
    none = replace(found, subsets=found.subsets | {"test_forget": np.array([4])})
    assert np.isnan(measured(rmia, none)["forget", "rmia_vs_test_auc"])  # the population's alone


def test_forget_sets_that_differ_by_seed_are_refused():
    other = scores_of([SUBSET[1], SUBSET[0]])
    models = [[scores_of(SUBSET)] * 4, [*[scores_of(SUBSET)] * 3, other]]
    with pytest.raises(RemibenchError, match="forget sets differ between seeds"):
        next(comparisons(*models))


@pytest.mark.parametrize("models", [2, 5, 12])
def test_halves_share_no_seed_and_are_of_one_size(models):
    first, second = (set(range(models)[part]) for part in halves(models))
    assert not first & second
    assert len(first) == len(second) == models // 2


def test_rates_of_an_attack_are_means_over_held_out_seeds_with_their_interval():
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(1, 1, (5, 100)), rng.normal(0, 1, (5, 100))
    found = dict(attack_rates("x", positives, negatives))
    truth = np.r_[np.ones(100), np.zeros(100)]
    each = [roc_auc_score(truth, np.r_[p, n]) for p, n in zip(positives, negatives, strict=True)]
    ends = t_interval(np.array(each))
    assert found["x_auc"] == pytest.approx(np.mean(each))
    assert (found["x_auc_low"], found["x_auc_high"]) == pytest.approx(ends)
    assert 0 < found["x_tpr_at_1pct"] < 1
    assert np.isnan(found["x_tpr_at_0.1pct"])  # of 100 negatives
    lone = dict(attack_rates("x", positives[:1], negatives[:1]))
    assert np.isnan(lone["x_auc_low"])


def test_an_interval_that_goes_beyond_1_keeps_its_half_width_in_the_table():
    positives = [np.array([2.0, 3]), np.array([2.0, 3]), np.array([0.0, 3])]
    found = dict(attack_rates("ulira", positives, [np.array([0.5, 1])] * 3))  # AUC 1, 1, .5
    half = stats.t.ppf(0.975, 2) * np.std([1, 1, 0.5], ddof=1) / 3**0.5
    assert found["ulira_auc_high"] == pytest.approx(5 / 6 + half)
    assert found["ulira_auc_high"] > 1
    cell = ("fmnist", "cnn", 0.1, "fisher", "forget")
    rows = pd.DataFrame([(*cell, *row, 3) for row in found.items()], columns=ACROSS_SEEDS)
    results = replace(synthetic_results(("fmnist",), ("cnn",), seeds=1), across_seeds=rows)
    text = table_across_seeds.layout(table_across_seeds.build(results)).set_index("quantity")
    assert text.loc["U-LiRA: AUC D_f", "Fisher"] == f"0.833 ± {half:.3f}"
    figure = figure_across_seeds.draw(results)
    (bar,) = figure.axes[0].collections
    assert bar.get_segments()[0][:, 0] == pytest.approx([5 / 6 - half, 1])
    plt.close(figure)


@pytest.mark.parametrize("name", components("across_seeds"))
def test_every_module_measures_shares_and_divergences_by_unique_names(name):
    module = import_module(f"remibench.evaluation.across_seeds.{name}")
    rows = list(module.measure(comparison(6)))
    assert len({(subset, metric) for subset, metric, _ in rows}) == len(rows) > 0
    for subset, metric, value in rows:
        assert subset in SUBSETS
        assert isinstance(value, float)
        assert metric.startswith((name, "epsilon"))
        assert not value < 0 or metric.endswith("_low")


@pytest.mark.parametrize("seeds", [1, 2, 3, 4])
@pytest.mark.parametrize("name", components("across_seeds"))
def test_few_seeds_give_less_and_no_error(name, seeds):
    module = import_module(f"remibench.evaluation.across_seeds.{name}")
    least = getattr(module, "LEAST_SEEDS", 1)
    assert bool(measured(module, comparison(seeds))) == (seeds >= least)


# U-LiRA


def naive_ratios(unlearned, retrained, floor):
    scores = np.empty((2, *unlearned.shape))
    for s in range(len(unlearned)):
        for x in range(unlearned.shape[1]):
            for kind, models in enumerate((unlearned, retrained)):
                logs = []
                for known in (unlearned, retrained):
                    others = np.delete(known[:, x], s)
                    scale = max(np.std(others, ddof=1), floor)
                    logs.append(stats.norm.logpdf(models[s, x], others.mean(), scale))
                scores[kind, s, x] = logs[0] - logs[1]
    return scores


def test_ulira_scores_held_out_models_as_a_naive_loop_does():
    given = comparison(4, shift=1.0)
    pair = given.unlearned[:, :30], given.retrained[:, :30]
    pair[0][:, 0] = 2.0  # no variance: the floor
    found = ulira.log_ratios(*pair, floor=0.3)
    assert np.array(found) == pytest.approx(naive_ratios(*pair, floor=0.3), abs=1e-9)


@pytest.mark.parametrize(("shift", "scale"), [(1.0, 1.0), (0.0, 3.0)])
def test_uliras_auc_is_that_of_the_exact_likelihood_ratio(shift, scale):
    """N(d, 1) from N(0, 1): Φ(d / √2). N(0, 9) from N(0, 1): by φ², in closed form."""
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(shift, scale, (40, 500)), rng.normal(0, 1, (40, 500))
    positives, negatives = ulira.log_ratios(unlearned, retrained)
    found = dict(attack_rates("x", positives, negatives))["x_auc"]
    # P(9 X² > Y²), X/Y of the Cauchy distribution
    expected = stats.norm.cdf(shift / 2**0.5) if shift else 2 * np.arctan(scale) / np.pi
    assert found == pytest.approx(expected, abs=0.02)


def test_ulira_finds_nothing_where_there_is_nothing():
    aucs = [measured(ulira, comparison(6, seed=s))["forget", "ulira_auc"] for s in range(40)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=4 * np.std(aucs) / 40**0.5)
    given = comparison(5)
    same = measured(ulira, replace(given, unlearned=given.retrained))
    assert same["forget", "ulira_auc"] == same["forget", "ulira_accuracy"] == 0.5
    constant = np.full_like(given.retrained, 3.0)
    still = measured(ulira, replace(given, unlearned=constant, retrained=constant))
    assert still["retain", "ulira_auc"] == 0.5


def test_ulira_tells_apart_what_does_not_overlap():
    rows = measured(ulira, comparison(6, shift=50.0))
    assert rows["forget", "ulira_auc"] == rows["forget", "ulira_accuracy"] == 1
    assert rows["forget", "ulira_tpr_at_1pct"] == 1
    assert 0.4 < rows["test", "ulira_auc"] < 0.6


# RMIA


def test_rmias_score_is_its_definition():
    rng = np.random.default_rng(0)
    model, references = rng.normal(1, 3, 40), rng.normal(1, 3, (6, 40))
    relatives = rmia.relative(model, references)
    p, q = special.expit(model), 0.65 * special.expit(references).mean(axis=0) + 0.35
    assert relatives == pytest.approx(np.log(p / q))
    found = rmia.exceeded(relatives[:25], relatives[25:], gamma=1.5)
    ratio = p / q
    naive = [np.mean([ratio[x] / ratio[z] >= 1.5 for z in range(25, 40)]) for x in range(25)]
    assert found == pytest.approx(np.array(naive))
    far = rmia.relative(np.array([-800.0]), np.array([[-800.0], [800.0]]))
    assert far == pytest.approx(-800 - np.log(0.65 / 2 + 0.35))


def test_rmia_counts_an_equal_ratio():
    assert rmia.exceeded(np.log([4.0, 3.9, 40.0]), np.log([2.0, 8.0]), gamma=2.0).tolist() == [
        0.5, 0.0, 1.0,
    ]  # fmt: skip


def naive_rmia(given):
    """Mean AUC of both games over held-out seeds, with probabilities and loops."""
    forget, test = given.subsets["forget"], given.subsets["test"]
    aucs = {"rmia": [], "rmia_vs_test": []}
    for s in range(len(given.unlearned)):
        pool = [given.retrained[t] for t in range(len(given.retrained)) if t != s]
        mean = 0.65 * np.mean([special.expit(m) for m in pool], axis=0) + 0.35

        def score(models, images, s=s, mean=mean):
            ratio = special.expit(models[s]) / mean
            return [np.mean(ratio[x] / ratio[test[::2]] >= 2) for x in images]

        own = score(given.unlearned, forget)
        for game, others in (
            ("rmia", score(given.retrained, forget)),
            ("rmia_vs_test", score(given.unlearned, test[1::2])),
        ):
            truth = np.r_[np.ones(len(own)), np.zeros(len(others))]
            aucs[game].append(roc_auc_score(truth, own + others))
    return {game: np.mean(values) for game, values in aucs.items()}


def test_rmia_holds_out_every_seed_as_a_naive_loop_does():
    given = comparison(4, shift=2.0)
    rows = measured(rmia, given)
    for game, expected in naive_rmia(given).items():
        assert rows["forget", f"{game}_auc"] == pytest.approx(expected)
    assert rows["forget", "rmia_auc"] > 0.55
    same = measured(rmia, replace(given, unlearned=given.retrained))
    assert same["forget", "rmia_auc"] == 0.5
    aucs = [measured(rmia, comparison(4, seed=s))["forget", "rmia_vs_test_auc"] for s in range(20)]
    assert np.mean(aucs) == pytest.approx(0.5, abs=0.02)  # images of one difficulty, all unseen


# KLOM


def naive_klom(unlearned, retrained):
    both = np.clip(np.concatenate((unlearned, retrained)), -100, 100)
    values = []
    for x in range(both.shape[1]):
        if np.ptp(both[:, x]) == 0:  # for which numpy makes a bin of another width
            values.append(np.log1p(19e-5))
            continue
        edges = np.linspace(both[:, x].min(), both[:, x].max(), 21)
        p, q = (np.histogram(part, edges)[0] for part in np.split(both[:, x], [len(unlearned)]))
        assert (p.sum(), q.sum()) == (len(unlearned), len(retrained))  # none is left out
        values.append(stats.entropy(p / p.sum(), np.maximum(q / q.sum(), 1e-5)))
    return np.array(values)


def test_klom_is_that_of_numpys_histograms():
    rng = np.random.default_rng(0)
    unlearned, retrained = rng.normal(0.5, 2, (9, 200)), rng.normal(0, 1, (7, 200))
    unlearned[:, 0] *= 200  # beyond the clip
    unlearned[:, 1] = retrained[0, 1]
    retrained[:, 1] = retrained[0, 1]  # all equal
    found = klom.divergences(unlearned, retrained)
    assert found == pytest.approx(naive_klom(unlearned, retrained))
    assert found[1] == pytest.approx(0, abs=2e-4)


def test_the_top_bin_has_the_greatest_margin():
    # Without it, the two would be equal.
    found = klom.divergences(np.array([[0.0], [10.0]]), np.array([[0.0], [0.0]]))
    # p = (½, …, ½), q = (1, 19 times 1e-5) / (1 + 19e-5)
    total = 1 + 19e-5
    expected = 0.5 * np.log(0.5 * total) + 0.5 * np.log(0.5 * total / 1e-5)
    assert found == pytest.approx(expected)


def test_klom_of_many_models_is_the_divergence_of_two_gaussians():
    rng = np.random.default_rng(0)
    found = klom.divergences(rng.normal(0.5, 1, (200_000, 1)), rng.normal(0, 1, (200_000, 1)))
    assert found == pytest.approx(0.5**2 / 2, rel=0.05)


def test_klom_of_equal_models_is_0_and_its_floor_is_not():
    given = comparison(8)
    rows = measured(klom, replace(given, unlearned=given.retrained))
    assert 0 <= rows["forget", "klom"] <= rows["forget", "klom_p95"] < 2e-4
    assert rows["forget", "klom_halves"] == rows["forget", "klom_floor"] > 1
    far = measured(klom, comparison(8, shift=50.0))
    assert far["forget", "klom"] == pytest.approx(np.log(1e5), rel=0.1)
    assert far["forget", "klom_halves"] > far["forget", "klom_floor"]
    first, second = given.retrained[::2], given.retrained[1::2]
    both = [naive_klom(*pair)[: SIZES["forget"]].mean() for pair in
            ((first, second), (second, first))]  # fmt: skip
    assert rows["forget", "klom_floor"] == pytest.approx(np.mean(both))


# Forgetting quality


def naive_epsilon(unlearned, retrained, delta):
    """Every interval between two thresholds, either way round."""
    values = np.unique(np.r_[unlearned, retrained])
    thresholds = np.r_[-np.inf, (values[1:] + values[:-1]) / 2, np.inf]
    best = 0.0
    for k, low in enumerate(thresholds):
        for high in thresholds[k + 1 :]:
            inside = [np.mean((low < m) & (m < high)) for m in (unlearned, retrained)]
            for fnr, fpr in ((1 - inside[0], inside[1]), (1 - inside[1], inside[0])):
                if fnr == fpr == 0:
                    return np.inf
                if 0 in (fnr, fpr):
                    continue
                for a, b in ((fpr, fnr), (fnr, fpr)):
                    if 1 - delta - a > 0:
                        best = max(best, np.log(1 - delta - a) - np.log(b))
    return best


@pytest.mark.parametrize("digits", [0, 8])  # few digits: many ties
def test_epsilon_is_the_greatest_over_all_intervals(digits):
    rng = np.random.default_rng(digits)
    unlearned = (rng.normal(0, 1, (6, 60)) * rng.choice([0.05, 1], 60)).round(digits)
    unlearned += rng.choice([0, 1, 9], 60)
    retrained = rng.normal(0, 1, (8, 60)).round(digits)
    found = forgetting_quality.epsilons(unlearned, retrained, 1e-5)
    expected = [naive_epsilon(*pair, 1e-5) for pair in zip(unlearned.T, retrained.T, strict=True)]
    assert found == pytest.approx(np.array(expected))
    assert np.isinf(found).any()
    assert np.isfinite(found).any()


def test_epsilons_by_hand():
    equal = np.arange(5.0)[:, None]
    assert forgetting_quality.epsilons(equal, equal) == 0
    assert forgetting_quality.epsilons(equal, equal + 9) == np.inf
    # A peak between the others is found by an interval, not by a threshold.
    assert forgetting_quality.epsilons(np.full((4, 1), 1.5), np.array([[0.0], [1], [2], [3]])) == (
        np.inf
    )
    # 20 models, of which one lies on the wrong side: a = b = 1/20.
    unlearned = np.r_[np.zeros(19), 5.0][:, None]
    retrained = np.r_[np.full(19, 4.0), -1.0][:, None]
    expected = np.log(1 - 1e-5 - 0.05) - np.log(0.05)
    assert forgetting_quality.epsilons(unlearned, retrained) == pytest.approx(expected)
    assert expected == pytest.approx(np.log(19), abs=2e-5)


def test_points_halve_with_every_half_of_epsilon():
    epsilon = np.array([0.0, 0.49, 0.5, 1.2, 2.9, 3.0, np.inf])
    assert forgetting_quality.points(epsilon, 20).tolist() == [1, 1, 0.5, 0.25, 2**-5, 0, 0]


def test_forgetting_quality_of_equal_and_of_separate_models():
    given = comparison(8)
    rows = measured(forgetting_quality, replace(given, unlearned=given.retrained))
    assert rows["forget", "forgetting_quality"] == 1
    assert rows["forget", "epsilon_median"] == 0
    floor = rows["forget", "forgetting_quality_floor"]
    assert 0 < floor == rows["forget", "forgetting_quality_halves"] < 1
    far = measured(forgetting_quality, comparison(8, shift=50.0))
    assert far["forget", "forgetting_quality"] == 0
    assert far["forget", "epsilon_separated"] == 1
    assert far["forget", "forgetting_quality_floor"] == floor


# The forget set of all seeds


def test_memorised_images_are_those_of_the_highest_mean_loss_and_ties_break_by_position():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    first = np.array([0.1, 0.5, 0.5, 0.0, 3.0, 2.0, 1.0, 0.0], np.float32)
    second = np.array([0.1, 0.0, 0.0, 0.9, 0.0, 2.0, 0.0, 0.0], np.float32)
    alone = select_forget_set(labels, 0.25, mean_scores([first]))
    both = select_forget_set(labels, 0.25, mean_scores([first, second]))
    assert alone.tolist() == [1, 4]
    assert both.tolist() == [3, 5]
    assert np.array_equal(both, select_forget_set(labels, 0.25, mean_scores([second, first])))


# Table and figure

SHIFTS = {"original": 3.0, "retrain": 0.0, "fisher": 2.0, "scrub": -1.0}


def results_of(seeds=8, ratios=(0.1, 0.25), methods=SHIFTS, architectures=("cnn",)):
    """Results of one dataset, measured on made-up margins."""
    rows = []
    for number, (architecture, ratio) in enumerate(product(architectures, ratios)):
        retrained = comparison(seeds, seed=number)
        for method in methods:
            given = comparison(seeds, SHIFTS[method], seed=10 + number)
            if method == "retrain":
                given = replace(given, unlearned=retrained.retrained)
            given = replace(given, retrained=retrained.retrained)
            for module in (ulira, rmia, klom, forgetting_quality):
                cell = ("fmnist", architecture, ratio, method)
                rows += [(*cell, *row, seeds) for row in module.measure(given)]
    plain = synthetic_results(("fmnist",), architectures, seeds=2, methods=tuple(methods))
    return replace(plain, across_seeds=pd.DataFrame(rows, columns=ACROSS_SEEDS))


def test_the_table_has_every_value_and_its_interval(tmp_path):
    results = results_of()
    table = table_across_seeds.build(results)
    rows = results.across_seeds.set_index(["forget_ratio", "method", "subset", "metric"])["value"]
    values = sum(not name.endswith(("_low", "_high")) for *_, name in rows.index)
    assert len(table) == values + 2 * 4 * 2  # final scores: ratios, methods, whole and halves
    line = table.set_index(["forget_ratio", "method", "subset", "metric"])
    for name in ("ulira_auc", "rmia_tpr_at_1pct", "klom"):
        key = (0.25, "fisher", "forget")
        assert line["value"][(*key, name)] == rows[(*key, name)]
        ends = [line[end].get((*key, name)) for end in ("low", "high")]
        assert ends == pytest.approx(
            [rows.get((*key, f"{name}_{end}"), np.nan) for end in ("low", "high")], nan_ok=True
        )
    assert (table["models"] == 8).all()
    paths = {kind: tmp_path / f"a.{kind}" for kind in ("csv", "tex", "html")}
    wide = table_across_seeds.layout(table)
    explanation = table_across_seeds.explain(table, results.remarks)
    write_table(table, wide, table_across_seeds.TITLE, explanation, **paths)
    cells = shown(paths["html"].read_text()).set_index(["forget ratio", "quantity"])
    assert list(cells) == ["Retraining", "Before", "Fisher", "SCRUB"]
    of_retraining = cells["Retraining"]["10%"]
    assert of_retraining["U-LiRA: AUC D_f"].startswith("0.500 ±")
    floor = rows[0.1, "retrain", "forget", "klom_floor"]
    assert of_retraining["KLOM D_f, halves"] == f"{floor:.3f}"
    value = rows[0.1, "fisher", "forget", "klom_halves"]
    assert cells["Fisher"]["10%", "KLOM D_f, halves"] == f"{value:.3f}"
    assert (cells.loc["10%"].loc["U-LiRA: TPR D_f at 0.1% FPR"].iloc[2:] == "not measurable").all()
    assert "8 seeds" in note(paths["html"].read_text())


def test_the_final_score_is_forgetting_quality_times_both_ratios_of_accuracy():
    results = results_of(architectures=("cnn", "vgg19"))
    accuracies = {"forget": 0.1, "retain": 0.9, "test": 0.8}  # of retraining, in the first cell
    rows = results.evaluation
    rows = rows[rows["metric"] == "accuracy"].assign(value=rows["subset"].map(accuracies))
    rows.loc[rows["architecture"] == "vgg19", "value"] /= 2
    halved = (rows["method"] == "fisher") & (rows["subset"] == "retain")
    rows.loc[halved, "value"] *= 0.5
    fifths = (rows["method"] == "fisher") & (rows["subset"] == "test")
    rows.loc[fifths, "value"] *= 0.8 + 0.4 * rows.loc[fifths, "seed"]  # of two seeds: once
    others = results.evaluation[results.evaluation["metric"] != "accuracy"]
    built = table_across_seeds.build(replace(results, evaluation=pd.concat([rows, others])))
    table = built.set_index(["architecture", "forget_ratio", "method", "metric"])["value"]
    for cell in product(("cnn", "vgg19"), (0.1, 0.25)):
        for suffix in ("", "_halves"):
            quality = table[(*cell, "fisher", f"forgetting_quality{suffix}")].item()
            score = table[(*cell, "fisher", f"final_score{suffix}")].item()
            assert score == pytest.approx(0.5 * quality)
            assert quality > 0
        assert table[(*cell, "retrain", "final_score")].item() == 1
    without = table_across_seeds.build(replace(results, evaluation=others))
    assert not without["metric"].str.startswith("final_score").any()
    lines, absent = without_unrun(table_across_seeds.layout(built))
    assert lines["quantity"].str.contains("utility").any()
    assert not absent
    lines, absent = without_unrun(table_across_seeds.layout(without))
    assert not lines["quantity"].str.contains("utility").any()
    assert absent == ["forgetting quality × utility, halves", "forgetting quality × utility"]


def test_results_are_read_with_what_was_compared(tmp_path):
    given = results_of(seeds=4, ratios=(0.1,), methods=("retrain", "fisher")).across_seeds
    write_csv(tmp_path / "across_seeds.csv", given)
    folder = Path(__file__).parents[2] / "docs/results/default"
    names = ("evaluation", "histories", "datasets", "training")
    paths = {name: str(folder / f"{name}.csv") for name in names}
    back = Results.read(**paths, published=NUMBERS, across_seeds=str(tmp_path / "across_seeds.csv"))
    pd.testing.assert_frame_equal(back.across_seeds, given, check_exact=True)
    assert Results.read(**paths, published=NUMBERS).across_seeds.empty


def test_the_figure_shows_the_tables_values():
    use_theme()
    results = results_of()
    rows = table_across_seeds.build(results).set_index(["metric", "method", "forget_ratio"])
    rows = rows[rows["subset"] == "forget"]["value"]
    figure = figure_across_seeds.draw(results)
    figure.draw_without_rendering()
    for axis, (metric, (_, level)) in zip(
        figure.axes, figure_across_seeds.PANELS.items(), strict=True
    ):
        for method in ("original", "fisher", "scrub"):
            lines = [each for each in axis.get_lines() if each.get_color() == COLORS[method]]
            assert [each.get_xdata()[0] for each in lines] == [
                rows[metric, method, ratio] for ratio in (0.1, 0.25)
            ]
        green = [each for each in axis.get_lines() if each.get_color() == COLORS["retrain"]]
        expected = [0.5] if level == 0.5 else [rows[level, "retrain", r] for r in (0.1, 0.25)]
        assert [each.get_xdata()[0] for each in green] == expected
    for text in figure.legends[0].get_texts():
        assert text.get_window_extent().x1 <= figure.bbox.width
    plt.close(figure)


def test_the_figure_says_what_few_seeds_and_missing_metrics_leave_empty():
    use_theme()
    results = results_of(seeds=4, ratios=(0.1,), architectures=("cnn", "vgg19"))
    figure = figure_across_seeds.draw(results)
    words = [text.get_text() for text in figure.findobj(Text)]
    assert words.count("not run") == 2  # forgetting quality: halves of two seeds
    assert "Fashion-MNIST, VGG19 (n = 4)" in words
    plt.close(figure)
    rows = results.across_seeds
    nothing = rows.assign(value=rows["value"].where(rows["metric"] != "ulira_auc"))
    figure = figure_across_seeds.draw(replace(results, across_seeds=nothing))
    words = [text.get_text() for text in figure.findobj(Text)]
    assert words.count("not measurable") == 2
    plt.close(figure)
