"""Statistics, tables and figures on a synthetic evaluation whose answers are known."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.testing.compare import compare_images
from matplotlib.text import Text
from scipy import stats
from support.pages import note, shown
from support.synthetic import KNOWN_RATES, known_results, synthetic_results

from remibench.analysis.effectiveness import proportional_effectiveness
from remibench.analysis.gather import join_datasets, join_training
from remibench.analysis.results import (
    COLORS,
    METHODS,
    PAPER_METHODS,
    Results,
    count_seeds,
    percent,
)
from remibench.analysis.statistics import summarise, t_interval
from remibench.artifacts.tables import TEXT, load_table, save_table
from remibench.components.products import products
from remibench.components.registry import controls, methods, module_name
from remibench.reporting import scorecard
from remibench.reporting.panels import carry_forward
from remibench.reporting.paper import figure01_target_accuracy as figure01
from remibench.reporting.paper import figure02_attack_accuracy as figure02
from remibench.reporting.paper import figure03_mia_before_after as figure03
from remibench.reporting.paper import figure04_efficacy as figure04
from remibench.reporting.paper import figure05_mf_during_unlearning as figure05
from remibench.reporting.paper import figure06_mf_by_guide as figure06
from remibench.reporting.paper import (
    table1_dataset_statistics,
    table2_hyperparameters,
    table3_classification_accuracy,
    table4_whitebox_mia,
    table5_latency,
    table6_cross_method,
)
from remibench.reporting.render import (
    format_cell,
    make_product,
    use_theme,
    write_figure,
    write_table,
)
from remibench.reporting.render import note as explain
from remibench.reporting.run.summary import summarise_results

ROOT = Path(__file__).parents[2]
BASELINE = Path(__file__).parent / "baseline"


# Those of the tables of every run: what compares seeds is in test_across_seeds.py, what is made of
# scores of single images in test_figures_of_scores.py.
FURTHER = {"across_seeds", "curves", "forget_images"}
PRODUCTS = [each for each in products().values() if not FURTHER & set(each.inputs)]
TABLES, FIGURES = (
    {each.name: each for each in PRODUCTS if each.kind == kind} for kind in ("table", "figure")
)
CONTROLS_ALONE = ("table_audit", "figure_audit")  # no control is in these grids: test_audit.py


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def words(figure):
    """All texts in a figure."""
    return " | ".join(text.get_text() for text in figure.findobj(Text))


def test_t_interval_equals_scipy():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx((expected.low, expected.high))


def test_one_seed_has_no_interval_and_says_so():
    rows = pd.DataFrame({"cell": ["a"], "value": [0.5]})
    summary = summarise(rows, ["cell"])
    assert summary[["low", "high"]].isna().all().all()
    assert format_cell(0.5, np.nan, np.nan, np.nan, 2) == "0.50"
    assert "no interval" in explain(summary, "")


def test_summaries_group_by_cell():
    rows = pd.DataFrame({"cell": ["a", "a", "b"], "value": [1.0, 3.0, 5.0]})
    summary = summarise(rows, ["cell"]).set_index("cell")
    assert summary.loc["a", "mean"] == 2.0
    assert summary["seeds"].to_dict() == {"a": 2, "b": 1}


def test_table_4_puts_the_papers_number_beside_ours():
    table = table4_whitebox_mia.build(known_results())
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
    table = table3_classification_accuracy.build(known_results())
    with_paper = table[table["paper"].notna()]
    assert set(with_paper["forget_ratio"]) == {0.1}
    keys = ["method", "subset"]
    assert with_paper.set_index(keys).loc[("original", "test"), "paper"] == 90.1
    assert with_paper.set_index(keys).loc[("remi_whitebox", "retain"), "paper"] == 98.5
    assert table["mean"].max() == pytest.approx(91.0)  # percent


TEX = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{array,booktabs,longtable}
\usepackage[margin=1in]{geometry}
\begin{document}
\input{%s}
\end{document}
"""


def compile_latex(path):
    """Compile one table; the widest that sticks out of a line, in points."""
    (path.parent / "page.tex").write_text(TEX % path.name)
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    return max(map(float, re.findall(r"Overfull .hbox \((.+?)pt", done.stdout)), default=0)


def make_table(name, results, folder):
    """Build and write one table; its tidy rows, its page and its LaTeX."""
    module = import_module(module_name("reporting", name))
    table = module.build(results)
    texts = (module.layout(table), module.TITLE, module.explain(table, results.remarks))
    paths = {kind: folder / f"{name}.{kind}" for kind in ("csv", "tex", "html")}
    write_table(table, *texts, **paths)
    assert len(pd.read_csv(paths["csv"])) == len(table)
    return table, paths["html"].read_text(), paths["tex"].read_text()


def test_datasets_that_are_none_of_the_papers_have_no_number_beside_them(tmp_path):
    """Read from a file, where a column without a name in it looks like one of numbers."""
    results = known_results()
    results.datasets.assign(paper_dataset=None).to_csv(tmp_path / "datasets.csv", index=False)
    other = replace(results, datasets=pd.read_csv(tmp_path / "datasets.csv"))
    for table in (table3_classification_accuracy, table4_whitebox_mia):
        assert table.build(other)["paper"].isna().all()
    table5_latency.build(other)
    figure03.draw(other)


def test_methods_that_were_not_run_say_so(tmp_path):
    results = known_results(seeds=1, methods=("original", "retrain"), ratios=(0.1,))
    table, html, tex = make_table("table4_whitebox_mia", results, tmp_path)
    wide = table4_whitebox_mia.layout(table)
    assert (wide["Fisher"] == "not run").all()
    assert wide.loc[0, "Before"] == "0.900 [1.000]"
    assert list(shown(html)) == ["subset", "Before", "Retraining"]
    assert note(html).count("ReMI (black-box)") == 1
    assert "Data: Fashion-MNIST (4,000 images): invented, 32×32 pixels" in note(html)
    assert "method Fisher, ReMI (white-box), ReMI (black-box)" in note(html)
    assert "ratio 1%, 25%, 50%" in note(html)
    tex = tex.replace(r"\allowbreak ", "")
    assert r"All lines: Fashion-MNIST (4,000 images), CNN, 10\% forgotten." in tex
    assert r"Fashion-MNIST (4,000 images): invented, 32$\times$32 pixels" in tex
    assert "\nforget & 0.900 [1.000] & 0.400 \\\\\n" in tex


def test_a_cell_of_the_grid_without_numbers_has_a_line_that_says_so():
    results = known_results()
    other = known_results(ratios=(0.1,)).evaluation.assign(architecture="vgg19")
    results = replace(results, evaluation=pd.concat([results.evaluation, other]))
    wide = table4_whitebox_mia.layout(table4_whitebox_mia.build(results))
    lines = wide[(wide["architecture"] == "vgg19") & (wide["forget ratio"] == "50%")]
    assert len(lines) == 3
    assert (lines[[METHODS[method] for method in PAPER_METHODS]] == "not run").all(axis=None)


def test_table_1_has_our_sizes_beside_the_papers():
    results = known_results(ratios=(0.1, 0.25))
    larger = (results.evaluation["metric"] == "images") & (
        results.evaluation["forget_ratio"] == 0.1
    )
    larger &= (results.evaluation["seed"] == 2) & (results.evaluation["subset"] == "forget")
    results.evaluation.loc[larger, "value"] = 101
    table = table1_dataset_statistics.build(results).set_index(["part", "forget_ratio"])
    assert table.loc[("forget", 0.1), ["images", "largest", "paper"]].tolist() == [100, 101, 1755]
    assert table.loc[("forget", 0.25), "difference"] == 250 - 4380
    assert table.loc["target_train", ["images", "paper"]].to_numpy().tolist() == [[1000, 17500]]
    assert table.loc["target_test", ["images", "paper"]].to_numpy().tolist() == [[900, 17500]]
    assert table.loc["shadow_test", "images"].tolist() == [700]
    assert table.loc["shadow_test", "paper"].isna().all()
    line = table1_dataset_statistics.layout(table.reset_index()).iloc[0]
    assert line["forget 10%"] == "100 to 101 [1,755]"


def test_table_2_has_the_values_used_beside_the_papers():
    keys = ["dataset", "architecture", "forget_ratio", "method", "parameter", "value"]
    used = [
        ("fmnist_embedded", "vgg19", 0.1, "remi_whitebox", "learning_rate", 0.02),
        ("fmnist_embedded", "vgg19", 0.5, "remi_whitebox", "learning_rate", 0.03),
        ("fmnist_embedded", "cnn", 0.1, "remi_whitebox", "learning_rate", 0.02),
        ("fmnist_embedded", "vgg19", 0.1, "remi_whitebox", "loss", "gaussian_kl"),
        ("fmnist_embedded", "cnn", 0.1, "remi_whitebox", "loss", "gaussian_kl"),
        ("fmnist_embedded", "cnn", 0.1, "fisher", "alpha", 3e-8),
    ]
    results = replace(known_results(), hyperparameters=pd.DataFrame(used, columns=keys))
    table = table2_hyperparameters.build(results)
    assert table["paper"].dropna().tolist() == [0.001, 0.001, 0.01]  # VGG19, VGG19, CNN
    wide = table2_hyperparameters.layout(table).set_index(["method", "parameter", "architecture"])
    assert wide.loc[("ReMI (white-box)", "learning rate", "vgg19"), "10%"] == "0.02 [0.001]"
    assert wide.loc[("ReMI (white-box)", "learning rate", "cnn"), "50%"] == "not run"
    assert wide.loc[("ReMI (white-box)", "loss", "all"), "10%"] == "gaussian kl"
    assert wide.loc[("Fisher", "alpha", "all"), "10%"] == "3e−08"
    assert wide.loc[("ReMI (black-box)", "–", "–"), "10%"] == "not run"


def test_table_5_has_the_ratio_of_means_and_the_median_of_ratios():
    results = known_results(ratios=(0.1, 0.25, 0.5))
    slow = results.evaluation["metric"].eq("seconds") & results.evaluation["forget_ratio"].eq(0.5)
    slow &= results.evaluation["method"].eq("remi_whitebox")
    results.evaluation.loc[slow, "value"] = 20.0
    table = table5_latency.build(results).set_index(["method", "dataset", "forget_ratio"])
    table = table.sort_index()
    cell = table.loc[("remi_whitebox", "fmnist_embedded", 0.1)]
    assert cell[["mean", "speedup", "attack_loss", "attack_loss_share"]].tolist() == [
        2,
        4,
        0.5,
        0.25,
    ]
    assert np.isnan(cell["paper"])  # the paper's are of UTKFace
    last = table.loc[("remi_whitebox", "all cells")].iloc[0]
    assert last["speedup"] == pytest.approx(8 / 8)  # means 8 and (2 + 2 + 20) / 3
    assert last["speedup_median"] == 4
    assert last["paper"] == pytest.approx(268.155, abs=0.001)
    assert last["paper_speedup"] == pytest.approx(3.48, abs=0.005)
    assert last["paper_speedup_median"] == pytest.approx(4.89, abs=0.005)
    assert last["paper_attack_loss"] == pytest.approx(196.410, abs=0.001)
    wide = table5_latency.layout(table.reset_index()).iloc[-1]
    assert wide["Speed-up (white-box)"] == "1.00×, median 4.00× [3.48×, 4.89×]"


def test_table_5_has_no_constant_column_and_a_line_of_all_cells_if_there_are_several(tmp_path):
    def write(datasets, architectures, ratios):
        results = synthetic_results(datasets, architectures, seeds=2, ratios=ratios)
        _, html, _ = make_table("table5_latency", results, tmp_path)
        return shown(html).iloc[:, :3], note(html)

    cells, text = write(("fmnist",), ("cnn",), (0.1, 0.5))
    assert next(iter(cells)) == "forget ratio"
    assert cells["forget ratio"].tolist() == ["10%", "50%", "mean of all cells"]
    assert text.startswith("All lines: Fashion-MNIST, CNN.")
    cells, text = write(("fmnist", "stl10"), ("cnn",), (0.1, 0.5))
    assert list(cells)[:2] == ["dataset", "forget ratio"]
    assert cells.iloc[-1, :2].tolist() == ["mean of all cells", "–"]
    assert text.startswith("All lines: CNN.")
    cells, text = write(("fmnist",), ("cnn",), (0.1,))
    assert cells.iloc[:, :3].to_numpy().tolist() == [["Fashion-MNIST", "CNN", "10%"]]


def test_table_5_has_the_papers_seconds_in_its_utkface_cells():
    results = synthetic_results(("utkface",), ("vgg19",), seeds=2, ratios=(0.5,))
    table = table5_latency.build(results).set_index(["dataset", "method"])
    assert table.loc[("utkface", "retrain"), "paper"] == 833.932
    ours = table.loc[("utkface", "remi_whitebox")]
    assert ours[["paper", "paper_attack_loss"]].tolist() == [540.613, 351.665]
    assert ours["paper_speedup"] == pytest.approx(833.932 / 540.613)
    assert np.isnan(table.loc[("utkface", "remi_blackbox"), "paper"])


def test_table_6_judges_each_guide_by_the_other():
    table = table6_cross_method.build(known_results())
    table = table.set_index(["forget_ratio", "guide", "judge", "method"])
    after = table.loc[(0.1, "whitebox", "blackbox", "remi_whitebox")]
    assert after["mean"] == pytest.approx(100 * 0.51 / 2)  # black-box rates are half the others
    assert after["paper"] == 62.5
    assert table.loc[(0.1, "whitebox", "blackbox", "original"), "mean"] == pytest.approx(91 / 2)
    assert table.loc[(0.25, "blackbox", "whitebox", "remi_blackbox"), "mean"] == pytest.approx(71)
    assert table.loc[(0.25, "blackbox", "whitebox", "remi_blackbox"), "paper"] == 100
    assert table.loc[(0.5, "blackbox", "whitebox", "retrain"), "mean"] == pytest.approx(41)
    assert table.loc[(0.5, "whitebox", "blackbox", "fisher"), "mean"] == pytest.approx(81 / 2)
    assert len(table) == 4 * 2 * 4


def test_table_6_keeps_the_papers_number_where_ours_was_not_run():
    results = known_results(methods=("original", "retrain", "remi_whitebox"), ratios=(0.1,))
    table = table6_cross_method.build(results)
    assert table[table["seeds"] == 0]["mean"].isna().all()
    wide = table6_cross_method.layout(table).set_index("guide")
    assert wide.loc["black-box", ["After", "Paper: after"]].tolist() == ["not run", "70.0"]


@pytest.mark.parametrize(
    ("before", "fisher", "remi", "expected"),
    [(0.9, 0.8, 0.5, 0.8), (1.0, 1.0, 0.2, 1.0), (0.5, 0.7, 0.4, 1.0), (0.5, 0.4, 0.6, 0.0)],
)
def test_proportional_effectiveness(before, fisher, remi, expected):
    assert proportional_effectiveness(before, fisher, remi) == pytest.approx(expected)


def test_proportional_effectiveness_of_no_reduction_is_undefined():
    assert np.isnan(proportional_effectiveness(0.5, 0.6, 0.5))


def test_figure_1_weighs_forget_and_retain_set_by_their_images():
    results = known_results(seeds=2, ratios=(0.25,))
    rows = results.evaluation["metric"].eq("accuracy") & results.evaluation["subset"].eq("forget")
    results.evaluation.loc[rows, "value"] = 0.5
    table = figure01.data(results).set_index("bar")
    seeds = [100 * (0.25 * 0.5 + 0.75 * rate) for rate in (0.9, 0.91)]
    assert table.loc["train", "mean"] == pytest.approx(np.mean(seeds))
    assert table.loc["test", "mean"] == pytest.approx(90.5)
    assert table.loc["test", "paper"] == 90.3
    assert np.isnan(table.loc["train", "paper"])


def test_figure_2_has_a_bar_for_either_attack_with_either_access():
    table = figure02.data(known_results())
    assert table["bar"].tolist() == ["mf_whitebox", "mf_blackbox", "mia_whitebox", "mia_blackbox"]
    assert table["mean"].tolist() == pytest.approx([0.62] * 4)


def test_figure_3_shows_the_means_and_the_papers_numbers():
    use_theme()
    figure = figure03.draw(known_results())
    axis = figure.axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    order = ["original", "retrain", "fisher", "remi_whitebox", "remi_blackbox"]
    assert [text.get_text() for text in axis.get_xticklabels()] == [METHODS[m] for m in order]
    level = KNOWN_RATES["retrain"] + 0.01
    assert any(lines.get_segments()[0][:, 1] == pytest.approx(level) for lines in axis.collections)
    assert heights == pytest.approx([KNOWN_RATES[method] + 0.01 for method in order])
    diamonds = [line.get_ydata()[0] for line in axis.lines if line.get_marker() == "D"]
    assert diamonds == [1.0, 0.485]  # Table IV at 25 %
    assert "80% (paper 82%)" in axis.get_title()  # .4 / (.4 + .1)
    assert "paper" not in figure03.draw(known_results(), ratio=0.1).axes[0].get_title()


def test_figures_3_and_10_show_the_rate_on_test_images_of_the_same_models():
    results = known_results(ratios=(0.25, 0.5))
    black = results.metric("mia_whitebox_rate").assign(metric="mia_blackbox_rate")
    black.loc[black["subset"] == "test", "value"] -= 0.2
    results = replace(results, evaluation=pd.concat([results.evaluation, black]))
    table = figure03.data(results, ratio=0.5, access="blackbox").set_index("method")
    assert table.loc["fisher", ["mean", "reference"]].tolist() == pytest.approx([0.81, 0.61])
    assert table["paper"].isna().all()
    assert set(table["forget_ratio"]) == {0.5}


def test_figure_4_draws_a_box_per_method_and_ratio_of_the_scores():
    results = known_results(ratios=(0.01, 0.5))
    assert len(figure04.data(results)) == 3 * 5 * 2
    use_theme()
    axis = figure04.draw(results).axes[0]
    points = [line.get_ydata() for line in axis.lines if len(line.get_ydata()) == 3]
    assert len(points) == 5 * 2  # of three seeds, no box
    assert all(values == pytest.approx(10.0 ** (np.arange(3) + 0.01)) for values in points[:5])
    many = figure04.draw(known_results(seeds=6, ratios=(0.1,))).axes[0]
    assert len(many.patches) == 5


def test_scores_that_a_logarithm_has_no_place_for_are_counted():
    results = known_results(ratios=(0.1,))
    rows = results.evaluation["metric"].eq("efficacy") & results.evaluation["method"].eq("fisher")
    results.evaluation.loc[rows, "value"] = [np.inf, 1.0, 0.0]
    assert "2 of 3 are 0 or infinite" in words(figure04.draw(results))


def test_figure_4_says_so_where_efficacy_was_not_measured():
    results = synthetic_results(("fmnist", "stl10"), ("cnn", "vgg19"), seeds=2)
    rows = results.evaluation[results.evaluation["metric"] != "efficacy"]
    figure = figure04.draw(replace(results, evaluation=rows))
    assert words(figure) == "Not measured: `metrics` has no efficacy."
    assert not figure.axes


def test_figure_5_draws_every_epoch_of_every_white_box_run():
    use_theme()
    results = known_results(seeds=2)
    axis = figure05.draw(results).axes[0]
    assert "Epoch" in words(axis.figure)
    curves = [line for line in axis.lines if len(line.get_xdata()) == 3 and line.get_zorder() > 1]
    assert len(curves) == (2 + 1) * 4  # seeds and their mean, per ratio
    assert all(line.get_ydata() == pytest.approx([1, 0.7, 0.4]) for line in curves)


def test_a_run_that_stopped_keeps_its_last_value_in_the_mean():
    runs = {0: [1.0, 0.2], 1: [1.0, 0.8, 0.6], 2: [1.0, 0.8, 0.4]}
    rows = [
        ("a", "b", "c", seed, epoch, v) for seed, run in runs.items() for epoch, v in enumerate(run)
    ]
    columns = ["dataset", "architecture", "curve", "seed", "epoch", "mf"]
    table = carry_forward(pd.DataFrame(rows, columns=columns), ["mf"])
    assert table["mf"].tolist() == pytest.approx([1.0, 0.6, 0.4])  # (.2 + .6 + .4) / 3
    assert table["mf_low"].tolist()[-1] == pytest.approx(0.3)  # quartile of .2, .4, .6
    assert table["running"].tolist() == [3, 3, 2]
    assert set(table["seeds"]) == {3}


def test_figure_6_has_both_guides_at_one_ratio():
    table = figure06.data(known_results(), ratio=0.1)
    assert set(table["curve"]) == {"remi_whitebox", "remi_blackbox"}
    assert len(table) == 2 * 3 * 3  # guides, seeds, epochs


@pytest.fixture(scope="module")
def full():
    return synthetic_results()


@pytest.fixture(scope="module")
def column():
    """A committed run of one cell at all forget ratios, with controls."""
    return Results.of_tree(ROOT / "docs/results/fmnist_cnn_measured")


@pytest.fixture(scope="module")
def default():
    """The committed results of the default grid."""
    return Results.of_tree(ROOT / "docs/results/default")


@pytest.fixture(scope="module")
def made(full, column, default, tmp_path_factory):
    """Tables of all grids by grid and name, each made once."""
    grids = {"full": full, "column": column, "default": default}
    folder = tmp_path_factory.mktemp("made")
    return cache(lambda grid, name: make_table(name, grids[grid], folder))


def check_layout(figure):
    """No title leaves the picture or runs into its neighbour's, and the legend stays inside."""
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    boxes = [a.title.get_window_extent() for a in figure.axes if a.get_title()]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    boxes += [text.get_window_extent() for text in (figure._supxlabel, figure._supylabel) if text]
    for box in boxes:
        assert box.x0 >= -1, "left"
        assert box.x1 <= width + 1, "right"
        assert box.y0 >= -1, "bottom"
        assert box.y1 <= height + 1, "top"
    panels = sorted((a for a in figure.axes if a.get_title()), key=lambda a: a.bbox.x0)
    for line in {round(a.bbox.y0) for a in panels}:
        row = [a.title.get_window_extent() for a in panels if round(a.bbox.y0) == line]
        assert all(left.x1 <= right.x0 for left, right in pairwise(row)), "titles overlap"


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in CONTROLS_ALONE])
def test_every_figure_draws_the_full_and_the_default_grid(name, full, column, default, tmp_path):
    use_theme()
    module, options = import_module(FIGURES[name].module), FIGURES[name].options
    figure = module.draw(full, **options)
    check_layout(figure)
    assert "ot run" not in words(figure)
    assert len(figure.axes) in (4, 12, 16)
    assert figure.get_figwidth() == 7
    assert figure.get_figheight() < 10, "longer than a page"
    plt.close(figure)
    figure = module.draw(column, **options)
    check_layout(figure)
    assert "ot run" not in words(figure)
    # Of what Figure "gaps" shows, the column does not measure the four beyond the paper.
    beyond = "TPR $D_f$ at 1% FPR, worst decile $D_f$, advantage $D_r$, two models, AUC $D_f$ vs"
    assert (f"Not measured: {beyond}" in words(figure).replace("\n", " ")) == (
        name == "figure_gaps"
    )
    by_ratio = dict.fromkeys(("figure_verdicts", "figure_accuracy_mia", "figure_cost"), (7, 4))
    expected = {"figure_gaps": (7, 8), **by_ratio}.get(name, (3.5, 1))
    assert (figure.get_figwidth(), len(figure.axes)) == expected
    write_figure(figure, tmp_path / "a.svg", tmp_path / "a.png")
    if name in products(default.ratios):
        plt.close(figure)
        figure = module.draw(default, **options)
        check_layout(figure)
        assert "ot run" not in words(figure)


@pytest.mark.parametrize("name", [name for name in TABLES if name not in CONTROLS_ALONE])
def test_every_table_of_the_full_and_the_default_grid(name, made):
    table, html, tex = made("full", name)
    cells = shown(html)
    assert not cells.isin(["not run"]).any(axis=None)
    beyond = name in ("table_gaps", "table_verdicts")
    assert beyond or table["paper"].notna().any()
    assert "CIFAR-10" in cells["dataset"].to_numpy()
    assert ("longtable" in tex) == (len(cells) > 40)
    for grid in ("column", "default"):
        _, html, _ = made(grid, name)
        assert "Of the paper's grid not run here: dataset UTKFace, STL-10, CIFAR-10" in note(html)


@pytest.mark.parametrize("methods", [("original",), ("original", "retrain")])
def test_everything_is_made_of_a_run_that_measured_little(methods, tmp_path):
    """Without costs. What was not run is said: nothing ends in an error, hours after it began."""
    results = synthetic_results(("fmnist",), ("cnn",), 2, (0.1,), methods, beyond=False)
    rows = results.evaluation
    save_table(tmp_path / "histories.csv", [dict.fromkeys(results.histories.columns, "")])
    results = replace(
        results,
        evaluation=rows[~rows["metric"].str.contains("seconds|epochs")],
        histories=load_table(tmp_path / "histories.csv", TEXT).iloc[:0],
    )
    for product in products().values():
        if "across_seeds" in product.inputs:  # made where it is asked for alone
            continue
        suffixes = {"figure": ("svg", "png"), "table": ("csv", "tex", "html")}[product.kind]
        paths = {suffix: tmp_path / f"{product.name}.{suffix}" for suffix in suffixes}
        make_product(product, results, **paths)
        assert all(path.stat().st_size for path in paths.values())
    assert len(scorecard.draw(scorecard.build(results)).axes) > 0
    assert "Fashion-MNIST" in summarise_results(results)


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex (texlive)")
@pytest.mark.parametrize("name", [*TABLES, "scorecard"])
def test_every_table_of_the_full_and_the_default_grid_fits_a_page(
    name, full, column, default, made, tmp_path
):
    for grid, results in {"full": full, "column": column, "default": default}.items():
        path = tmp_path / f"{grid}.tex"
        if name == "scorecard":
            names = ("csv", "html", "counts", "counts_html")
            paths = {each: tmp_path / each for each in names}
            scorecard.write(scorecard.build(results), results.remarks, tex=path, **paths)
        else:
            path.write_text(made(grid, name)[2])
        assert compile_latex(path) < 2


@pytest.mark.parametrize(
    "subset",
    [
        {"seeds": 1},
        {"ratios": (0.1,)},
        {"methods": ("original", "retrain", "remi_whitebox", "remi_blackbox")},
        {"methods": ("original", "retrain", "fisher", "remi_whitebox")},
        {"methods": ("original", "retrain")},
        {"datasets": ("fmnist", "stl10", "cifar10"), "ratios": (0.25,)},
    ],
    ids=str,
)
def test_any_subset_of_the_grid_says_what_was_not_run(subset, tmp_path):
    use_theme()
    results = synthetic_results(
        **{"datasets": ("fmnist", "stl10"), "architectures": ("cnn", "vgg19"), "seeds": 3} | subset
    )
    missing = set(PAPER_METHODS) - set(results.methods)
    for name, product in FIGURES.items():
        options = product.options
        if name[6:8] not in ("02", "03", "04", "05", "06", "07", "10"):
            continue  # others are one of these at another ratio
        module = import_module(product.module)
        figure = module.draw(results, **options)
        check_layout(figure)
        lacks = {
            "figure03_mia_before_after": missing,
            "figure04_efficacy": missing,
            "figure05_mf_during_unlearning": missing & {"remi_whitebox"},
            "figure06_mf_by_guide": missing & {"remi_whitebox", "remi_blackbox"},
        }.get(product.module.rpartition(".")[2], set())
        lacks = lacks or options.get("ratio", results.ratios[0]) not in results.ratios
        assert ("Not run: " in words(figure)) == bool(lacks), name
        plt.close(figure)
    for name in TABLES:
        _, html, _ = make_table(name, results, tmp_path)
        for method in missing:
            assert METHODS[method] in note(html).partition("not run here: ")[2]


def test_baselines_that_were_run_join_the_papers_methods(tmp_path):
    """In tables and figures of all methods; those that were not run are not mentioned."""
    some = synthetic_results(
        ("fmnist",), ("cnn",), seeds=3, methods=(*PAPER_METHODS, "scrub", "ssd"), beyond=False
    )
    for number in (3, 4, 5, 6):
        name = next(name for name in TABLES if name.startswith(f"table{number}"))
        _, html, _ = make_table(name, some, tmp_path)
        heads = " ".join(shown(html))
        assert all(METHODS[method] in heads for method in ("fisher", "scrub", "ssd")), name
        assert METHODS["salun"] not in heads, name
        assert not shown(html).isin(["not run"]).any(axis=None), name
    use_theme()
    for module in (figure03, figure04):
        figure = module.draw(some)
        assert "SCRUB" in words(figure)
        assert "SalUn" not in words(figure)
        plt.close(figure)


def test_a_panel_without_runs_says_so():
    results = synthetic_results(("fmnist", "stl10"), ("cnn", "vgg19"), seeds=2, ratios=(0.25,))

    def without(table):
        return table[(table["dataset"] != "stl10") | (table["architecture"] != "vgg19")]

    frames = ("evaluation", "histories", "attacks")
    results = replace(results, **{name: without(getattr(results, name)) for name in frames})
    for module in (figure01, figure02, figure03, figure04, figure05, figure06):
        assert words(module.draw(results)).count("not run") == 1, module


def test_what_was_not_run_at_all_is_a_sentence_and_no_axes():
    use_theme()
    results = known_results(ratios=(0.1,))
    for figure, missing in (
        (figure03.draw(results, ratio=0.25), "white-box inference at 25% forgotten"),
        (figure03.draw(results, ratio=0.1, access="blackbox"), "black-box inference at 10%"),
        (figure06.draw(results, ratio=0.5), "ReMI (white-box), ReMI (black-box) (50% of the"),
    ):
        assert not figure.axes
        assert words(figure).replace("\n", " ").startswith(f"Not run: {missing}")


def test_figure_5_counts_the_steps_of_every_forget_ratio():
    """Computed here from the batch sizes: 1,000 images, of which 10 and 500 are forgotten."""
    use_theme()
    used = [
        ("fmnist_embedded", "cnn", ratio, "remi_whitebox", *parameter)
        for ratio in (0.01, 0.5)
        for parameter in (("batch_size", 64), ("classification_batch_size", 32))
    ]
    columns = ["dataset", "architecture", "forget_ratio", "method", "parameter", "value"]
    results = known_results(seeds=2, ratios=(0.01, 0.5))
    results = replace(results, hyperparameters=pd.DataFrame(used, columns=columns))
    figure = figure05.draw(results)
    last = sorted({line.get_xdata()[-1] for line in figure.axes[0].lines})
    assert last == [2 * 1, 2 * 8]  # two epochs of ⌈10 / 64⌉ and ⌈500 / 64⌉ steps
    assert "Optimisation steps" in words(figure)
    over = pd.DataFrame([(*row[:4], "epoch_over", "retain") for row in used[::2]], columns=columns)
    results = replace(results, hyperparameters=pd.concat([results.hyperparameters, over]))
    last = {line.get_xdata()[-1] for line in figure05.draw(results).axes[0].lines}
    assert last == {2 * 31, 2 * 16}  # ⌈990 / 32⌉ and ⌈500 / 32⌉


@pytest.mark.parametrize("module", [figure03, figure04, figure05])
def test_equal_data_give_equal_files(module, tmp_path):
    use_theme()
    for folder in ("first", "second"):
        figure = module.draw(known_results())
        write_figure(figure, tmp_path / folder / "a.svg", tmp_path / folder / "a.png")
    first, second = ((tmp_path / f / "a.svg").read_bytes() for f in ("first", "second"))
    assert first == second


def test_the_layout_of_figure_3_is_that_of_the_baseline(tmp_path):
    """After a change of layout that is meant: copy the picture that the failure names."""
    use_theme()
    results = synthetic_results(
        ("fmnist", "stl10", "cifar10"), seeds=3, ratios=(0.25,), methods=tuple(METHODS)[:4]
    )
    path = tmp_path / "figure03.png"
    figure03.draw(results).savefig(path, dpi=60)
    assert compare_images(BASELINE / "figure03.png", path, tol=10) is None


def test_counts_of_seeds_are_said_in_words():
    counts = ([3, 3], [18, np.nan, 20], [1], [])
    assert [count_seeds(c) for c in counts] == ["3 seeds", "18 to 20 seeds", "1 seed", "no seeds"]


def test_the_summary_compares_the_methods_at_ten_percent():
    text = summarise_results(known_results())
    assert "10% of the training set forgotten, mean over 3 seed(s)" in text
    line = next(line for line in text.splitlines() if line.startswith("ReMI (white-box)"))
    assert "51.0 ± " in line
    assert "0.510 ± 0.025" in line
    assert "ReMI (white-box) met its stopping rule in 12 of 12 runs" in text


def test_a_cell_that_lacks_a_method_or_the_ratio_is_shown_as_not_there():
    results = known_results()
    other = results.evaluation.assign(architecture="resnet18")
    other = other[(other["method"] == "original") & (other["forget_ratio"] == 0.5)]
    evaluation = pd.concat([results.evaluation, other])
    text = summarise_results(replace(results, evaluation=evaluation))
    block = text.split("Fashion-MNIST (4,000 images), ResNet18")[1]
    fisher = next(line for line in block.splitlines() if line.startswith("Fisher"))
    assert fisher.split() == ["Fisher", *["–"] * 6]
    assert "51.0 ± " in text.split("Fashion-MNIST (4,000 images), ResNet18")[0]


def test_every_method_has_a_label_and_a_colour():
    assert set(METHODS) == set(COLORS) == {"original", *methods(), *controls()}


def test_ratios_are_shown_as_they_are():
    assert [percent(ratio) for ratio in (0.005, 0.01, 0.125, 0.5)] == ["0.5%", "1%", "12.5%", "50%"]


def test_dataset_rows_state_provenance_and_role_sizes(tmp_path):
    folder = tmp_path / "fmnist_embedded"
    folder.mkdir()
    record = {
        "dataset": "fmnist_embedded",
        "paper_dataset": "fmnist",
        "provenance": "real",
        "image_size": 28,
        "class_names": ["a", "b"],
    }
    (folder / "metadata.json").write_text(json.dumps(record))
    np.savez(folder / "splits.npz", target_train=np.arange(7))
    files = [str(folder / "metadata.json")], [str(folder / "splits.npz")]
    table = join_datasets(*files, "class (classes: b)", True)
    assert table.loc[0, ["dataset", "provenance", "target_train", "restricts"]].tolist() == [
        "fmnist_embedded",
        "real",
        7,
        True,
    ]


def test_trainings_that_learned_nothing_are_said_in_every_table_and_the_summary():
    results = known_results()
    assert results.stalled == ""
    stalled = results.training.assign(stalled=[1, 0, 1])
    failed = replace(results, training=stalled)
    text = "2 of 3 trainings learned nothing, their loss is that of a constant output: "
    assert failed.stalled == f"{text}Fashion-MNIST (4,000 images), CNN, target (2)."
    assert failed.stalled in failed.remarks
    assert failed.stalled in summarise_results(failed)
    assert "learned nothing" not in summarise_results(results)


def test_training_rows_hold_each_models_last_epoch(tmp_path):
    folder = tmp_path
    for role, losses in (("target", (2.3, 2.3)), ("shadow", (2.3, 0.5))):
        rows = [(k, loss, 1.5, int(loss > 2)) for k, loss in enumerate(losses, 1)]
        table = pd.DataFrame(rows, columns=["epoch", "loss", "seconds", "stalled"])
        table = table.assign(dataset="stl10", architecture="vgg19", seed=3, model=role)
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
    assert list(table.columns) == list(known_results(seeds=1).training.columns)
    assert table[["model", "epochs", "loss", "stalled"]].to_numpy().tolist() == [
        ["target", 2, 2.3, 1],
        ["shadow", 2, 0.5, 0],
        ["retrain", 2, 0.4, 0],
    ]
    assert table["forget_ratio"].tolist()[2] == 0.1
