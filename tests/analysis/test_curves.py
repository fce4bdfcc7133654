"""Curves of per-image scores, against scikit-learn and against counting by hand."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_curve

from remibench.analysis import curves
from remibench.analysis.results import CURVES
from remibench.evaluation.predictions import Scores, save_scores
from remibench.evaluation.roc import RATES, true_positives

LABELS = np.array([0, 1, 0, 1, 0, 1, 0, 1])
NAMES = ("cat", "dog")


def scores(mia=(0.9, 0.2, 0.1, 0.7, 0.12, 0.72, 0.3, 0.4), margins=None, predicted=None):
    """Images 0 and 1 are forgotten, 2 and 3 retained, 4 and 5 test images."""
    mia = np.array([mia], np.float32)
    margins = np.zeros_like(mia) if margins is None else np.array([margins], np.float32)
    return Scores(
        images=np.arange(8),
        ratios=np.array([0.1]),
        subset=np.array([[0, 0, 1, 1, 2, 2, 3, 3]], np.uint8),
        margins=margins,
        members={"mf_whitebox": 1 - mia, "mia_whitebox": mia},
        predicted=np.array([LABELS if predicted is None else predicted], np.int16),
    )


def points(found, curve, score, subset):
    return {x: y for c, s, g, x, _, y in found if (c, s, g) == (curve, score, subset)}


def test_a_roc_curve_is_scikit_learns_at_every_rate():
    rng = np.random.default_rng(0)
    positives, negatives = rng.normal(0.5, 1, 400), rng.normal(0, 1, 1500)
    negatives[:300] = np.round(negatives[:300], 1)  # some equal ones
    positives[:100] = np.round(positives[:100], 1)
    labels = np.r_[np.ones(400), np.zeros(1500)]
    fpr, tpr, _ = roc_curve(labels, np.r_[positives, negatives], drop_intermediate=False)
    expected = [tpr[fpr <= rate + 1e-12].max() for rate in curves.FPR]
    found = curves.roc(positives, negatives)
    assert found == pytest.approx(expected)
    for rate in RATES.values():
        place = np.abs(curves.FPR - float(rate)).argmin()
        count = true_positives(positives, negatives, rate)
        assert found[place] == pytest.approx(count / 400)


def test_a_rate_below_one_image_is_not_measurable():
    found = curves.roc(np.array([0.1, 0.9]), np.linspace(0, 1, 100))
    assert np.isnan(found[curves.FPR < 0.0099]).all()
    assert not np.isnan(found[curves.FPR > 0.0101]).any()
    assert found[-1] == 1


def test_a_forgotten_kind_is_told_from_unseen_images_of_that_kind():
    """Of the two test images the first is of the forgotten kind: all lies above or below it."""
    model = replace(scores(), alike=np.arange(8) == 4)
    found = points(curves.curves_of_model(model, 0, LABELS, NAMES), "roc", "mia_whitebox", "forget")
    rates = [rate for rate in found.values() if not np.isnan(rate)]
    assert rates == [1.0]  # at FPR 1, the only one that a single image can show
    both = curves.curves_of_model(scores(), 0, LABELS, NAMES)
    assert np.isfinite(list(points(both, "roc", "mia_whitebox", "forget").values())).sum() > 1


def test_a_model_that_is_sure_of_nothing_forgotten_lies_below_the_diagonal():
    found = curves.roc(np.full(10, 0.1), np.linspace(0.2, 1, 50))
    assert (found[~np.isnan(found)][:-1] == 0).all()


def test_distributions_count_every_image_once_also_those_beyond_the_edges():
    model = scores(margins=[40, -40, 0.5, 0.5, 1.5, 15.5, 0, 0])
    found = list(curves.curves_of_model(model, 0, LABELS, NAMES))
    of_forget = points(found, "distribution", "log_odds", "forget")
    assert {x: y for x, y in of_forget.items() if y} == {-16: 0.5, 15: 0.5}
    assert points(found, "distribution", "log_odds", "retain")[0] == 1
    shares = points(found, "distribution", "mia_whitebox", "test")
    assert {round(x, 2): y for x, y in shares.items() if y} == {0.1: 0.5, 0.7: 0.5}
    assert not any(score.startswith("mf_") for _, score, *_ in found)


def test_accuracy_by_class_counts_the_images_of_that_class():
    model = scores(predicted=[0, 0, 0, 1, 1, 1, 0, 0])
    found = list(curves.curves_of_model(model, 0, LABELS, NAMES))
    assert points(found, "classes", "accuracy", "forget") == {0: 1, 1: 0}
    assert points(found, "classes", "accuracy", "test") == {0: 0, 1: 1}
    labels = {x: label for c, _, _, x, label, _ in found if c == "classes"}
    assert labels == dict(enumerate(NAMES))


def test_seeds_are_gathered_into_mean_least_and_greatest(tmp_path):
    paths = []
    for seed, share in enumerate((0.92, 0.12)):
        path = tmp_path / f"evaluation/mine/cnn/{seed}/fisher.npz"
        path.parent.mkdir(parents=True)
        save_scores(path, scores(mia=(share, *([0.5] * 7))))
        paths.append(str(path))
    table = curves.gather_curves(paths, {"mine": LABELS}, {"mine": NAMES})
    assert list(table) == CURVES
    assert set(table["seeds"]) <= {0, 2}
    rows = table[(table["curve"] == "distribution") & (table["score"] == "mia_whitebox")]
    row = rows[(rows["subset"] == "forget") & np.isclose(rows["x"], 0.9)].iloc[0]
    assert row[["mean", "low", "high"]].tolist() == [0.25, 0, 0.5]
    assert row[["dataset", "architecture", "method", "forget_ratio"]].tolist() == [
        *("mine", "cnn", "fisher", 0.1)
    ]


def test_the_sheet_has_the_forget_images_that_mf_is_surest_of():
    images = np.arange(8 * 4, dtype=np.uint8).reshape(8, 1, 2, 2)
    before = scores(margins=[0, np.log(3), *[0] * 6])
    retrained = scores(margins=[0, -np.log(3), *[0] * 6], predicted=1 - LABELS)
    rows = curves.forget_images(before, retrained, images, LABELS, NAMES)
    assert [row["image"] for row in rows] == [1, 0]  # MF is 1 − MIA here: .8, .1
    first = rows[0]
    assert (first["label"], first["predicted_before"]) == ("dog", "dog")
    assert first["predicted_retrained"] == "cat"
    assert (first["p_before"], first["p_retrained"]) == pytest.approx((0.75, 0.25))
    png = Image.open(io.BytesIO(base64.b64decode(first["png"])))
    assert np.array_equal(np.asarray(png), images[1, 0])
    alone = curves.forget_images(before, None, images, LABELS, NAMES)
    assert (alone[0]["predicted_retrained"], np.isnan(alone[0]["p_retrained"])) == ("", True)
    colour = np.zeros((8, 3, 2, 2), np.uint8)
    colour[1, 2] = 200
    png = curves.forget_images(before, None, colour, LABELS, NAMES)[0]["png"]
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))[0, 0].tolist() == [0, 0, 200]
