"""Figures of per-image scores, of cost and of verdicts: what they show, by hand or elsewhere."""

import base64
import io
from dataclasses import replace
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from PIL import Image
from support.synthetic import known_results, synthetic_results

from remibench.analysis.curves import FPR
from remibench.analysis.results import BY_METHOD, CURVES, FORGET_IMAGES
from remibench.analysis.verdicts import (
    AS_RETRAINING,
    EQUIVALENT,
    KEEPS,
    LEAKS,
    LOSES,
    NOT_DECIDED,
)
from remibench.reporting.beyond import (
    figure_accuracy_mia,
    figure_classes,
    figure_cost,
    figure_forget_images,
    figure_roc,
    figure_scores,
    figure_verdict_map,
)
from remibench.reporting.render import use_theme
from remibench.reporting.style import COLORS, MARKERS, METHODS, SUBSETS

FIGURES = (figure_roc, figure_scores, figure_classes, figure_forget_images)


@pytest.fixture(autouse=True)
def _close_figures():
    use_theme()
    yield
    plt.close("all")


def words(figure):
    return [text.get_text() for text in figure.findobj(Text)]


def with_scores(results, classes=10):
    """The same results with made-up curves: the power of the FPR by the method's place."""
    cells = results.evaluation[BY_METHOD].drop_duplicates().itertuples(index=False, name=None)
    rows = []
    for cell in cells:
        power = 0.5 + 0.25 * list(METHODS).index(cell[3])
        tail = (0.0, 1.0, 3)
        rows += [(*cell, "roc", "mia_whitebox", "forget", x, "", x**power, *tail) for x in FPR]
        for subset, number in zip(("forget", "retain", "test"), (1, 2, 3), strict=True):
            for score, edges in (
                ("mia_whitebox", np.linspace(0, 1, 21)[:-1]),
                ("log_odds", np.arange(-16.0, 16)),
            ):
                shares = np.eye(len(edges))[number]
                rows += [
                    (*cell, "distribution", score, subset, x, "", y, *tail)
                    for x, y in zip(edges, shares, strict=True)
                ]
            rows += [
                (
                    *cell,
                    "classes",
                    "accuracy",
                    subset,
                    k,
                    f"class {k}",
                    number / 10 + 0.05 * k,
                    *tail,
                )
                for k in range(classes)
            ]
    return replace(results, curves=pd.DataFrame(rows, columns=CURVES))


def with_sheet(results, images=24):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(buffer, format="png")
    png = base64.b64encode(buffer.getvalue()).decode()
    cells = product(results.names, results.architectures)
    rows = [
        (*cell, 0, 0.1, rank, 7 * rank, "ankle boot", 0.9, 1.0, "ankle boot", 0.25, "bag", png)
        for cell in cells
        for rank in range(1, images + 1)
    ]
    return replace(results, forget_images=pd.DataFrame(rows, columns=FORGET_IMAGES))


def grid(**of):
    small = {"datasets": ("fmnist", "stl10"), "architectures": ("cnn", "vgg19"), "seeds": 2}
    return with_sheet(with_scores(synthetic_results(**(small | of))))


@pytest.mark.parametrize("module", FIGURES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_figures_of_scores_draw_any_grid_and_say_what_is_missing(module):
    for results in (grid(), grid(datasets=("fmnist",), architectures=("cnn",), seeds=1)):
        figure = module.draw(results)
        figure.draw_without_rendering()
        assert figure.get_figwidth() == 7
        assert figure.get_figheight() < 10
        for legend in figure.legends:
            assert legend.get_window_extent().x1 <= figure.bbox.width + 1
    nothing = module.draw(known_results())
    assert not nothing.axes
    assert words(nothing)[0].startswith("Not run: ")


def test_the_roc_figure_shows_every_curve_and_retraining_in_black():
    results = with_scores(known_results())
    figure = figure_roc.draw(results)
    assert [axis.get_title() for axis in figure.axes] == [
        f"{ratio} forgotten (n = 3)" for ratio in ("1%", "10%", "25%", "50%")
    ]
    lines = {line.get_color(): line for line in figure.axes[1].lines}
    rows = results.curves[(results.curves["curve"] == "roc")]
    rows = rows[rows["forget_ratio"] == 0.1].set_index("method")
    for method in ("original", "retrain", "remi_blackbox"):
        line = lines[COLORS[method]]
        assert line.get_ydata() == pytest.approx(rows.loc[method, "mean"])
        assert line.get_xdata() == pytest.approx(FPR)
    assert lines[COLORS["retrain"]].get_linewidth() == 2.2
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"


def test_the_distributions_have_retrainings_forget_set_in_every_line():
    results = with_scores(known_results())
    figure = figure_scores.draw(results)
    assert len(figure.axes) == 5 * 2
    for axis in figure.axes:
        colors = [patch.get_edgecolor() for patch in axis.patches]
        assert len(colors) == 4
        assert colors[-1] == (0, 0, 0, 1)
        heights, edges, _ = axis.patches[0].get_data()
        assert heights.sum() == 1
        assert len(edges) == len(heights) + 1
    assert SUBSETS["test"].label in words(figure)


def test_accuracy_by_class_is_drawn_at_its_class():
    left, axis = figure_classes.draw(with_scores(known_results(), classes=4)).axes
    assert [text.get_text() for text in left.get_yticklabels()] == [f"class {k}" for k in range(4)]
    fisher = next(line for line in axis.lines if line.get_marker() == MARKERS["fisher"])
    assert fisher.get_xdata() == pytest.approx([30, 35, 40, 45])
    assert list(fisher.get_ydata()) == [0, 1, 2, 3]


def test_the_sheet_shows_label_and_both_predictions():
    figure = figure_forget_images.draw(with_sheet(known_results()))
    assert len(figure.axes) == 24
    axis = figure.axes[0]
    assert axis.get_title() == "ankle boot"
    assert axis.get_xlabel() == "ankle boot 1.00\nbag 0.25 ×"
    assert np.array_equal(axis.images[0].get_array(), np.arange(64).reshape(8, 8))
    assert len(figure_forget_images.draw(grid()).axes) == 2 * 8  # of each dataset
    results = with_sheet(known_results())
    sheet = results.forget_images.assign(predicted_retrained=np.nan, p_retrained=np.nan)
    figure = figure_forget_images.draw(replace(results, forget_images=sheet))
    assert figure.axes[0].get_xlabel().endswith("\nnot run")


def test_accuracy_and_mia_are_drawn_as_they_are():
    axis = figure_accuracy_mia.draw(known_results()).axes[1]
    points = {line.get_marker(): line for line in axis.lines if line.get_linestyle() == "None"}
    for method, rate in (("retrain", 0.41), ("fisher", 0.81)):
        point = points[MARKERS[method]]
        assert (point.get_xdata()[0], point.get_ydata()[0]) == pytest.approx((100 * rate, rate))


def test_the_front_has_nothing_that_is_slower_and_no_nearer():
    rows = pd.DataFrame(
        {"seconds": [1, 2, 3, 4, 0.5, 2], "distance": [0.5, 0.5, 0.2, 0.3, 0.9, 0.4]}
    )
    rows["method"] = "fisher"
    rows.loc[len(rows)] = (0.1, 0.01, "temperature")  # a control forgets nothing
    kept = figure_cost.front(rows)
    assert kept[["seconds", "distance"]].to_numpy().tolist() == [
        [0.5, 0.9],
        [1, 0.5],
        [2, 0.4],
        [3, 0.2],
    ]
    rows.loc[len(rows)] = (float("nan"), 0.45, "original")  # which takes no time
    kept = figure_cost.front(rows)
    assert kept[["seconds", "distance"]].to_numpy().tolist() == [[2, 0.4], [3, 0.2]]


def test_the_distance_reads_no_attack_and_the_target_is_a_line():
    results = known_results()
    table = figure_cost.data(results)
    rows = results.evaluation
    attacked = rows["metric"].str.startswith("mia_")
    fooled = replace(results, evaluation=rows.assign(value=rows["value"].mask(attacked, 0.4)))
    pd.testing.assert_frame_equal(figure_cost.data(fooled), table)
    before = table[(table["method"] == "original") & (table["forget_ratio"] == 0.01)]
    level = next(
        line for line in figure_cost.draw(results).axes[0].lines if line.get_linestyle() == ":"
    )
    assert list(level.get_ydata()) == [before["distance"].item()] * 2


def test_the_distance_is_one_minus_the_product_of_three_agreements():
    table = figure_cost.data(known_results()).set_index(["forget_ratio", "method"])
    fisher = table.loc[(0.1, "fisher")]
    assert fisher["distance"] == pytest.approx(1 - 0.6**3)  # .8 against .4, three times
    assert np.isnan(table.loc[(0.1, "original"), "seconds"])
    assert fisher["seconds"] == 1
    assert table.loc[(0.1, "retrain"), "distance"] == 0


@pytest.mark.parametrize(
    ("membership", "utility", "verdict", "expected"),
    [
        (AS_RETRAINING, KEEPS, EQUIVALENT, "="),
        (AS_RETRAINING, NOT_DECIDED, AS_RETRAINING, "≈"),
        (LEAKS, LOSES, f"{LEAKS}, {LOSES}", "↑−"),
        (LEAKS, NOT_DECIDED, LEAKS, "↑"),
        (NOT_DECIDED, LOSES, LOSES, "−"),
        (NOT_DECIDED, KEEPS, KEEPS, "?"),
        (NOT_DECIDED, NOT_DECIDED, NOT_DECIDED, "?"),
    ],
)
def test_a_verdict_has_its_sign(membership, utility, verdict, expected):
    assert figure_verdict_map.sign(membership, utility, verdict)[1] == expected


def test_the_map_has_a_square_for_every_method_and_cell():
    figure = figure_verdict_map.draw(known_results())
    assert len(figure.axes[0].patches) == 4 * 4
    figure = figure_verdict_map.draw(grid())
    assert [len(axis.patches) for axis in figure.axes] == [4 * 4] * 4
    alone = figure_verdict_map.draw(known_results(methods=("original", "fisher")))
    assert words(alone)[0].startswith("Not run: retraining")
