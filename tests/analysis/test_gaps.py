"""Gaps to retraining: known gaps, ToW by hand, verdicts, and what is missing said in words."""

import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy import stats
from support.pages import note, shown
from support.synthetic import synthetic_results

from remibench.analysis.gaps import pair, quantities, summarise
from remibench.analysis.results import CELL as AXES
from remibench.analysis.results import METHODS, PAPER_METHODS
from remibench.analysis.statistics import holm
from remibench.analysis.verdicts import (
    ABOVE,
    BELOW,
    JUDGED,
    NOT_DECIDED,
    NOT_MEASURABLE,
    WITHIN,
    judge_gaps,
    judge_methods,
    margin,
)
from remibench.reporting.beyond import figure_gaps
from remibench.reporting.beyond.table_gaps import SHOWN, TITLE, build, explain, layout
from remibench.reporting.panels import interval
from remibench.reporting.render import use_theme, write_table
from remibench.reporting.style import COLORS, MARKERS

CELL = ("fmnist", "cnn")
KEYS = ["metric", "subset", "method"]
EVERY = [METHODS[method] for method in PAPER_METHODS]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def results_of(rows, ratio=0.1):
    """Results of one cell from (seed, method, subset, metric, value)."""
    axes = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    table = pd.DataFrame(
        [(*CELL, seed, method, ratio, *rest) for seed, method, *rest in rows],
        columns=[*axes, "subset", "metric", "value"],
    )
    return replace(synthetic_results(("fmnist",), ("cnn",), seeds=1), evaluation=table)


def series(method, subset, metric, values):
    return [(seed, method, subset, metric, value) for seed, value in enumerate(values)]


def gaps(results):
    return build(results).set_index(KEYS)


def test_known_gaps_with_their_paired_interval():
    retrain, fisher = [0.40, 0.50, 0.60], [0.52, 0.59, 0.69]  # + .12, .09, .09
    results = results_of(
        series("retrain", "forget", "mia_whitebox_rate", retrain)
        + series("fisher", "forget", "mia_whitebox_rate", fisher)
        + series("original", "forget", "mia_whitebox_rate", [0.9, 0.9])
    )
    table = gaps(results)
    row = table.loc[("mia_whitebox_rate", "forget", "fisher")]
    expected = stats.ttest_rel(fisher, retrain).confidence_interval(0.95)
    assert (row["gap"], row["n"]) == (pytest.approx(0.10), 3)
    assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high))
    assert (row["mean"], row["retraining"]) == pytest.approx((0.6, 0.5))
    assert (row["margin"], row["verdict"]) == (0.05, NOT_DECIDED)  # p = .038, times two methods
    before = table.loc[("mia_whitebox_rate", "forget", "original")]
    assert (before["n"], before["gap"]) == (2, pytest.approx(0.45))  # of the seeds that both have
    assert len(table) == 2


def test_gaps_of_every_metric_but_counts_and_the_ends_of_intervals():
    results = synthetic_results(("fmnist",), ("cnn",), seeds=2, ratios=(0.1,))
    measured = set(results.evaluation["metric"])
    found = set(build(results)["metric"])
    assert "mia_whitebox_tpr_at_1pct_low" in measured
    ends = {name for name in measured if name.endswith(("_low", "_high"))}
    assert found - measured == {"log10_efficacy", "tow", "tow_mia_whitebox", "tow_mia_blackbox"}
    assert measured - found == {"images", "efficacy", "relearn_capped"} | ends


def test_controls_raise_no_p_value_of_a_method():
    rng = np.random.default_rng(2)
    drawn = {name: rng.normal(size=20) for name in ("original", "retrain", "ssd")}
    rows = [row for name, values in drawn.items() for row in series(name, "forget", "loss", values)]
    alone = summarise(pair(results_of(rows).evaluation)).set_index("method")
    for control in ("shift", "temperature"):
        rows += series(control, "forget", "loss", drawn["original"])
    beside = summarise(pair(results_of(rows).evaluation)).set_index("method")
    assert beside.index.tolist() == ["original", "ssd", "shift", "temperature"]
    pd.testing.assert_frame_equal(beside.loc[alone.index], alone)
    p = alone.loc["original", "p"]
    assert beside.loc[["shift", "temperature"], "p_holm"].tolist() == pytest.approx(holm([p, p]))


def test_every_methods_test_is_scipys_and_holms_family_is_the_methods_of_a_quantity():
    rng = np.random.default_rng(1)
    names = ("original", "fisher", "retrain", "ssd")
    drawn = {name: rng.normal(size=20) for name in names}
    drawn["original"] += 1
    rows = [row for name in names for row in series(name, "forget", "loss", drawn[name])]
    other = [row for name in names for row in series(name, "test", "loss", drawn[name])]
    table = summarise(pair(results_of(rows + other).evaluation))
    table = table[table["subset"] == "forget"].set_index("method")
    assert table.index.tolist() == ["original", "fisher", "ssd"]  # in the order of display
    expected = [stats.wilcoxon(drawn[name] - drawn["retrain"]).pvalue for name in table.index]
    assert table["p"].tolist() == pytest.approx(expected)
    assert table["p_holm"].tolist() == pytest.approx(holm(expected))
    assert set(table["n"]) == {20}
    assert table["p_equivalence"].isna().all()  # no margin was given


def test_pairs_keep_their_order_and_retrainings_own_rows():
    rows = series("fisher", "test", "accuracy", [0.5, 0.75]) + series(
        "retrain", "test", "accuracy", [0.25]
    )
    paired = pair(results_of(rows).evaluation)
    assert paired["method"].tolist() == ["fisher", "fisher", "retrain"]
    assert paired["reference"].tolist() == pytest.approx([0.25, np.nan, 0.25], nan_ok=True)
    assert paired["difference"].tolist() == pytest.approx([0.25, np.nan, 0], nan_ok=True)
    assert summarise(paired.head(0)).empty


def accuracies(method, forget, retain, test, rate=None):
    rows = []
    for subset, values in (("forget", forget), ("retain", retain), ("test", test)):
        rows += series(method, subset, "accuracy", values)
    return rows + (series(method, "forget", "mia_whitebox_rate", rate) if rate else [])


def test_tug_of_war_by_hand():
    results = results_of(
        accuracies("retrain", [0.6, 0.5], [0.9, 0.9], [0.8, 0.7], [0.3, 0.4])
        + accuracies("fisher", [0.8, 0.4], [0.8, 0.9], [0.7, 0.8], [0.2, 0.9])
    )
    table = gaps(results)
    first, second = (1 - 0.2) * (1 - 0.1) * (1 - 0.1), (1 - 0.1) * 1 * (1 - 0.1)
    row = table.loc[("tow", "", "fisher")]
    assert row["mean"] == pytest.approx((first + second) / 2)
    assert row["retraining"] == 1
    assert row["gap"] == pytest.approx((first + second) / 2 - 1)
    assert row["high"] - row["low"] == pytest.approx(2 * 12.7062 * (second - first) / 2, rel=1e-4)
    mia = table.loc[("tow_mia_whitebox", "", "fisher")]
    assert mia["mean"] == pytest.approx((0.9 * 0.9 * 0.9 + 0.5 * 1 * 0.9) / 2)


def test_tug_of_war_needs_all_three_accuracies_and_retraining():
    rows = accuracies("retrain", [0.6], [0.9], [0.8]) + accuracies("fisher", [0.8], [0.8], [0.7])
    lacking = [row for row in rows if (row[1], row[2]) != ("fisher", "test")]
    rest = quantities(results_of(lacking).evaluation)
    assert set(rest.loc[rest["metric"] == "tow", "method"]) == {"retrain"}
    alone = [row for row in rows if row[1] == "fisher"]
    assert "tow" not in set(quantities(results_of(alone).evaluation)["metric"])
    row = gaps(results_of(alone)).loc[("accuracy", "forget", "fisher")]
    assert (row["n"], row["remark"]) == (0, "retrain was not run")
    assert (row["mean"], np.isnan(row["gap"])) == (0.8, True)


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([0.001, -0.001, 0.002, -0.002, 0.0, 0.001], WITHIN),
        ([0.011, 0.009, 0.012, 0.008, 0.01, 0.011], WITHIN),
        ([0.3, 0.31, 0.29, 0.3, 0.32, 0.28], ABOVE),
        ([-0.3, -0.31, -0.29, -0.3, -0.32, -0.28], BELOW),
        ([0.3, -0.3, 0.2, -0.2, 0.1, -0.05], NOT_DECIDED),
        ([0.1], ""),  # no interval
        ([0.0, 0.0, 0.0], ""),  # no spread is no evidence
        ([0.4 - 0.3, 0.6 - 0.5, 0.3 - 0.2], ""),  # nor are rounding errors
    ],
)
@pytest.mark.parametrize("metric", ["mia_whitebox_auc", "mf_whitebox_rate"])
def test_verdicts(metric, differences, verdict):
    base = 0.4 + 0.01 * np.arange(len(differences))
    results = results_of(
        series("retrain", "forget", metric, base)
        + series("fisher", "forget", metric, base + differences)
    )
    row = gaps(results).loc[(metric, "forget", "fisher")]
    assert row["verdict"] == verdict
    if verdict:
        low, high = stats.ttest_1samp(differences, 0).confidence_interval(0.9)
        assert (low > -0.05 and high < 0.05) == (verdict == WITHIN)
        assert (row["low"] > 0.05) == (verdict == ABOVE)
        assert (row["high"] < -0.05) == (verdict == BELOW)
    elif len(differences) > 1:
        assert "all differences are equal" in row["remark"]


def test_a_quantity_that_verdicts_judge_has_their_verdict_here():
    results = synthetic_results(seeds=4)
    gaps_of = judge_gaps(results.evaluation).set_index([*AXES, "method", "metric", "subset"])
    compared = 0
    for row in judge_methods(results.evaluation).itertuples():
        for name, quantity in JUDGED.items():
            cell = tuple(getattr(row, axis) for axis in AXES)
            found = gaps_of.loc[(*cell, row.method, quantity.metric, quantity.subset)]
            assert found["verdict"] == getattr(row, f"{name}_place")
            assert found["low"] == getattr(row, f"{name}_low")
            compared += 1
    assert compared > 100


def test_without_a_margin_nothing_is_called_equal():
    assert np.isnan(margin("relearn_steps"))
    assert np.isnan(margin("seconds"))
    assert (margin("accuracy"), margin("mf_blackbox_rate"), margin("tow")) == (0.02, 0.05, 0.05)
    assert margin("log10_efficacy") == pytest.approx(np.log10(2))
    assert margin("mia_whitebox_tpr_at_0.1pct") == 0.01


def test_infinite_efficacies_have_a_gap_without_an_interval():
    results = results_of(
        series("retrain", "forget", "efficacy", [1.0, 10.0])
        + series("original", "forget", "efficacy", [np.inf, 10.0])
    )
    row = gaps(results).loc[("log10_efficacy", "forget", "original")]
    assert (row["gap"], row["verdict"]) == (np.inf, "")
    assert "infinite difference" in row["remark"]


def test_what_is_not_measurable_says_so_and_so_does_what_was_not_run(tmp_path):
    name = "mia_whitebox_tpr_at_0.1pct"
    results = results_of(
        [
            row
            for method in ("original", "retrain", "fisher")
            for row in series(method, "forget", name, [np.nan, np.nan])
            + series(method, "forget", "accuracy", [0.5, 0.6])
        ]
    )
    table = build(results)
    assert set(table.loc[table["metric"] == name, "remark"]) == {NOT_MEASURABLE}
    paths = {kind: tmp_path / f"a.{kind}" for kind in ("csv", "tex", "html")}
    write_table(table, layout(table), TITLE, explain(table, results.remarks), **paths)
    cells = shown(paths["html"].read_text()).set_index("quantity")
    line = cells.loc["TPR D_f at 0.1% FPR"]
    ran = [METHODS[method] for method in ("original", "retrain", "fisher")]
    assert (line[ran] == NOT_MEASURABLE).all()
    assert METHODS["remi_whitebox"] not in cells
    assert METHODS["remi_whitebox"] in note(paths["html"].read_text())
    assert "relearn steps" not in cells.index
    said = re.search("Not run or not measured: (.*)", note(paths["html"].read_text()))[1]
    assert {"relearn steps", "AUC D_f", "ToW"} <= set(said.strip(".").split("; "))
    assert cells.loc["accuracy D_f, %", METHODS["retrain"]] == "55.0"
    assert "mean over 2 seeds" in note(paths["html"].read_text())
    read = pd.read_csv(paths["csv"])
    assert read.loc[read["metric"] == name, ["mean", "gap", "low"]].isna().all(axis=None)


def test_quantities_beyond_the_paper_that_were_not_measured_are_said_in_one_sentence(tmp_path):
    def write(results):
        table = build(results)
        paths = {kind: tmp_path / f"a.{kind}" for kind in ("csv", "tex", "html")}
        write_table(table, layout(table), TITLE, explain(table, ""), **paths)
        text = paths["html"].read_text()
        return shown(text), note(text)

    wide, text = write(synthetic_results(("fmnist",), ("cnn",), seeds=3, beyond=False))
    beyond = ("TPR", "worst", "relearn", "D_r", "two models")
    lost = [q for q in SHOWN if any(w in q.label for w in beyond) and q.metric != "accuracy"]
    assert set(wide["quantity"]) == {q.title for q in SHOWN} - {q.title for q in lost}
    assert len(wide) == 4 * (len(SHOWN) - len(lost))
    assert text.endswith(f"Not run or not measured: {'; '.join(q.title for q in lost)}.")
    whole, text = write(synthetic_results(("fmnist",), ("cnn",), seeds=3))
    assert len(whole) == 4 * len(SHOWN)
    assert not whole.isin(["not run"]).any(axis=None)
    assert "Not run or not measured" not in text


def test_one_seed_has_gaps_without_intervals():
    results = synthetic_results(("fmnist",), ("cnn",), seeds=1)
    table = build(results)
    assert table["low"].isna().all()
    assert (table["verdict"] == "").all()
    assert "no interval" in explain(table, "")
    cells = layout(table)[METHODS["fisher"]]
    assert cells.str.fullmatch(r"[+−][\d.]+").all()


def words(figure):
    return [text.get_text() for text in figure.findobj(Text)]


def test_the_figure_shows_the_tables_gaps():
    use_theme()
    results = synthetic_results(("fmnist",), ("cnn",), seeds=3)
    table = build(results).set_index([*KEYS, "forget_ratio"])["gap"]
    figure = figure_gaps.draw(results, ratio=0.25)
    for axis, quantity in zip(figure.axes, figure_gaps.ROWS, strict=True):
        for method in ("original", "fisher", "remi_blackbox"):
            drawn = [
                line.get_xdata()[0]
                for line in axis.get_lines()
                if line.get_marker() == MARKERS[method] and line.get_mec() == COLORS[method]
            ]
            key = (quantity.metric, quantity.subset, method, 0.25)
            assert drawn == pytest.approx([quantity.scale * table[key]])
            low, high = axis.get_xlim()
            assert low <= drawn[0] <= high


def test_an_interval_that_goes_on_has_an_arrow():
    use_theme()
    figure, axis = plt.subplots()
    axis.set(xlim=(0, 1), ylim=(0, 1))
    for low, high in ((0.2, 0.4), (-1, 0.5), (0.5, 3), (-1, 3)):
        interval(axis, 0.5, low, high, color="black")
    heads = [(line.get_marker(), line.get_xdata()[0]) for line in axis.get_lines()]
    assert heads == [("<", 0), (">", 1), ("<", 0), (">", 1)]
    ends = [collection.get_segments()[0][:, 0].tolist() for collection in axis.collections]
    assert ends == [[0.2, 0.4], [0, 0.5], [0.5, 1], [0, 1]]
    plt.close(figure)


def test_the_figure_of_many_cells_has_a_point_for_each_and_their_median():
    use_theme()
    results = synthetic_results(("fmnist", "stl10"), ("cnn", "vgg19"), seeds=2)
    table = build(results).set_index(["dataset", "architecture", *KEYS, "forget_ratio"])["gap"]
    axis = figure_gaps.draw(results).axes[0]
    gaps = table.xs(("mia_whitebox_rate", "forget", "fisher", 0.1), level=[*KEYS, "forget_ratio"])
    drawn = [line.get_xdata()[0] for line in axis.get_lines() if line.get_mec() == COLORS["fisher"]]
    assert sorted(drawn) == pytest.approx(sorted(gaps))
    ticks = [line.get_xdata()[0] for line in axis.get_lines() if line.get_marker() == "|"]
    assert gaps.median() in [pytest.approx(tick) for tick in ticks]


def test_the_figure_says_what_it_has_not():
    use_theme()
    results = synthetic_results(("fmnist", "stl10"), ("cnn", "vgg19"), seeds=2, beyond=False)
    text = " ".join(words(figure_gaps.draw(results))).replace("\n", " ")
    assert "Not measured: TPR $D_f$ at 1% FPR, worst decile" in text
    nothing = figure_gaps.draw(results, ratio=0.2)
    assert not nothing.axes
    assert words(nothing)[0].startswith("Not run: retraining and another method at 20%")
    lost = results.evaluation.assign(
        value=results.evaluation["value"].where(results.evaluation["metric"] != "mia_whitebox_auc")
    )
    figure = figure_gaps.draw(replace(results, evaluation=lost))
    assert words(figure).count(NOT_MEASURABLE) == 1
