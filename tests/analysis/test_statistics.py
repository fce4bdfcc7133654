"""Statistics against scipy, published examples and hand computations; what Table VI can tell."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from remibench.analysis.statistics import (
    LEVEL,
    binomial_interval,
    compare_pairs,
    equivalence_p,
    holm,
    ks_efficacy,
    paired_differences,
    signed_rank_p,
    smallest_wilcoxon_p,
    summarise,
    t_interval,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def table6():
    names = {f"attack_accuracy_{phase}_pct": phase for phase in ("before", "after")}
    return pd.read_csv(ROOT / "paper/table6_cross_method.csv").rename(columns=names)


def compare(wide):
    sides = [wide[name].to_numpy(float) for name in ("remi", "retrain")]
    return compare_pairs(*sides)._asdict()


def mcnemar_range(before: int, after: int, n: int) -> tuple[float, float]:
    """Least and greatest p of the exact McNemar test that two paired counts leave possible.

    The test needs the numbers x and y of images that changed one way and the other; of two counts
    only x − y = before − after is known. Every y that fits gives a two-sided binomial p of x among
    x + y at ½.

    Args:
        before, after: Successes among the same n images.
        n: Images.
    """
    possible = [
        (before - after + y, y)
        for y in range(min(after, n - before) + 1)
        if 0 <= before - after + y <= before
    ]
    p = [stats.binomtest(x, x + y).pvalue if x + y else 1.0 for x, y in possible]
    return min(p), max(p)


def low_power(table: pd.DataFrame, n: int = 40) -> pd.DataFrame:
    """What two rates of n images each can tell: Table VI, whose entries are multiples of 1/40.

    Args:
        table: ``before`` and ``after`` in percent, and columns that name the row.
        n: Images that each rate is of.

    Returns:
        The other columns; ``before`` and ``after`` as counts of n, each with its exact 95 %
        interval in percent (``before_low`` …); ``fisher_p``, two-sided, as if the images were
        different ones before and after, with ``fisher_p_holm`` over the rows; and ``mcnemar_least``
        and ``mcnemar_greatest``, if they are the same images (:func:`mcnemar_range`).

    Raises:
        ValueError: A rate is not a multiple of 1/n.
    """
    counts = table[["before", "after"]] * n / 100
    if (counts != counts.round()).any(axis=None):
        raise ValueError(f"a rate is not a multiple of 1/{n}")
    result = table.assign(**counts.astype(int))
    for phase in ("before", "after"):
        low, high = binomial_interval(result[phase], n)
        result[f"{phase}_low"], result[f"{phase}_high"] = 100 * low, 100 * high
    pairs = result[["before", "after"]].to_numpy().tolist()
    fisher = [stats.fisher_exact([[b, n - b], [a, n - a]]).pvalue for b, a in pairs]
    least, greatest = zip(*(mcnemar_range(b, a, n) for b, a in pairs), strict=True)
    return result.assign(
        fisher_p=fisher,
        fisher_p_holm=holm(fisher),
        mcnemar_least=least,
        mcnemar_greatest=greatest,
    )


def test_t_intervals_of_several_groups_are_scipys():
    values = np.random.default_rng(0).normal(size=(3, 20))
    rows = pd.DataFrame({"cell": np.repeat(["a", "b", "c"], 20), "value": values.ravel()})
    for row, sample in zip(summarise(rows, ["cell"]).itertuples(), values, strict=True):
        expected = stats.ttest_1samp(sample, 0).confidence_interval(0.95)
        assert (row.low, row.high) == pytest.approx((expected.low, expected.high))
        assert row.seeds == 20


def test_the_t_interval_of_three_seeds_by_hand():
    # Mean 2, standard deviation 1, t(.975; 2) = 4.3027: half-width 4.3027 / √3.
    assert t_interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((-0.4841, 4.4841), abs=1e-4)


@pytest.mark.parametrize(("k", "n"), [(0, 40), (1, 40), (20, 40), (37, 40), (40, 40), (3, 17)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_binomial_intervals_are_scipys(k, n, confidence):
    expected = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    found = binomial_interval(k, n, confidence)
    assert found == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_binomial_intervals_are_statsmodels_and_the_closed_form():
    # statsmodels 0.15.0: proportion_confint(k, n, method="beta")
    low, high = binomial_interval(np.array([37, 3]), np.array([40, 17]))
    assert low == pytest.approx([0.796135251267101, 0.037985068070626])
    assert high == pytest.approx([0.9842578201489585, 0.4343178728442839])
    assert binomial_interval(0, 40)[1] == pytest.approx(1 - 0.025 ** (1 / 40))


@pytest.mark.parametrize(("k", "n"), [(-1, 40), (41, 40), (0.5, 40), (0, 0)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="whole numbers from 0 to n"):
        binomial_interval(k, n)


def test_holm_by_hand():
    # Sorted .005 × 4, .01 × 3, .03 × 2, and .04 × 1 raised to the .06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [  # statsmodels 0.15.0: multipletests(p, method="holm")
        ([0.01, 0.04, 0.03, 0.005, 0.2, 0.04, 0.0007], [0.05, 0.12, 0.12, 0.03, 0.2, 0.12, 0.0049]),
        ([0.6, 0.5, 0.9, 0.2], [1.0, 1.0, 1.0, 0.8]),
    ],
)
def test_holm_is_statsmodels(p, adjusted):
    assert holm(p) == pytest.approx(adjusted)


def test_tests_that_were_not_possible_do_not_count_in_holms_family():
    assert holm([0.02, np.nan, 0.01])[[0, 2]] == pytest.approx([0.02, 0.02])
    assert np.isnan(holm([0.02, np.nan])[1])
    assert len(holm([])) == 0


def test_wilcoxon_on_the_textbook_example():
    # Hollander & Wolfe 1973, page 29: depression scale at two visits; V = 40, two-sided p = .03906
    first = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    second = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    row = compare(pd.DataFrame({"retrain": first, "remi": second}))
    assert row["p"] == pytest.approx(0.0390625)
    assert row["gap"] == pytest.approx(np.mean(second) - np.mean(first))
    expected = stats.ttest_rel(second, first).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("pairs", [6, 7, 9, 13, 14, 20, 60])
@pytest.mark.parametrize("values", [3, 12, None], ids=["many ties", "some ties", "none"])
def test_signed_rank_tests_are_scipys_to_the_last_bit(pairs, values):
    rng = np.random.default_rng(pairs)
    differences = rng.normal(0.3, size=pairs)
    if values:
        differences = rng.choice([-1, 1, 1], pairs) * rng.integers(1, values, pairs, endpoint=True)
    differences = differences.astype(float)
    assert signed_rank_p(differences) == stats.wilcoxon(differences).pvalue
    differences[:3] = [np.inf, np.inf, -np.inf]
    with np.errstate(invalid="ignore"):
        assert signed_rank_p(differences) == stats.wilcoxon(differences).pvalue


@pytest.mark.parametrize("pairs", range(1, 12))
def test_the_least_possible_p(pairs):
    assert smallest_wilcoxon_p(pairs) == pytest.approx(
        stats.wilcoxon(np.arange(1, pairs + 1)).pvalue
    )


@pytest.mark.parametrize(("pairs", "tested"), [(2, False), (5, False), (6, True)])
def test_fewer_than_six_pairs_are_too_few(pairs, tested):
    wide = pd.DataFrame({"retrain": np.zeros(pairs), "remi": np.arange(1.0, pairs + 1)})
    row = compare(wide)
    assert np.isfinite(row["p"]) == tested
    assert ("n too small" in row["remark"]) == (not tested)
    if tested:
        assert row["p"] < LEVEL


def test_pairs_that_do_not_differ_do_not_count():
    wide = pd.DataFrame({"retrain": np.zeros(8), "remi": [0, 0, 0, 1.0, 2, 3, 4, 5]})
    row = compare(wide)
    assert np.isnan(row["p"])
    assert row["remark"] == "n too small: 5 of the 6 differing pairs that a test needs"
    assert row["n"] == 8
    same = compare(wide.assign(remi=0.0))
    assert (same["remark"], same["gap"]) == ("no pair differs", 0.0)


def test_pairs_without_a_partner_are_left_out():
    wide = pd.DataFrame({"retrain": [1.0, np.nan, 3.0], "remi": [2.0, 3.0, np.nan]})
    row = compare(wide)
    assert (row["n"], row["gap"]) == (1, 1.0)
    assert row["remark"].startswith("n = 1: no interval")


def test_differences_below_single_precision_are_none():
    rates = np.array([0.1, 0.7])
    assert (paired_differences(rates, rates.astype(np.float32).astype(float)) == 0).all()
    assert paired_differences(np.array([np.inf]), np.array([np.inf])) == 0


def test_ks_is_scipys():
    rng = np.random.default_rng(2)
    scores, reference = rng.lognormal(size=20), rng.lognormal(1, size=18)
    expected = stats.ks_2samp(scores, reference)
    assert ks_efficacy(scores, reference) == pytest.approx((expected.statistic, expected.pvalue))


def test_ks_by_hand_and_its_least_sample():
    # Two samples of four that do not overlap: 2 of the C(8, 4) = 70 orders are as extreme.
    assert ks_efficacy([1, 2, 3, 4], [5, 6, 7, np.inf]) == pytest.approx((1, 2 / 70))
    statistic, p = ks_efficacy([1, 2, 3], [5, 6, 7])
    assert statistic == 1
    assert np.isnan(p)  # 2 / C(6, 3) = .1 at best
    assert np.isnan(ks_efficacy([], [1.0])).all()


def test_the_equivalence_test_is_scipys_two_one_sided_tests():
    differences = np.random.default_rng(4).normal(0.01, 0.05, 12)
    lower = stats.ttest_1samp(differences, -0.04, alternative="greater").pvalue
    upper = stats.ttest_1samp(differences, 0.04, alternative="less").pvalue
    assert equivalence_p(differences, 0.04) == pytest.approx(max(lower, upper))


@pytest.mark.parametrize("margin", np.linspace(0.005, 0.08, 16))
def test_equivalence_is_a_ninety_percent_interval_within_the_margin(margin):
    differences = np.random.default_rng(5).normal(0.01, 0.05, 12)
    low, high = t_interval(differences, 0.9)
    within = -margin < low and high < margin
    assert (equivalence_p(differences, margin) < LEVEL) == within


def test_there_is_no_equivalence_test_of_too_little():
    for differences in ([], [0.0], [0.1, 0.1, 0.1], [0.0, np.inf]):
        assert np.isnan(equivalence_p(differences, 0.05))
    assert np.isnan(equivalence_p([0.0, 0.1], np.nan))


def test_mcnemar_of_two_counts():
    # From 40 of 40 to 16: 24 images changed, all one way.
    assert mcnemar_range(40, 16, 40) == pytest.approx((2 * 0.5**24, 2 * 0.5**24))
    # From 37 to 28: 9 to 0, 10 to 1, 11 to 2 or 12 to 3.
    sides = [stats.binomtest(9 + y, 9 + 2 * y).pvalue for y in range(4)]
    assert mcnemar_range(37, 28, 40) == pytest.approx((min(sides), max(sides)))
    assert mcnemar_range(37, 37, 40)[1] == 1


def test_every_entry_of_table_vi_is_a_multiple_of_one_fortieth_and_of_nothing_coarser(table6):
    rates = table6[["before", "after"]].to_numpy()
    fitting = [n for n in range(1, 81) if (rates * n % 100 == 0).all()]
    assert fitting == [40, 80]
    low_power(table6)
    with pytest.raises(ValueError, match="not a multiple of 1/39"):
        low_power(table6, 39)


def test_what_table_vi_can_tell(table6):
    result = low_power(table6).set_index(["unlearning_source", "forget_ratio"])
    whitebox, blackbox = result.loc["whitebox"], result.loc["blackbox"]
    assert (whitebox[["fisher_p_holm", "mcnemar_greatest"]] < 0.001).all(axis=None)
    assert (blackbox["fisher_p_holm"] > LEVEL).all()
    assert blackbox.index[blackbox["fisher_p"] < LEVEL].to_list() == [0.1]
    assert blackbox.index[blackbox["mcnemar_least"] < LEVEL].to_list() == [0.1]
    expected = stats.fisher_exact([[37, 3], [28, 12]]).pvalue
    assert blackbox.loc[0.1, "fisher_p"] == pytest.approx(expected)
    half = (result["after_high"] - result["after_low"]) / 2
    assert half.between(4, 17).all()


def test_a_fall_by_ten_points_would_hardly_be_found_in_forty_images():
    counts = np.arange(41)
    found = np.array(
        [[stats.fisher_exact([[b, 40 - b], [a, 40 - a]]).pvalue < LEVEL for a in counts]
         for b in counts]
    )  # fmt: skip
    before = stats.binom.pmf(counts, 40, 0.925)
    power = {after: before @ found @ stats.binom.pmf(counts, 40, after) for after in (0.825, 0.7)}
    assert power == {0.825: pytest.approx(0.17, abs=0.005), 0.7: pytest.approx(0.68, abs=0.005)}
    assert counts[found[37] & (counts < 37)].max() == 29


def _p(value):
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def test_the_docs_state_the_computed_numbers_of_table_vi(table6):
    page = (ROOT / "docs/published_numbers.md").read_text(encoding="utf-8")
    for row in low_power(table6).itertuples():
        counts = " | ".join(
            f"{getattr(row, phase) / 0.4:g} ({getattr(row, phase + '_low'):.0f}–"
            f"{getattr(row, phase + '_high'):.0f})"
            for phase in ("before", "after")
        )
        tests = f"{_p(row.fisher_p)} | {_p(row.fisher_p_holm)}"
        least, greatest = _p(row.mcnemar_least), _p(row.mcnemar_greatest)
        mcnemar = least if least == greatest else f"{least} to {greatest}"
        direction = f"{row.unlearning_source} → {row.evaluation}"
        line = f"| {100 * row.forget_ratio:g} % | {direction} | {counts} | {tests} | {mcnemar} |"
        assert line in page, line
