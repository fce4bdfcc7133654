"""Properties that hold for all inputs: splits, forget sets, intervals, and laying configs over."""

import copy
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from snakemake.utils import update_config
from support.configs import default

from remibench.analysis.statistics import binomial_interval, holm, t_interval
from remibench.config.model import load_config
from remibench.data.forget_sets import forget_count, select_forget_set
from remibench.data.splits import DEFENDER, QUARTERS, split_dataset

settings.register_profile("remibench", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("remibench")  # the same examples every time

SEEDS = st.integers(0, 2**31)
FRACTIONS = st.floats(0.05, 0.95)
FINITE = st.floats(-1e6, 1e6, allow_subnormal=False)


def split(images, seed, fraction, halves="reported"):
    """Splits that are possible: no role is empty."""
    assume(0 < round(images // 4 * fraction) < images // 4)
    return split_dataset(images, seed, fraction, halves)


@given(st.integers(8, 3000), SEEDS, FRACTIONS)
def test_the_quarters_are_disjoint_and_equal_and_made_of_the_images(images, seed, fraction):
    roles = split(images, seed, fraction)
    quarters = [roles[name] for name in QUARTERS]
    assert {len(quarter) for quarter in quarters} == {images // 4}
    joint = np.concatenate(quarters)
    assert len(np.unique(joint)) == len(joint)
    assert joint.min() >= 0
    assert joint.max() < images
    for indices in roles.values():
        assert indices.dtype == np.int64
        assert np.all(np.diff(indices) > 0)


@given(st.integers(8, 3000), SEEDS, FRACTIONS)
def test_the_parts_of_the_defenders_quarters_are_complete_and_disjoint(images, seed, fraction):
    roles = split(images, seed, fraction)
    for whole, parts in (
        ("target_test", ("out_of_sample", "test")),
        ("target_train", ("mf_members", "mf_holdout")),
    ):
        assert np.array_equal(np.sort(np.concatenate([roles[p] for p in parts])), roles[whole])
    assert len(roles["mf_members"]) == len(roles["out_of_sample"])  # balanced
    attacker = np.concatenate([roles["shadow_train"], roles["shadow_test"]])
    for name in (*DEFENDER, "test"):
        assert not np.intersect1d(roles[name], attacker).size


@given(st.integers(8, 3000), SEEDS, FRACTIONS)
def test_a_split_depends_on_its_seed_and_tuning_exchanges_the_halves(images, seed, fraction):
    roles, again = split(images, seed, fraction), split(images, seed, fraction)
    tuning = split(images, seed, fraction, "tuning")
    for name, indices in roles.items():
        assert np.array_equal(indices, again[name])
    for ours, theirs in (("target", "shadow"), ("shadow", "target")):
        for part in ("train", "test"):
            assert np.array_equal(roles[f"{ours}_{part}"], tuning[f"{theirs}_{part}"])
    if images >= 40:  # that two permutations agree by chance is then as good as impossible
        other = split(images, seed + 1, fraction)
        assert not np.array_equal(roles["target_train"], other["target_train"])


@st.composite
def labelled_scores(draw):
    """Labels of classes of two to thirty images, and scores with many ties."""
    counts = draw(st.lists(st.integers(2, 30), min_size=1, max_size=6))
    labels = draw(st.permutations(np.repeat(np.arange(len(counts)), counts).tolist()))
    scores = draw(hnp.arrays(float, len(labels), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0])))
    return np.array(labels), scores


@given(labelled_scores(), st.floats(1e-4, 0.5))
def test_a_forget_set_is_the_ceil_of_the_ratio_of_every_class_with_the_highest_scores(data, ratio):
    labels, scores = data
    forget = select_forget_set(labels, ratio, scores)
    assert np.all(np.diff(forget) > 0)
    retain = np.setdiff1d(np.arange(len(labels)), forget)
    assert np.array_equal(np.sort(np.concatenate([forget, retain])), np.arange(len(labels)))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        chosen, left = np.intersect1d(forget, members), np.intersect1d(retain, members)
        assert len(chosen) == forget_count(len(members), ratio)
        assert left.size
        # By an independent sort: the highest scores, and the first of those that are equal.
        expected = sorted(members, key=lambda at: (-scores[at], at))[: len(chosen)]
        assert sorted(expected) == chosen.tolist()


@given(st.integers(1, 10**6), st.integers(1, 9999))
def test_the_number_to_forget_is_the_exact_ceil(images, per_myriad):
    assert forget_count(images, per_myriad / 10_000) == -(-images * per_myriad // 10_000)


@given(st.lists(FINITE, min_size=2, max_size=30))
def test_a_t_interval_is_scipys_and_moves_and_scales_with_the_values(values):
    low, high = t_interval(values)
    tolerance = 1e-9 * (1 + max(map(abs, values)))
    if np.ptp(values) > tolerance:  # of constants scipy has none, ours is a point
        expected = stats.ttest_1samp(values, 0).confidence_interval()
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=tolerance)
    assert low - tolerance <= np.mean(values) <= high + tolerance
    moved = t_interval([2 * value + 3 for value in values])
    assert moved == pytest.approx((2 * low + 3, 2 * high + 3), abs=10 * tolerance)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_binomial_interval_is_exact_and_symmetric(counts):
    successes, trials = counts
    low, high = binomial_interval(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = binomial_interval(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-9)
    # Clopper and Pearson: at its ends the counts have tails of exactly 2.5 %.
    if successes:
        assert stats.binom.sf(successes - 1, trials, low) == pytest.approx(0.025, rel=1e-6)
    if successes < trials:
        assert stats.binom.cdf(successes, trials, high) == pytest.approx(0.025, rel=1e-6)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_p_values_keep_the_order_and_lie_between_raw_and_bonferroni(p_values):
    adjusted = np.asarray(holm(p_values))
    raw = np.array(p_values)
    assert np.all(adjusted >= raw - 1e-15)
    assert np.all(adjusted <= np.minimum(1, raw * len(raw)) + 1e-15)
    assert np.all(np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0)
    # Step down by hand: reject while p of rank k (from 0) is at most level / (n - k).
    for level in (0.01, 0.05, 0.3):
        rejected = np.zeros(len(raw), bool)
        for rank, at in enumerate(np.argsort(raw, kind="stable")):
            if raw[at] * (len(raw) - rank) > level:
                break
            rejected[at] = True
        assert np.array_equal(adjusted <= level, rejected)


OVERLAYS = st.fixed_dictionaries(
    {},
    optional={
        "seeds": st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
        "device": st.sampled_from(["cpu", "cuda"]),
        "checkpoint_seconds": st.floats(0, 600),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "epochs": st.integers(1, 99),
                "learning_rate": st.floats(1e-6, 1),
                "precision": st.sampled_from(["bf16", "fp32"]),
            },
        ),
        "attacks": st.fixed_dictionaries(
            {},
            optional={
                "mf": st.fixed_dictionaries(
                    {}, optional={"whitebox": st.fixed_dictionaries({"epochs": st.integers(1, 9)})}
                )
            },
        ),
    },
)


def laid_over(*overlays):
    config = default()
    for overlay in overlays:
        update_config(config, copy.deepcopy(overlay))  # what Snakemake does for --configfile
    return config


def look_up(config, *keys):
    for key in keys:
        if not isinstance(config, dict) or key not in config:
            return None
        config = config[key]
    return config


@given(OVERLAYS, OVERLAYS)
def test_the_last_config_file_wins_key_by_key_and_lists_are_replaced(first, second):
    merged = load_config(laid_over(first, second)).model_dump()
    layers = (second, first, default())
    for keys in (
        ("seeds",),
        ("device",),
        ("training", "epochs"),
        ("training", "learning_rate"),
        ("training", "batch_size"),
        ("attacks", "mf", "whitebox", "epochs"),
        ("attacks", "mf", "whitebox", "learning_rate"),
        ("attacks", "mia", "whitebox", "epochs"),
    ):
        stated = [value for layer in layers if (value := look_up(layer, *keys)) is not None]
        assert not stated or look_up(merged, *keys) == stated[0], keys


@given(OVERLAYS)
def test_a_config_survives_being_written_out_in_full(overlay):
    config = load_config(laid_over(overlay))
    assert load_config(config.model_dump()) == config
    assert type(config).model_validate_json(config.model_dump_json()) == config
    assert load_config(laid_over(overlay, overlay)) == config  # laid over twice
    assert math.isclose(config.training.momentum, 0.9)  # and what is not stated keeps its default
