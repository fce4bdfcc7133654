"""Verdicts by hand-made numbers: the rule, Holm's correction, and what is not decided."""

import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy import stats
from support.synthetic import synthetic_results
from support.variants import name_variants

from remibench.analysis.results import HYPERPARAMETERS, METHODS, Results
from remibench.analysis.verdicts import (
    ABOVE,
    BELOW,
    EQUIVALENT,
    KEEPS,
    LEAKS,
    LOSES,
    NOT_DECIDED,
    OVER_FORGETS,
    WITHIN,
    conclude,
    locate,
)
from remibench.cli import main
from remibench.components.registry import controls
from remibench.errors import RemibenchError
from remibench.reporting.beyond import figure_verdicts, search, stopping
from remibench.reporting.beyond.table_verdicts import build, explain, layout, matrix
from remibench.reporting.render import use_theme
from remibench.reporting.style import COLORS, MARKERS

CELL = ("fmnist", "cnn")
DEFAULT = Path(__file__).parents[2] / "docs/results/default"
JITTER = np.array([-0.004, 0.004, -0.002, 0.002, 0.001, -0.001])  # six seeds, mean 0


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def results_of(methods, ratio=0.1, seeds=6):
    """Results of one cell; of every method its mean gaps in MIA, accuracy on D_f, D_r and test."""
    rows = []
    retrain = {"mia": 0.4, "forget": 0.5, "retain": 0.98, "test": 0.8}
    subsets = {"mia": "forget", "forget": "forget", "retain": "retain", "test": "test"}
    for method, gaps in {"retrain": (0, 0, 0, 0), **methods}.items():
        for seed in range(seeds):
            cell = (*CELL, seed, method, ratio)
            for (quantity, base), gap in zip(retrain.items(), gaps, strict=True):
                metric = "mia_whitebox_rate" if quantity == "mia" else "accuracy"
                value = base + gap + (JITTER[seed] if method != "retrain" else 0)
                rows.append((*cell, subsets[quantity], metric, value))
            rows += [(*cell, subset, "images", 1000.0) for subset in ("forget", "retain", "test")]
    axes = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    table = pd.DataFrame(rows, columns=[*axes, "subset", "metric", "value"])
    return replace(synthetic_results(("fmnist",), ("cnn",), seeds=1), evaluation=table)


@pytest.mark.parametrize(
    ("mean", "place", "alternative"), [(0.09, ABOVE, "greater"), (-0.09, BELOW, "less")]
)
def test_beyond_the_margin_is_the_interval_beyond_it(mean, place, alternative):
    differences = mean + 10 * JITTER
    where = locate(differences, 0.05, 0.001)
    bound = 0.05 if place == ABOVE else -0.05
    expected = stats.ttest_1samp(differences, bound, alternative=alternative).pvalue
    assert (where["place"], where["n"]) == (place, 6)
    assert where["p"] == pytest.approx(2 * expected)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (where["low"], where["high"]) == pytest.approx(tuple(interval))
    beyond = where["low"] > bound if place == ABOVE else where["high"] < bound
    assert (where["p"] < 0.05) == beyond


def test_within_the_margin_is_the_equivalence_test():
    differences = 0.02 + 5 * JITTER
    where = locate(differences, 0.05, 0.001)
    tails = [
        stats.ttest_1samp(differences, bound, alternative=alternative).pvalue
        for bound, alternative in ((-0.05, "greater"), (0.05, "less"))
    ]
    assert (where["place"], where["p"]) == (WITHIN, pytest.approx(max(tails)))


def test_equal_differences_vary_by_an_image():
    where = locate(np.zeros(4), 0.02, 1 / 500)
    half = stats.t.ppf(0.975, 3) / 500 / 2
    assert (where["low"], where["high"]) == pytest.approx((-half, half))
    assert where["p"] == pytest.approx(stats.t.sf(0.02 / (1 / 500 / 2), 3))
    assert locate(np.zeros(4), 0.05, 1 / 10)["p"] > 0.05  # ten images show nothing
    assert np.isnan(locate(np.zeros(1), 0.05, 1 / 10)["p"])
    unknown, none = (locate(np.array([0.1, 0.2]), 0.05, least) for least in (np.nan, 0.0))
    assert unknown == none
    assert none["p"] > 0


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((ABOVE, WITHIN, WITHIN, WITHIN), "leaks, keeps utility"),
        ((BELOW, WITHIN, WITHIN, BELOW), "over-forgets, loses utility"),
        ((WITHIN, WITHIN, WITHIN, WITHIN), EQUIVALENT),
        ((WITHIN, ABOVE, WITHIN, WITHIN), "as retraining, keeps utility"),
        ((NOT_DECIDED, WITHIN, ABOVE, WITHIN), KEEPS),
        ((NOT_DECIDED, WITHIN, NOT_DECIDED, BELOW), LOSES),
        ((ABOVE, ABOVE, NOT_DECIDED, WITHIN), LEAKS),
        ((NOT_DECIDED, ABOVE, NOT_DECIDED, WITHIN), NOT_DECIDED),
    ],
)
def test_what_the_four_places_say(places, expected):
    named = dict(zip(("mia", "forget", "retain", "test"), places, strict=True))
    assert conclude(named)[2] == expected


def test_every_verdict_from_hand_made_numbers():
    gaps = {
        "original": (0.6, 0.5, 0.02, 0.02),  # +2 points are not within the margin, nor beyond it
        "fisher": (0.1, 0.0, -0.3, -0.2),
        "remi_whitebox": (-0.2, 0.0, 0.0, 0.0),
        "remi_blackbox": (0.0, 0.0, 0.0, 0.0),
        "fine_tune": (0.049, 0.0, 0.0, 0.0),
    }
    table = build(results_of(gaps))
    found = table.set_index("method")
    assert found.loc["original", "verdict"] == LEAKS
    assert found.loc["fisher", "verdict"] == f"{LEAKS}, {LOSES}"
    assert found.loc["remi_whitebox", "verdict"] == f"{OVER_FORGETS}, {KEEPS}"
    assert found.loc["remi_blackbox", "verdict"] == EQUIVALENT
    assert found.loc["fine_tune", "membership"] == NOT_DECIDED
    assert found.loc["fisher", "test_gap"] == pytest.approx(-0.2)
    assert set(found["n"]) == {6}


def test_holms_family_is_everything_said_of_a_cell():
    methods = [method for method in METHODS if method not in {"retrain", *controls()}]
    alone = build(results_of({"fisher": (0.0562, 0.0199, 0.0199, 0.0199)}))
    crowded = build(results_of(dict.fromkeys(methods, (0.0562, 0.0199, 0.0199, 0.0199))))
    # Of four p-values one is small: times 4. Of all, one of each method is: the first times all.
    p, family = locate(0.0562 + JITTER, 0.05, 0.001)["p"], 4 * len(methods)
    assert 4 * p < 0.05 < family * p
    assert alone["mia_p_holm"].tolist() == pytest.approx([4 * p])
    assert alone["membership"].tolist() == [LEAKS]
    assert crowded["mia_p_holm"].tolist() == pytest.approx([family * p] * len(methods))
    assert set(crowded["membership"]) == {NOT_DECIDED}
    beside = build(results_of(dict.fromkeys(["fisher", "shift"], (0.0562, 0.0199, 0.0199, 0.0199))))
    assert beside["mia_p_holm"].tolist() == pytest.approx([4 * p, 4 * p])  # a control apart


def test_one_seed_and_no_retraining_decide_nothing():
    gaps = {"fisher": (0.5, 0.5, -0.5, -0.5)}
    table = build(results_of(gaps, seeds=1))
    assert table["verdict"].tolist() == [NOT_DECIDED]
    assert table["mia_low"].isna().all()
    assert "no interval" in explain(table, "")
    alone = results_of(gaps)
    rows = alone.evaluation[alone.evaluation["method"] != "retrain"]
    table = build(replace(alone, evaluation=rows))
    assert (table["verdict"].tolist(), table["n"].tolist()) == ([NOT_DECIDED], [0])
    assert set(layout(table).iloc[0]) >= {"not run", NOT_DECIDED}


def test_the_tables_have_a_line_per_method():
    table = build(results_of({"fisher": (0.5, 0.0, -0.3, -0.25), "ssd": (0, 0, 0, 0)}))
    text = layout(table)
    assert text["method"].tolist() == ["Fisher", "SSD"]
    assert text["accuracy D_r"][0].startswith("−30.0 ± 0.3")
    cells = matrix(table)
    assert cells.columns.tolist() == ["dataset", "architecture", "method", "10%"]
    assert cells["10%"][0].startswith("leaks, loses utility; MIA +0.500 ± 0.003; test −25.0")


def test_the_figure_has_every_method_at_its_gaps():
    use_theme()
    results = results_of({"fisher": (0.5, 0, -0.3, -0.25), "fine_tune": (0.049, 0, 0.02, 0.02)})
    figure = figure_verdicts.draw(results)
    points = {
        line.get_mec(): line
        for line in figure.axes[0].lines
        if line.get_marker() in (MARKERS["fisher"], MARKERS["fine_tune"])
        and line.get_mec() in (COLORS["fisher"], COLORS["fine_tune"])
    }
    fisher = points[COLORS["fisher"]]
    assert (fisher.get_xdata()[0], fisher.get_ydata()[0]) == pytest.approx((-25, 0.5))
    hollow = [line for line in points.values() if line.get_mfc() == "white"]
    assert [line.get_ydata()[0] for line in hollow] == pytest.approx([0.049])
    rows = results.evaluation[results.evaluation["metric"] != "mia_whitebox_rate"]
    nothing = figure_verdicts.draw(replace(results, evaluation=rows))
    assert [text.get_text() for text in nothing.findobj(Text)] == [
        "Not run: retraining and another method, with accuracy\nand MIA."
    ]


# With and without ReMI's stopping rule


def trees():
    ruled = results_of({"remi_whitebox": (0.1, 0.2, -0.01, 0.0), "original": (0.6, 0.5, 0, 0)})
    unruled = results_of({"remi_whitebox": (-0.2, 0.0, -0.1, -0.05)})
    noise = 0.01 * np.cos(np.arange(len(unruled.evaluation)))
    remi = unruled.evaluation["method"] == "remi_whitebox"
    moved = unruled.evaluation["value"].mask(remi, unruled.evaluation["value"] + noise)
    unruled = replace(unruled, evaluation=unruled.evaluation.assign(value=moved))
    axes = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    columns = [*axes, "epoch", "mf_forget", "mf_out_of_sample"]
    cell = lambda seed: (*CELL, seed, "remi_whitebox", 0.1)  # noqa: E731
    short = [(*cell(s), e, 0.9 - 0.3 * e, 0.4) for s in range(6) for e in range(3)]
    long = [(*cell(s), e, 0.9 - 0.3 * e, 0.4) for s in range(6) for e in range(6)]
    histories = [pd.DataFrame(rows, columns=columns) for rows in (short, long)]
    return [replace(t, histories=h) for t, h in zip((ruled, unruled), histories, strict=True)]


def test_the_stopping_rules_difference_is_paired():
    ruled, unruled = trees()
    table = stopping.build(ruled, unruled).set_index("quantity")
    values = [
        tree.evaluation[
            (tree.evaluation["method"] == "remi_whitebox")
            & (tree.evaluation["metric"] == "mia_whitebox_rate")
        ].sort_values("seed")["value"]
        for tree in (ruled, unruled)
    ]
    expected = stats.ttest_rel(values[1], values[0])
    row = table.loc["mia"]
    assert row["difference"] == pytest.approx((values[1].mean() - values[0].mean()), abs=1e-6)
    interval = expected.confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval), abs=1e-5)
    assert row["p_holm"] >= expected.pvalue
    assert row["ruled_gap"] == pytest.approx(0.1)
    assert (row["ruled_epochs"], row["unruled_epochs"], row["met"]) == (2, 5, 1)
    text = stopping.layout(table.reset_index())
    assert (text["epochs"][0], text["rule met"][0]) == ("2.0 → 5.0", "100%")
    use_theme()
    assert len(stopping.draw(table.reset_index()).axes) == 2


def test_trees_of_other_targets_are_no_pairs(tmp_path, capsys):
    ruled, unruled = trees()
    rows = unruled.evaluation
    other = rows["value"].mask((rows["method"] == "retrain") & (rows["seed"] == 3), 0.123)
    with pytest.raises(RemibenchError, match="retrained models of seed 3 differ"):
        stopping.build(ruled, replace(unruled, evaluation=rows.assign(value=other)))
    with pytest.raises(RemibenchError, match="no ReMI run in common"):
        stopping.build(ruled, results_of({"fisher": (0, 0, 0, 0)}))
    assert main(["stopping", *3 * [str(tmp_path)]]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


# A search


def trials_of(*rows):
    """Trials of (method, values, gap), and the table of their variants."""
    columns = ["dataset", "architecture", "forget_ratio", "method", "candidate", "gap", "seeds"]
    names = [name for name in search.LINES if name != "gap"]
    trials = pd.DataFrame(
        [(*CELL, 0.1, *row, 2, *(row[-1] + k / 10 for k in range(4))) for row in rows],
        columns=[*columns, *names],
    )
    texts = trials["method"] + ("," + trials["candidate"]).where(trials["candidate"] != "", "")
    named, candidates = name_variants(pd.DataFrame({"method": texts}))
    return trials.assign(variant=named["method"]), candidates


def test_the_search_is_drawn_with_the_other_parameters_of_the_winner():
    """Not with the best of each value: from one value to the next, two things would change."""
    trials, candidates = trials_of(
        ("original", "", 0.4),
        ("fisher", "alpha=0.001,max_std=0.1", 0.2),
        ("fisher", "alpha=0.001,max_std=0.5", 0.5),
        ("fisher", "alpha=1e-06,max_std=0.1", 0.3),
        ("fisher", "alpha=1e-06,max_std=0.5", 0.1),
        ("study", "loss=a", 0.1),
    )
    parameter, line = search.profile(trials, candidates, "fisher")
    assert (parameter, line["value"].tolist()) == ("alpha", [1e-6, 1e-3])
    assert line["gap"].tolist() == [0.1, 0.5]
    other = trials[trials["method"] == "fisher"].assign(dataset="stl10", gap=[0.1, 0.2, 0.4, 0.3])
    _, lines = search.profile(pd.concat([trials, other]), candidates, "fisher")
    assert lines[lines["dataset"] == "stl10"]["gap"].tolist() == [0.4, 0.1]
    alone = trials_of(("fisher", "alpha=0.1", 0.2), ("fisher", "alpha=0.01", 0.3))
    assert search.profile(*alone, "fisher")[1]["gap"].tolist() == [0.3, 0.2]
    assert search.profile(trials, candidates, "study")[0] == ""
    use_theme()
    axis = search.draw(trials, candidates, "fisher").axes[0]
    assert axis.get_title() == "10% forgotten\nmax std = 0.5"
    assert axis.get_xscale() == "log"
    ring = next(line for line in axis.lines if line.get_ms() == 7)
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (1e-6, 0.1)


def test_trees_that_differ_in_more_than_the_rule_are_no_pairs():
    def with_parameters(results, **values):
        rows = [(*CELL, 0.1, "remi_whitebox", name, value) for name, value in values.items()]
        return replace(results, hyperparameters=pd.DataFrame(rows, columns=HYPERPARAMETERS))

    ruled, unruled = trees()
    ruled = with_parameters(ruled, stop="matched", learning_rate="0.01")
    stopping.build(ruled, with_parameters(unruled, stop="never", learning_rate="0.01"))
    with pytest.raises(RemibenchError, match="`stop: matched` where `never` is expected"):
        stopping.build(ruled, with_parameters(unruled, stop="matched", learning_rate="0.01"))
    with pytest.raises(RemibenchError, match=r"more than the rule: .*learning_rate"):
        stopping.build(ruled, with_parameters(unruled, stop="never", learning_rate="0.02"))


def test_a_tree_of_a_method_that_is_not_here_says_so(tmp_path):
    tree = shutil.copytree(DEFAULT, tmp_path / "tree", ignore=shutil.ignore_patterns("figures"))
    table = tree / "evaluation.csv"
    table.write_text(table.read_text().replace(",fisher,", ",head_retrain,"))
    with pytest.raises(RemibenchError, match=r"'head_retrain', which is no method here; .*plugins"):
        Results.of_tree(tree)
    (tree / "config.yaml").unlink()
    with pytest.raises(RemibenchError, match=r"config\.yaml: no such file; every results"):
        Results.of_tree(tree)


def test_a_tree_is_read_with_the_papers_numbers(tmp_path):
    with pytest.raises(RemibenchError):
        Results.of_tree(tmp_path)
