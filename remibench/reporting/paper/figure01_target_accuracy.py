"""Figure 1: training and test accuracy of the target models.

Classification accuracy (%) before anything is unlearned, on the images that a model was trained on
and on unseen test images. Bars are means over seeds with 95 % t-intervals, dots are seeds (up to
five), open diamonds the paper's test accuracies, where its text gives them (full data set at 64×64
pixels). The distance between the two bars is what membership inference feeds on.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import Results
from remibench.analysis.statistics import summarise
from remibench.analysis.targets import target_accuracies
from remibench.reporting.panels import Bar, draw_bars
from remibench.reporting.style import COLORS, SUBSETS

TITLE = "Accuracy of the targets"

BARS = [
    Bar("train", "training images", COLORS["original"]),
    Bar("test", "unseen test images", SUBSETS["test"].color),
]


def data(results: Results) -> pd.DataFrame:
    """Mean, interval, number of seeds and the paper's test accuracy per model and bar."""
    table = summarise(target_accuracies(results), ["dataset", "architecture", "bar"])
    table = table.assign(subset=table["bar"])
    table = beside_paper(table, "Figure 1", results.published, results.paper_names)
    return table.drop(columns="subset")


def draw(results: Results) -> Figure:
    """One panel per dataset, one group per architecture."""
    return draw_bars(
        data(results),
        target_accuracies(results),
        BARS,
        results.names,
        results.architectures,
        ylabel="Classification accuracy (%)",
        top=100.0,
        empty="Not measured: `metrics` has no accuracy.",
    )
