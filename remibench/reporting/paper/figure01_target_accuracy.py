"""Figure 1: training and test accuracy of the target models.

Classification accuracy (%) before anything is unlearned, on the images that a model was trained on
and on unseen test images. Bars are means over seeds with 95 % t-intervals, dots are seeds (up to
five), open diamonds the paper's test accuracies, where its text gives them (full data set at 64×64
pixels). The distance between the two bars is what membership inference feeds on.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import COLORS, Results
from remibench.analysis.statistics import summarise
from remibench.reporting.panels import Bar, draw_bars

TITLE = "Accuracy of the targets"

BARS = [
    Bar("train", "training images", "#bdbdbd"),
    Bar("test", "unseen test images", COLORS["original"]),
]
AXES = ["dataset", "architecture", "seed"]


def values(results: Results) -> pd.DataFrame:
    """Accuracy in percent per target model: ``dataset``, ``architecture``, ``seed``, ``bar``.

    Training images are forget and retain set together; every forget ratio gives the same mean.
    """
    accuracy, images = (
        rows[rows["method"] == "original"]
        for rows in (results.metric("accuracy", scale=100), results.metric("images"))
    )
    keys = [*AXES, "forget_ratio", "subset"]
    both = accuracy.merge(images[[*keys, "value"]].rename(columns={"value": "images"}), on=keys)
    both = both.assign(
        bar=both["subset"].map({"forget": "train", "retain": "train", "test": "test"}),
        correct=both["value"] * both["images"],
    )
    sums = both.groupby([*AXES, "bar"], sort=False)[["correct", "images"]].sum()
    return (sums["correct"] / sums["images"]).rename("value").reset_index()


def data(results: Results) -> pd.DataFrame:
    """Mean, interval, number of seeds and the paper's test accuracy per model and bar."""
    table = summarise(values(results), ["dataset", "architecture", "bar"])
    published = results.published["figure1_test_accuracy"]
    published = published.assign(paper=published["test_accuracy_pct"], bar="test")
    return results.with_published(table, published, on=["architecture", "bar"])


def draw(results: Results) -> Figure:
    """One panel per dataset, one group per architecture."""
    return draw_bars(
        data(results),
        values(results),
        BARS,
        results.names,
        results.architectures,
        ylabel="Classification accuracy (%)",
        top=100.0,
    )
