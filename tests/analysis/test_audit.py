"""The audit by hand-made numbers: what moves, what is taken for retraining, what is not decided."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from support.synthetic import synthetic_results

from remibench.analysis.audit import audit
from remibench.analysis.results import ACROSS_SEEDS, METHODS
from remibench.analysis.verdicts import MOVES, NOT_DECIDED, STAYS, TAKEN, TOLD_APART, UNSEEN
from remibench.reporting.beyond import figure_audit, table_audit

CELL = ("fmnist", "cnn")
JITTER = np.array([-0.004, 0.004, -0.002, 0.002, 0.001, -0.001])  # six seeds, mean 0
MODELS = ("original", "retrain", "shift", "temperature")
VALUES = {  # subset, metric → means of MODELS
    ("forget", "accuracy"): (0.99, 0.7, 0.99, 0.99),
    ("forget", "mia_whitebox_rate"): (0.9, 0.5, 0.9, 0.51),
    ("forget", "mia_whitebox_published_rate"): (0.9, 0.5, 0.1, 0.8),
    ("forget", "mia_blackbox_auc"): (0.52, 0.5, 0.52, 0.51),
    ("forget", "relearn_steps"): (20.0, 60.0, 23.0, 62.0),
    ("", "seconds"): (1.0, 9.0, 1.0, 1.0),
}


def made(seeds=6, values=VALUES, across_seeds=()):
    """Results of one cell with these means; every model but retraining varies with the seed."""
    rows = [
        (*CELL, seed, model, 0.1, subset, metric, mean + JITTER[seed] * (model != "retrain"))
        for (subset, metric), means in values.items()
        for model, mean in zip(MODELS, means, strict=True)
        for seed in range(seeds)
    ]
    results = synthetic_results(seeds=1)
    evaluation = pd.DataFrame(rows, columns=results.evaluation.columns)
    compared = pd.DataFrame(across_seeds, columns=ACROSS_SEEDS)
    return replace(results, evaluation=evaluation, across_seeds=compared)


def by_key(table):
    return table.set_index(["metric", "control"])


def test_what_moves_and_what_is_taken_for_retraining():
    table = by_key(audit(made()))
    expected = {
        ("accuracy", "shift"): (STAYS, TOLD_APART),
        ("accuracy", "temperature"): ("", TOLD_APART),
        ("mia_whitebox_rate", "shift"): (STAYS, TOLD_APART),
        ("mia_whitebox_rate", "temperature"): ("", TAKEN),
        ("mia_whitebox_published_rate", "shift"): (MOVES, TOLD_APART),
        ("mia_whitebox_published_rate", "temperature"): ("", TOLD_APART),
        ("mia_blackbox_auc", "shift"): (STAYS, UNSEEN),
        ("relearn_steps", "shift"): (STAYS, TOLD_APART),  # margin: a tenth of 40
        ("relearn_steps", "temperature"): ("", TAKEN),
    }
    found = {key: (table.loc[key, "moves"], table.loc[key, "verdict"]) for key in expected}
    assert found == expected
    assert "seconds" not in table.index.get_level_values("metric")
    assert table.loc[("relearn_steps", "shift"), "margin"] == pytest.approx(4)


def test_numbers_are_those_of_the_definition():
    row = by_key(audit(made())).loc[("mia_whitebox_published_rate", "shift")]
    assert row[["target", "retraining", "value"]].tolist() == pytest.approx([0.9, 0.5, 0.1])
    assert row["change"] == pytest.approx(0.8)
    assert row["gap"] == pytest.approx(-0.4)
    interval = stats.ttest_1samp(JITTER - 0.4, 0).confidence_interval(0.95)
    assert row[["low", "high"]].tolist() == pytest.approx([interval.low, interval.high])


def test_one_seed_decides_nothing_but_what_moves():
    table = by_key(audit(made(seeds=1)))
    assert set(table["verdict"]) == {NOT_DECIDED}
    assert table.loc[("mia_whitebox_published_rate", "shift"), "moves"] == MOVES


def test_a_value_of_all_seeds_is_judged_by_itself_against_retrainings_own():
    values = {
        "ulira_auc": (0.9, 0.5, 0.9, 0.52),
        "klom_halves": (8.0, np.nan, 8.0, 2.1),  # retraining has its floor in their place
        "klom_floor": (np.nan, 2.0, np.nan, np.nan),
    }
    rows = [
        (*CELL, 0.1, model, "forget", metric, value, 6)
        for metric, means in values.items()
        for model, value in zip(MODELS, means, strict=True)
        if not np.isnan(value)
    ]
    rows.append((*CELL, 0.1, "temperature", "test", "ulira_auc", 0.5, 6))  # alone: left out
    table = audit(made(across_seeds=rows))
    table = by_key(table[table["metric"].isin(values)])
    assert table["verdict"].to_dict() == {
        ("ulira_auc", "shift"): TOLD_APART,
        ("ulira_auc", "temperature"): TAKEN,
        ("klom_halves", "shift"): NOT_DECIDED,  # no margin, and nothing tells how it varies
        ("klom_halves", "temperature"): NOT_DECIDED,
    }
    assert (table["n"] == 1).all()


def test_without_controls_nothing_is_audited():
    results = made()
    evaluation = results.evaluation
    plain = replace(results, evaluation=evaluation[evaluation["method"].isin(MODELS[:2])])
    assert audit(plain).empty
    assert table_audit.layout(audit(plain)).empty
    assert figure_audit.data(plain).empty
    figure_audit.draw(plain)


def test_the_table_names_the_controls_that_fool_a_metric():
    lines = table_audit.layout(table_audit.build(made())).set_index("quantity")
    assert lines[table_audit.MOVED_BY].to_dict() == {
        "accuracy D_f, %": STAYS,
        "MIA rate D_f": STAYS,
        "MIA rate D_f, white-box as published": "shift",
        "AUC D_f, black-box": STAYS,
        "relearn steps": STAYS,
    }
    assert lines.loc["MIA rate D_f", table_audit.TAKEN_FOR] == "temperature"
    assert lines.loc["accuracy D_f, %", table_audit.TAKEN_FOR] == "none"
    assert lines.loc["AUC D_f, black-box", table_audit.TAKEN_FOR] == UNSEEN
    assert lines.loc["relearn steps", METHODS["retrain"]] == "60.0"


def test_the_figure_places_controls_between_retraining_and_target():
    data = figure_audit.data(made()).set_index(["metric", "control"])
    assert data.loc[("mia_whitebox_rate", "shift"), "at"] == pytest.approx(1)
    assert data.loc[("mia_whitebox_rate", "temperature"), "at"] == pytest.approx(0.025)
    assert data.loc[("mia_whitebox_published_rate", "shift"), "at"] == pytest.approx(-1)
    assert "mia_blackbox_auc" not in data.index.get_level_values("metric")  # no scale
