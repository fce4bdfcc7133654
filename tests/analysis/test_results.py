"""What a results tree says of itself: the selection of forget sets, values that nobody searched."""

from dataclasses import replace

import pandas as pd
import pytest
from support.synthetic import synthetic_results

from remibench.analysis.gather import mark_unsearched
from remibench.analysis.paper import choose_datasets
from remibench.artifacts.tables import TEXT, load_table, write_csv
from remibench.reporting.paper import table3_classification_accuracy, table4_whitebox_mia
from remibench.reporting.run.summary import main_tables, summarise_results


@pytest.fixture
def results():
    return synthetic_results(("fmnist",), ("cnn",), seeds=2, ratios=(0.1, 0.2))


def selected(results, selection, **columns):
    return replace(results, datasets=results.datasets.assign(selection=selection, **columns))


def test_the_papers_numbers_stand_beside_its_own_forget_sets_alone(results):
    for table in (table3_classification_accuracy, table4_whitebox_mia):
        assert table.build(results)["paper"].notna().any()
        assert table.build(selected(results, "membership"))["paper"].notna().any()
        assert table.build(selected(results, "random"))["paper"].isna().all()
    assert len(choose_datasets(results)) == 1
    assert choose_datasets(selected(results, "class (classes: bag)")).empty
    remarks = selected(results, "class (classes: bag)", restricts=True).remarks
    assert "Forget sets: class (classes: bag); shares are of the selected training" in remarks
    assert "The paper's numbers are of other forget sets" in remarks
    assert "Forget sets" not in results.remarks
    assert "shares are of the training set" in selected(results, "random").remarks


@pytest.mark.parametrize("selection", ["oldest", "oldest (newest: True)"])
@pytest.mark.parametrize(
    ("restricts", "whole"), [(False, "the training set"), (True, "the selected training images")]
)
def test_a_selection_says_itself_what_a_ratio_is_a_share_of(
    tmp_path, results, selection, restricts, whole
):
    table = selected(results, selection, restricts=restricts).datasets
    write_csv(tmp_path / "datasets.csv", table)
    read = replace(results, datasets=load_table(tmp_path / "datasets.csv", TEXT))
    assert f"Forget sets: {selection}; shares are of {whole}." in read.remarks


def test_unseen_images_of_the_forgotten_kind_have_columns_of_their_own(results):
    parts = [
        results.evaluation[results.evaluation["subset"] == "test"].assign(subset=part, value=value)
        for part, value in (("test_forget", 0.125), ("test_retain", 0.625))
    ]
    kinds = replace(results, evaluation=pd.concat([results.evaluation, *parts]))
    assert (results.alike, kinds.alike) == ("test", "test_forget")
    text = summarise_results(kinds)
    assert "accuracy test_forget" in text
    assert "12.5 ± 0.0" in text
    assert "62.5 ± 0.0" in text
    assert "accuracy test " not in text
    assert "accuracy test " in summarise_results(results)
    (_, table), (_, alike) = (*main_tables(kinds), *main_tables(results))
    assert (table["accuracy test_forget, %"] == "12.5 ± 0.0").all()
    assert (table["accuracy test_retain, %"] == "62.5 ± 0.0").all()
    assert "accuracy test, %" not in table
    assert "accuracy test, %" in alike


def test_runs_with_default_values_are_said_in_the_notes_of_all_tables(results):
    runs = [(f"remi_{guide}", "fmnist", "cnn", 0.2) for guide in ("whitebox", "blackbox")]
    marked = mark_unsearched(results.histories, runs)
    assert set(marked.loc[marked["unsearched"] > 0, "forget_ratio"]) == {0.2}
    noted = replace(results, histories=marked)
    names = "ReMI (white-box), ReMI (black-box)"
    sentence = f"No values were searched for {names} (fmnist, cnn, 20%): run with"
    assert sentence in noted.remarks
    assert sentence in summarise_results(noted)
    assert mark_unsearched(results.histories, []) is results.histories
    assert "searched" not in results.remarks
