"""The distribution of an attack's scores during unlearning, from hand-made scores."""

import numpy as np
import pandas as pd
import pytest

from remibench.errors import RemibenchError
from remibench.evaluation.predictions import Scores
from remibench.reporting.beyond import mechanism

EPOCHS = {"original": 0, "remi_whitebox~01": 3, "retrain": np.nan}


def scores(forget):
    """Two images of every subset: those of D_f score as given, the others .1 and .7."""
    values = np.array([[*forget, 0.1, 0.7, 0.1, 0.7, 0.1, 0.7]], dtype=np.float32)
    return Scores(
        images=np.arange(8),
        ratios=np.array([0.5, 0.1]),
        subset=np.array([[1, 0, 0, 1, 2, 2, 3, 3], [0, 0, 1, 1, 2, 2, 3, 3]], dtype=np.uint8),
        margins=values.repeat(2, axis=0),
        members={name: values.repeat(2, axis=0) for name in mechanism.ATTACKS},
        predicted=np.zeros((2, 8), np.int16),
    )


@pytest.fixture
def table():
    models = map(scores, [(0.9, 0.8), (0.9, 0.2), (0.3, 0.2)])
    return mechanism.trace(dict(zip(EPOCHS, models, strict=True)), EPOCHS, 0.1)


def test_rates_and_shares_are_those_of_the_images_of_each_subset(table):
    mine = table[(table["attack"] == "mia_whitebox") & (table["subset"] == "forget")]
    assert mine["epoch"].tolist()[:2] == [0, 3]
    assert np.isnan(mine["epoch"].iloc[2])
    assert mine["rate"].tolist() == [1, 0.5, 0]
    assert mine["mean"].tolist() == pytest.approx([0.85, 0.55, 0.25])
    others = table[table["subset"] != "forget"]
    assert set(others["rate"]) == {0.5}
    assert set(table["images"]) == {2}
    bins = table.filter(like="bin_")
    assert bins.sum(axis=1).tolist() == pytest.approx([1] * len(table))
    assert others[f"bin_{int(0.7 * mechanism.BINS):02}"].tolist() == [0.5] * len(others)


def test_the_subsets_are_those_of_the_forget_ratio():
    at_half = mechanism.trace({"original": scores((0.9, 0.8))}, EPOCHS, 0.5).set_index("subset")
    assert at_half.loc["forget", "mean"].iloc[0] == pytest.approx((0.8 + 0.1) / 2)


def variants(*values):
    rows = [("remi_whitebox~01", "remi_whitebox", *value.split("=")) for value in values]
    rows.append(("fisher~01", "fisher", "alpha", "1.0"))  # of another method: not followed
    return pd.DataFrame(rows, columns=["variant", "method", "parameter", "value"])


def test_a_variant_stands_for_its_number_of_epochs():
    assert mechanism.epochs_of(variants("stop=never", "max_epochs=3")) == pytest.approx(
        EPOCHS, nan_ok=True
    )


@pytest.mark.parametrize(
    "values", [["max_epochs=3"], ["stop=never"], ["stop=matched", "max_epochs=3"]]
)
def test_a_variant_that_may_have_ended_elsewhere_is_refused(values):
    with pytest.raises(RemibenchError, match="both `stop: never` and `max_epochs`"):
        mechanism.epochs_of(variants(*values))


@pytest.mark.parametrize(("forget", "stop"), [([1, 0.6, 0.4, 0.6], 2), ([1, 0.9, 0.8, 0.7], None)])
def test_the_run_stops_when_mf_calls_no_larger_share_of_forget_images(forget, stop):
    history = pd.DataFrame({"epoch": range(4), "mf_forget": forget, "mf_out_of_sample": 0.5})
    found = mechanism.stopping_epoch(history)
    assert found == stop if stop else np.isnan(found)


def test_figures_show_every_population_and_the_stopping_rule(table):
    rates = mechanism.draw_rates(table, stop=2)
    assert [axis.get_title() for axis in rates.axes] == list(mechanism.ATTACKS.values())
    for axis in rates.axes:
        drawn = {tuple(line.get_ydata()) for line in axis.lines if len(line.get_xdata()) == 2}
        assert {(1, 0.5), (0.5, 0.5)} <= drawn  # D_f, and the others
    spread = mechanism.draw_distributions(table)
    assert [axis.get_title() for axis in spread.axes[:3]] == ["before", "epoch 3", "retrained"]
