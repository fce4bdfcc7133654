"""The report's pages of tables: what they hold, and that the largest grid stays usable."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from support.pages import note, shown
from support.synthetic import synthetic_curves, synthetic_metadata, synthetic_results

from remibench.reporting.beyond import comparisons
from remibench.reporting.html_page import MAX_ROWS, page
from remibench.reporting.render import use_theme, write_page
from remibench.reporting.run import overview, training_curves
from remibench.reporting.style import COLORS

LARGEST = 1.5e6  # bytes of a page of the paper's grid; in the report a third more
ALL_PAGES = 5e6


def build(results):
    metadata = synthetic_metadata(results)
    config = {"seeds": [0, 1], "training": {"epochs": 3, "limit": None}, "tune": {}}
    return overview.build(results, metadata, config, {"python": "3.11", "libraries": {"a": "1"}})


@pytest.fixture(scope="module")
def full():
    return synthetic_results(beyond=False)  # as the paper's grid is configured


@pytest.fixture(scope="module")
def small():
    return synthetic_results(("fmnist", "stl10"), ("cnn",), seeds=2, ratios=(0.1, 0.5))


def test_cells_are_text_with_a_word_for_what_is_missing():
    table = pd.DataFrame(
        {"a<b": [1, 2], "x": [0.123456, np.nan], "y": ["</script>", "<!--<script>"]}
    )
    text = page(table, "A & B", "1 < 2", "name")
    assert shown(text).to_dict("list") == {
        "a<b": ["1", "2"],
        "x": ["0.1235", "–"],
        "y": ["</script>", "<!--<script>"],
    }
    assert note(text) == "1 < 2"
    assert "<title>A &amp; B</title>" in text
    assert text.count("</script>") == 1  # no cell ends the script,
    assert "<!--" not in text  # or keeps it from ending


def test_a_page_asks_nobody_else_for_a_file():
    text = page(pd.DataFrame({"a": [1]}), "", "", "name")
    assert "http" not in text
    assert 'src="' not in text


def test_a_table_that_is_too_long_is_cut_and_says_so():
    rows = pd.DataFrame({"a": np.arange(MAX_ROWS + 5)})
    text = page(rows, "", "Numbers.", "name")
    assert len(shown(text)) == MAX_ROWS
    assert note(text) == "Numbers. These are the first 20,000 of 20,005 rows."
    assert "first" not in note(page(rows.head(MAX_ROWS), "", "Numbers.", "name"))


def test_the_papers_grid_stays_usable(full, tmp_path):
    sizes, pages = {}, build(full)
    for name, item in pages.items():
        write_page(tmp_path / name, item.table, item.title, item.note)
        sizes[name] = (tmp_path / name).stat().st_size
        assert len(shown((tmp_path / name).read_text())) == len(item.table), "cut"
        assert "nan" not in shown((tmp_path / name).read_text()).to_numpy()
    assert max(sizes.values()) < LARGEST, sizes
    assert sum(sizes.values()) < ALL_PAGES, sizes
    assert len(pages["runs"].table) == 16 * 20 * 4 * 5
    assert len(comparisons.layout(comparisons.build(full))) < MAX_ROWS


def test_datasets_have_a_column_each(small):
    table = build(small)["datasets"].table.set_index("property")
    assert list(table) == ["fmnist", "stl10"]
    assert table.loc["left out", "fmnist"] == "2 unreadable"
    assert table.loc["target train", "stl10"] == "1,000 images"
    assert table.loc["of them test", "stl10"] == "500 images"
    assert table.loc["classes", "stl10"].startswith("10: class 0, class 1")


def test_a_dataset_that_is_none_of_the_papers_says_so(small):
    rows = small.datasets.assign(paper_dataset=np.nan)
    table = build(replace(small, datasets=rows))["datasets"].table.set_index("property")
    assert table.loc["in the paper"].tolist() == ["none", "none"]


def test_files_have_their_checksums(small):
    table = build(small)["files"].table
    assert table["dataset"].value_counts().to_dict() == {"fmnist": 3, "stl10": 3}
    assert table.set_index(["dataset", "file"]).loc[("stl10", "labels.gz"), "SHA-256"] == "2" * 64


def test_trainings_have_their_accuracies_and_stalled_ones_stand_out(small):
    rows = small.training.copy()
    rows.loc[3, "stalled"] = 1
    table = build(replace(small, training=rows))["trainings"].table
    assert len(table) == len(rows) == 2 * 2 * (2 + 2)
    assert table["stalled"].tolist().index("STALLED") == 3
    assert table["stalled"].value_counts().to_dict() == {"no": 15, "STALLED": 1}
    of = table.set_index("model")
    accuracy = small.metric("accuracy", scale=100)
    first = accuracy.set_index(["dataset", "seed", "method", "forget_ratio", "subset"])["value"]
    target = of.loc["target"].iloc[0]
    # Forget sets of 100 and 500 images with accuracy 1, retain sets of 900 and 500 with .99.
    assert target["accuracy train, %"] == pytest.approx(100 * (600 * 1 + 1400 * 0.99) / 2000)
    expected = np.mean([first["fmnist", 0, "original", ratio, "test"] for ratio in (0.1, 0.5)])
    assert target["accuracy test, %"] == pytest.approx(expected)
    again = of.loc["retrain"].iloc[0]
    assert again["accuracy train, %"] == first["fmnist", 0, "retrain", 0.1, "retain"]
    assert again["accuracy test, %"] == first["fmnist", 0, "retrain", 0.1, "test"]
    assert of.loc["shadow", ["accuracy train, %", "accuracy test, %"]].isna().all(axis=None)


def test_runs_tell_how_remi_ended(small):
    histories = small.histories.copy()
    for seed, rate in enumerate((0.9, 0.1)):
        run = (histories["seed"] == seed) & (histories["method"] == "remi_whitebox")
        run &= (histories["dataset"] == "fmnist") & (histories["forget_ratio"] == 0.1)
        last = histories[run]["epoch"].max()
        histories.loc[run & (histories["epoch"] == last), "mf_forget"] = rate
    results = replace(small, histories=histories)
    table = build(results)["runs"].table
    assert len(table) == 2 * 2 * 2 * 5
    keys = ["dataset", "method", "forget ratio", "seed"]
    ended = table.set_index(keys)["ended"]
    assert ended["fmnist", "ReMI (white-box)", "10%", 0] == "max_epochs"
    assert ended["fmnist", "ReMI (white-box)", "10%", 1] == "stopping rule"
    assert ended.xs("Before", level="method").isna().all()
    row = table.set_index(keys).loc[("fmnist", "ReMI (white-box)", "10%", 1)]
    assert (row["epochs"], row["guide D_f"]) == (last, 0.1)
    met = (ended.xs("ReMI (white-box)", level="method") == "stopping rule").sum()
    assert f"ReMI (white-box) met its stopping rule in {met} of 8 runs" in results.stopping


def test_runs_come_in_the_order_of_the_grid(small):
    table = build(small)["runs"].table
    order = [*product(["fmnist", "stl10"], ["10%", "50%"])]
    assert [*table.groupby(["dataset", "forget ratio"], sort=False).groups] == order
    assert table["method"].iloc[:10:2].tolist() == [
        *("Before", "Retraining", "Fisher", "ReMI (white-box)", "ReMI (black-box)")
    ]


def test_every_metric_has_its_gap_to_retraining(small):
    table = build(small)["evaluation"].table
    cells = small.evaluation.fillna({"subset": ""}).drop(columns=["seed", "value"])
    assert len(table) == len(cells.drop_duplicates())
    assert (table["seeds"] == 2).all()
    keys = ["dataset", "forget ratio", "subset", "metric", "method"]
    rows = table.set_index(keys).sort_index()
    cell = ("stl10", "50%", "forget", "mia_whitebox_rate")
    gap = rows.loc[(*cell, "Fisher"), "mean"] - rows.loc[(*cell, "Retraining"), "mean"]
    assert rows.loc[(*cell, "Fisher"), "gap to retraining"] == pytest.approx(gap)
    assert rows.xs("Retraining", level="method")["gap to retraining"].isna().all()


def test_a_grid_without_unlearning_has_its_pages():
    results = synthetic_results(("fmnist",), ("cnn",), seeds=1, methods=("original", "retrain"))
    pages = build(results)
    assert "guide D_f" in pages["runs"].table
    assert set(pages["runs"].table["method"]) == {"Before", "Retraining"}
    assert len(pages["hyperparameters"].table) == 0
    page(pages["hyperparameters"].table, "", "", "name")


def test_settings_are_flat():
    table = overview.settings({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None, "f": {}, "g": []})
    assert dict(table.to_numpy().tolist()) == {
        "a.b.c": "1",
        "a.d": "1, 2",
        "e": "none",
        "f": "none",
        "g": "none",
    }


@pytest.mark.parametrize("seeds", [1, 3, 20])
def test_training_curves_show_every_cell_and_stalled_runs(seeds):
    use_theme()
    results = synthetic_results(("fmnist", "stl10"), ("cnn", "vgg19"), seeds=seeds, ratios=(0.1,))
    figure = training_curves.draw(synthetic_curves(results))
    assert len(figure.axes) == 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["target", "shadow"]
    means = [line for line in figure.axes[0].lines if line.get_linewidth() == 1.5]
    assert len(means) == 2
    curves = synthetic_curves(results)
    slow = curves.assign(stalled=(curves["epoch"] == 1).astype(int))  # no training ends so
    names = [text.get_text() for text in training_curves.draw(slow).legends[0].get_texts()]
    assert names == ["target", "shadow"]
    half = curves["epoch"] / 100  # .01 after the first epoch, .5 after the last
    accuracies = training_curves.draw(curves.assign(held_out_accuracy=half)).axes
    assert len(accuracies) == 8
    assert [axis.get_ylabel().partition("\n")[0] for axis in accuracies[::2]] == [
        *("Training loss", "Accuracy on") * 2
    ]
    drawn = [line for line in accuracies[2].lines if line.get_linewidth() == 1.5]
    assert [list(line.get_ydata()[[0, -1]]) for line in drawn] == [pytest.approx([1, 50])] * 2
    stalled = synthetic_curves(results, stalled=[("stl10", "vgg19", 0, "target")])
    figure = training_curves.draw(stalled)
    lost = [line for axis in figure.axes for line in axis.lines if line.get_linewidth() == 1.8]
    assert len(lost) == 1
    assert lost[0] in figure.axes[3].lines
    assert lost[0].get_color() == COLORS["original"]
    assert set(lost[0].get_ydata()) == {2.3}
