"""Statistics, tables and figures on a synthetic evaluation whose answers are known."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from remibench.config import METHODS as CONFIGURED
from remibench.reporting import figure3_mia_before_after as figure3
from remibench.reporting import figure5_mf_during_unlearning as figure5
from remibench.reporting import (
    table3_classification_accuracy,
    table4_whitebox_mia,
)
from remibench.reporting.gather import join_datasets, join_training
from remibench.reporting.render import (
    format_cell,
    note,
    pivot,
    use_theme,
    write_figure,
    write_table,
)
from remibench.reporting.results import COLORS, METHODS, Results, percent
from remibench.reporting.statistics import summarise, t_interval
from remibench.reporting.summary import summarise_results

PAPER = Path(__file__).parents[1] / "paper"
FIGURES = ["figure3_mia_before_after", "figure4_efficacy", "figure5_mf_during_unlearning"]
RATES = {"original": 0.9, "retrain": 0.4, "fisher": 0.8, "remi_whitebox": 0.5, "remi_blackbox": 0.7}


TRAINING = [
    "dataset",
    "architecture",
    "seed",
    "model",
    "forget_ratio",
    "epochs",
    "loss",
    "stalled",
]


def make_results(seeds=3, methods=tuple(METHODS), ratios=(0.01, 0.1, 0.25, 0.5)):
    """A results tree in memory: rates as in RATES plus .01 per seed."""
    rows, epochs = [], []
    for seed in range(seeds):
        for method in methods:
            for ratio in ratios:
                cell = ("fmnist_embedded", "cnn", seed, method, ratio)
                rate = RATES[method] + 0.01 * seed
                rows += [
                    (*cell, s, "mia_whitebox_rate", rate) for s in ("forget", "retain", "test")
                ]
                rows += [(*cell, s, "accuracy", rate) for s in ("forget", "retain", "test")]
                rows += [(*cell, "forget", "efficacy", 10.0 ** (seed + ratio))]
                if method != "original":
                    rows += [(*cell, "", "seconds", 2.0)]
                if method.startswith("remi"):
                    epochs += [(*cell, e, 1 - 0.3 * e, 0.5) for e in range(3)]
    axes = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    histories = [*axes, "epoch", "mf_forget", "mf_out_of_sample"]
    return Results(
        evaluation=pd.DataFrame(rows, columns=[*axes, "subset", "metric", "value"]),
        histories=pd.DataFrame(epochs, columns=histories),
        datasets=pd.DataFrame(
            [
                {
                    "dataset": "fmnist_embedded",
                    "paper_dataset": "fmnist",
                    "provenance": "invented",
                    "image_size": 32,
                }
            ]
        ),
        training=pd.DataFrame(
            [
                ("fmnist_embedded", "cnn", seed, "target", np.nan, 50, 0.01, 0)
                for seed in range(seeds)
            ],
            columns=TRAINING,
        ),
        published={path.stem: pd.read_csv(path) for path in PAPER.glob("*.csv")},
    )


def test_t_interval_equals_scipy():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high))


def test_one_seed_has_no_interval_and_says_so():
    rows = pd.DataFrame({"cell": ["a"], "value": [0.5]})
    summary = summarise(rows, ["cell"])
    assert summary[["low", "high"]].isna().all().all()
    assert format_cell(0.5, np.nan, np.nan, np.nan, 2) == "0.50"
    assert "no interval" in note(summary, "")


def test_summaries_group_by_cell():
    rows = pd.DataFrame({"cell": ["a", "a", "b"], "value": [1.0, 3.0, 5.0]})
    summary = summarise(rows, ["cell"]).set_index("cell")
    assert summary.loc["a", "mean"] == 2.0
    assert summary["seeds"].to_dict() == {"a": 2, "b": 1}


def test_table_4_puts_the_papers_number_beside_ours():
    table = table4_whitebox_mia.build(make_results())
    keys = ["method", "forget_ratio", "subset"]
    cell = table.set_index(keys).loc[("remi_whitebox", 0.1, "forget")]
    assert cell["mean"] == pytest.approx(0.51)
    assert cell["seeds"] == 3
    assert cell["paper"] == 0.365  # FMNIST, CNN, 10 %, after
    assert cell["difference"] == pytest.approx(0.51 - 0.365)
    before = table.set_index(keys).loc[("original", 0.5, "forget")]
    assert before["paper"] == 1.0
    assert table[table["method"] == "fisher"]["paper"].isna().all()
    assert table[table["subset"] != "forget"]["paper"].isna().all()


def test_table_3_has_the_papers_number_at_ten_percent_alone():
    table = table3_classification_accuracy.build(make_results())
    with_paper = table[table["paper"].notna()]
    assert set(with_paper["forget_ratio"]) == {0.1}
    keys = ["method", "subset"]
    assert with_paper.set_index(keys).loc[("original", "test"), "paper"] == 90.1
    assert with_paper.set_index(keys).loc[("remi_whitebox", "retain"), "paper"] == 98.5
    assert table["mean"].max() == pytest.approx(91.0)  # percent


def test_methods_that_were_not_run_say_so(tmp_path):
    results = make_results(seeds=1, methods=("original", "retrain"), ratios=(0.1,))
    table = table4_whitebox_mia.build(results)
    wide = pivot(table, table4_whitebox_mia.ROWS, 3)
    assert (wide["Fisher"] == "not run").all()
    assert wide.loc[0, "Before"] == "0.900 [1.000]"
    paths = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "tex", "html")}
    write_table(table, results.remarks, "Rate (%)", table4_whitebox_mia.ROWS, 3, **paths)
    assert "not run" in paths["html"].read_text()
    assert "Data: fmnist_embedded: invented, 32×32 pixels" in paths["html"].read_text()
    assert r"fmnist\_embedded: invented, 32$\times$32 pixels" in paths["tex"].read_text()
    assert r"fmnist\_embedded & cnn & 10\% & forget" in paths["tex"].read_text()
    assert r"Rate (\%)" in paths["tex"].read_text()
    assert len(pd.read_csv(paths["csv"])) == len(table)


@pytest.mark.parametrize(
    ("before", "fisher", "remi", "expected"),
    [(0.9, 0.8, 0.5, 0.8), (1.0, 1.0, 0.2, 1.0), (0.5, 0.7, 0.4, 1.0), (0.5, 0.4, 0.6, 0.0)],
)
def test_proportional_effectiveness(before, fisher, remi, expected):
    assert figure3.proportional_effectiveness(before, fisher, remi) == pytest.approx(expected)


def test_proportional_effectiveness_of_no_reduction_is_undefined():
    assert np.isnan(figure3.proportional_effectiveness(0.5, 0.6, 0.5))


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize(
    "subset",
    [
        {},
        {"seeds": 1},
        {"methods": ("original", "fisher")},
        {"ratios": (0.1,)},
        {"seeds": 20, "ratios": (0.25,)},
    ],
    ids=str,
)
def test_figures_draw_for_any_subset_of_the_grid(name, subset, tmp_path):
    use_theme()
    module = import_module(f"remibench.reporting.{name}")
    for folder in ("first", "second"):
        figure = module.draw(make_results(**subset))
        write_figure(figure, tmp_path / folder / "a.svg", tmp_path / folder / "a.png")
    first, second = ((tmp_path / f / "a.svg").read_bytes() for f in ("first", "second"))
    assert first == second, "equal data must give equal files"


def test_figure_3_shows_the_means_and_the_papers_numbers():
    use_theme()
    figure = figure3.draw(make_results())
    axis = figure.axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == pytest.approx([RATES[method] + 0.01 for method in figure3.SHOWN])
    diamonds = [line.get_ydata()[0] for line in axis.lines if line.get_marker() == "D"]
    assert [y for y in diamonds if np.isfinite(y)] == [1.0, 0.485]  # Table IV at 25 %
    assert "80%" in axis.get_title()  # .4 / (.4 + .1)
    assert "paper, four architectures: 82%" in axis.get_title()


def test_figure_5_draws_every_epoch_of_every_white_box_run():
    use_theme()
    axis = figure5.draw(make_results(seeds=2)).axes[0]
    curves = [line for line in axis.lines if len(line.get_xdata()) == 3 and line.get_zorder() > 0]
    assert len(curves) == 2 * 4
    assert all(line.get_ydata() == pytest.approx([1, 0.7, 0.4]) for line in curves)


def test_the_summary_compares_the_methods_at_ten_percent():
    text = summarise_results(make_results())
    assert "10% of the training set forgotten, mean over 3 seed(s)" in text
    line = next(line for line in text.splitlines() if line.startswith("ReMI (white-box)"))
    assert "51.0 ± " in line
    assert "0.510 ± 0.025" in line
    assert "ReMI (white-box) met its stopping rule in 12 of 12 runs" in text


def test_a_cell_that_lacks_a_method_or_the_ratio_is_shown_as_not_there():
    results = make_results()
    other = results.evaluation.assign(architecture="resnet18")
    other = other[(other["method"] == "original") & (other["forget_ratio"] == 0.5)]
    evaluation = pd.concat([results.evaluation, other])
    text = summarise_results(replace(results, evaluation=evaluation))
    block = text.split("fmnist_embedded, resnet18")[1]
    fisher = next(line for line in block.splitlines() if line.startswith("Fisher"))
    assert fisher.split() == ["Fisher", *["–"] * 6]
    assert "51.0 ± " in text.split("fmnist_embedded, resnet18")[0]


def test_every_method_has_a_label_and_a_colour():
    assert set(METHODS) == set(COLORS) == {"original", *CONFIGURED}


def test_ratios_are_shown_as_they_are():
    assert [percent(ratio) for ratio in (0.005, 0.01, 0.125, 0.5)] == ["0.5%", "1%", "12.5%", "50%"]


def test_dataset_rows_state_provenance_and_role_sizes(tmp_path):
    folder = tmp_path / "fmnist_embedded"
    folder.mkdir()
    record = {
        "paper_dataset": "fmnist",
        "provenance": "real",
        "image_size": 28,
        "class_names": ["a", "b"],
    }
    (folder / "metadata.json").write_text(json.dumps(record))
    np.savez(folder / "splits.npz", target_train=np.arange(7))
    table = join_datasets([str(folder / "metadata.json")], [str(folder / "splits.npz")])
    assert table.loc[0, ["dataset", "provenance", "target_train"]].tolist() == [
        "fmnist_embedded",
        "real",
        7,
    ]


def test_trainings_that_learned_nothing_are_said_in_every_table_and_the_summary():
    results = make_results()
    assert results.stalled == ""
    stalled = results.training.assign(stalled=[1, 0, 1])
    failed = replace(results, training=stalled)
    text = "2 of 3 trainings learned nothing, their loss is that of a constant output: "
    assert failed.stalled == f"{text}fmnist_embedded cnn target (2)."
    assert failed.stalled in failed.remarks
    assert failed.stalled in summarise_results(failed)
    assert "learned nothing" not in summarise_results(results)


def test_training_rows_hold_each_models_last_epoch(tmp_path):
    folder = tmp_path / "models" / "stl10" / "vgg19" / "3"
    folder.mkdir(parents=True)
    for role, losses in (("target", (2.3, 2.3)), ("shadow", (2.3, 0.5))):
        rows = [(k, loss, 1.5, int(loss > 2)) for k, loss in enumerate(losses, 1)]
        table = pd.DataFrame(rows, columns=["epoch", "loss", "seconds", "stalled"])
        table.to_csv(folder / f"{role}.history.csv", index=False)
    cell = ("stl10", "vgg19", 3, "retrain", 0.1)
    histories = pd.DataFrame(
        [(*cell, 1, 2.2, 1.0), (*cell, 2, 0.4, 0.0), (*cell[:3], "fisher", 0.1, 1, np.nan, np.nan)],
        columns=[
            "dataset",
            "architecture",
            "seed",
            "method",
            "forget_ratio",
            "epoch",
            "loss",
            "stalled",
        ],
    )
    paths = [str(folder / f"{role}.history.csv") for role in ("target", "shadow")]
    table = join_training(paths, histories)
    assert list(table.columns) == TRAINING
    assert table[["model", "epochs", "loss", "stalled"]].to_numpy().tolist() == [
        ["target", 2, 2.3, 1],
        ["shadow", 2, 0.5, 0],
        ["retrain", 2, 0.4, 0],
    ]
    assert table["forget_ratio"].tolist()[2] == 0.1
