"""Splits and forget sets: the paper's Table I, and who may see what."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from remibench.data.forget_sets import forget_count, random_scores, select_forget_set
from remibench.data.splits import (
    DEFENDER,
    EVALUATED_ON,
    FITTED_ON,
    JUDGED_ON,
    QUARTERS,
    split_dataset,
)
from remibench.errors import RemibenchError
from remibench.seeding import derive_seed

PAPER = Path(__file__).parents[2] / "paper"
POOLED = {"fmnist": 70_000, "utkface": 22_012, "stl10": 13_000, "cifar10": 60_000}
RATIOS = (0.01, 0.1, 0.25, 0.5)


@pytest.mark.parametrize("dataset", POOLED)
def test_quarters_have_the_sizes_of_table_1(dataset):
    table = pd.read_csv(PAPER / "table1_dataset_statistics.csv").set_index("dataset")
    roles = split_dataset(POOLED[dataset], split_seed=0, out_of_sample_fraction=0.5)
    assert {len(roles[name]) for name in QUARTERS} == {table.loc[dataset, "train"]}


def test_roles_are_disjoint_where_they_must_be():
    roles = split_dataset(1003, split_seed=3, out_of_sample_fraction=0.5)
    quarters = np.concatenate([roles[name] for name in QUARTERS])
    assert len(np.unique(quarters)) == len(quarters) == 1000
    for whole, parts in (
        ("target_test", ("out_of_sample", "test")),
        ("target_train", ("mf_members", "mf_holdout")),
    ):
        joined = np.concatenate([roles[part] for part in parts])
        assert np.array_equal(np.sort(joined), roles[whole])
    assert len(roles["mf_members"]) == len(roles["out_of_sample"])


def test_no_method_and_no_attack_sees_the_test_images_and_the_attacker_sees_none_of_the_defender():
    roles = split_dataset(1000, split_seed=0, out_of_sample_fraction=0.5)

    def images(*names):
        return set(np.concatenate([roles[name] for name in names]))

    assert not images(*DEFENDER) & images("test")
    assert not images(*FITTED_ON["mf"], *FITTED_ON["mia"]) & images("test")
    assert not images(*FITTED_ON["mia"]) & images("target_train", "target_test")
    assert not images(*FITTED_ON["mf"]) & images(*JUDGED_ON["mf"])
    assert images(FITTED_ON["mf"][0]) < images("target_train")
    assert not images(FITTED_ON["mf"][1]) & images("target_train")
    assert images(*EVALUATED_ON) == images("target_train", "test")


def test_the_split_depends_on_its_seed_alone():
    first, again, other = (split_dataset(400, seed, 0.5) for seed in (1, 1, 2))
    assert all(np.array_equal(first[role], again[role]) for role in first)
    assert not np.array_equal(first["target_train"], other["target_train"])


@pytest.mark.parametrize(("images", "fraction"), [(3, 0.5), (400, 0.001), (400, 0.999)])
def test_an_empty_role_is_refused(images, fraction):
    with pytest.raises(RemibenchError, match="empty role"):
        split_dataset(images, 0, fraction)


def test_forget_counts_reproduce_table_1_for_class_balanced_data():
    # Ten classes of FMNIST: random quarters hold about 1,750 of each, not exactly.
    counts = np.random.default_rng(0).multinomial(17_500, [0.1] * 10)
    table = pd.read_csv(PAPER / "table1_dataset_statistics.csv").set_index("dataset")
    for ratio in RATIOS:
        total = sum(forget_count(int(count), ratio) for count in counts)
        exact = ratio * 17_500
        assert exact <= total < exact + 10
        assert abs(total - table.loc["fmnist", f"forget_{ratio:g}"]) <= 10
    # STL10: 325 per class would give 10 · ceil(3.25) = 40, as published.
    assert 10 * forget_count(325, 0.01) == table.loc["stl10", "forget_0.01"]


def test_counts_are_immune_to_binary_rounding():
    assert 0.07 * 300 > 21  # what a plain ceil would round up
    assert forget_count(300, 0.07) == 21


def test_the_forget_set_is_the_top_of_every_class():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 3, 100), rng.random(100)
    chosen = select_forget_set(labels, 0.2, scores)
    for label in range(3):
        members = np.flatnonzero(labels == label)
        count = int(np.ceil(0.2 * len(members)))
        best = sorted(members, key=lambda position: -scores[position])[:count]
        assert sorted(best) == [position for position in chosen if labels[position] == label]


def test_ties_break_by_position():
    chosen = select_forget_set(np.zeros(10, int), 0.3, np.ones(10))
    assert chosen.tolist() == [0, 1, 2]


def test_forget_sets_of_growing_ratios_are_nested():
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 4, 200), rng.random(200)
    sets = [set(select_forget_set(labels, ratio, scores)) for ratio in RATIOS]
    assert all(small <= large for small, large in itertools.pairwise(sets))


def test_a_class_that_would_be_emptied_is_refused():
    with pytest.raises(RemibenchError, match="takes 1 of the 1 training images of class 7"):
        select_forget_set(np.array([1, 1, 1, 7]), 0.25, np.ones(4))


def test_random_forget_sets_are_shared_by_all_seeds_of_a_dataset():
    assert np.array_equal(random_scores(50, "fmnist", 0), random_scores(50, "fmnist", 0))
    assert not np.array_equal(random_scores(50, "fmnist", 0), random_scores(50, "stl10", 0))


def test_seeds_differ_by_every_axis_and_by_type():
    seeds = {
        derive_seed("a", 1),
        derive_seed("a", "1"),
        derive_seed("a1"),
        derive_seed("a", 1, ""),
        derive_seed("b", 1),
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed("a", 1) == derive_seed("a", 1)
