"""Figures 3 and 7–13: membership inference on the forget set before and after unlearning.

MIA rate: the share of the forget set that the attacker's model calls members (the paper's "MIA
accuracy"). Before unlearning, after retraining, Fisher, ReMI and every other method that was run;
the title of every panel says how much of the training set was forgotten. Figures 3 and 7–9 are
white-box inference, Figures 10–13 black-box. Bars are means over seeds with 95 % t-intervals (cut
at 0 and 1), hatched ones those of controls; dots are seeds (up to five), open diamonds are the
paper's numbers (Table IV, white-box; full data sets at 64×64 pixels), and ticks are the same
models' rates on unseen test images (where a class or another kind of image is forgotten, on those
of that kind). The black line is the level of retraining, which every bar is compared with.

Retraining's bar ends below its own tick, and should: the forget set is made of images that MF is
surest of, odd ones among them, which a model that has not seen them gets wrong more often than a
test image.

A rate of 0 is not success. A forgotten image should look as it does to the *retrained* model; where
a bar ends below the black line, the attack can tell forgotten images by their being called members
too rarely. Where a bar falls together with its tick, the attack is misled about all images,
and nothing was forgotten in particular.

*Proportional effectiveness* is ReMI's reduction as a share of ReMI's plus Fisher's reduction; it
says nothing about whether either reduction is the right size. The paper gives it for 25 %.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.effectiveness import effectiveness
from remibench.analysis.paper import beside_paper
from remibench.analysis.results import BY_METHOD, Results, count_seeds, displayed, percent
from remibench.analysis.statistics import summarise
from remibench.components.products import ACCESS
from remibench.components.registry import controls
from remibench.reporting.panels import Bar, draw_bars
from remibench.reporting.style import COLORS, CONTROL_HATCH, METHODS

TITLE = "MIA before and after, {access}, {percent}"
VARIANTS = {  # figure → options of draw
    "figure03_mia_before_after": {"ratio": 0.25, "access": "whitebox"},
    "figure07_mia_before_after": {"ratio": 0.5, "access": "whitebox"},
    "figure08_mia_before_after": {"ratio": 0.1, "access": "whitebox"},
    "figure09_mia_before_after": {"ratio": 0.01, "access": "whitebox"},
    "figure10_blackbox_mia": {"ratio": 0.01, "access": "blackbox"},
    "figure11_blackbox_mia": {"ratio": 0.1, "access": "blackbox"},
    "figure12_blackbox_mia": {"ratio": 0.25, "access": "blackbox"},
    "figure13_blackbox_mia": {"ratio": 0.5, "access": "blackbox"},
}
BY_RATIO = {  # the same at other ratios than the paper's
    "figure_whitebox_mia": {"access": "whitebox"},
    "figure_blackbox_mia": {"access": "blackbox"},
}


def values(results: Results, ratio: float, access: str) -> pd.DataFrame:
    """MIA rate on the forget set per cell, method and seed at one ratio."""
    rows = results.metric(f"mia_{access}_rate")
    rows = rows[(rows["forget_ratio"] == ratio) & (rows["subset"] == "forget")]
    return rows.assign(bar=rows["method"])


def data(results: Results, ratio: float = 0.25, access: str = "whitebox") -> pd.DataFrame:
    """Mean, interval and seeds per cell and method, with two numbers to compare with.

    ``reference`` is the mean rate of the same models on unseen test images, ``paper`` is that of
    Table IV (white-box; the paper has no numbers of black-box inference).
    """
    rows = results.metric(f"mia_{access}_rate")
    rows = rows[rows["forget_ratio"] == ratio]
    table = summarise(rows[rows["subset"] == "forget"], BY_METHOD)
    test = summarise(rows[rows["subset"] == results.alike], BY_METHOD)[[*BY_METHOD, "mean"]]
    table = table.merge(test.rename(columns={"mean": "reference"}), how="left", on=BY_METHOD)
    table = table.assign(metric=f"mia_{access}_rate", bar=table["method"])
    table = beside_paper(table, "Table IV", results.published, results.paper_names)
    return table.drop(columns="metric")


def draw(results: Results, ratio: float = 0.25, access: str = "whitebox") -> Figure:
    """One panel per dataset, one group per architecture, one bar per method.

    A tick on every bar marks the same model's rate on unseen test images: a method that lowers both
    alike has moved the model rather than forgotten an image.
    """
    rows = values(results, ratio, access)
    return draw_bars(
        data(results, ratio, access),
        rows,
        [
            Bar(method, METHODS[method], COLORS[method], CONTROL_HATCH * (method in controls()))
            for method in displayed(results.methods)
        ],
        results.names,
        results.architectures,
        ylabel=f"{ACCESS[access].capitalize()} MIA rate on $D_f$\n(share called members)",
        title=lambda dataset: _title(results, rows, dataset, ratio, access),
        empty=f"Not run: {ACCESS[access]} inference at {percent(ratio)} forgotten.",
    )


def _title(results: Results, rows: pd.DataFrame, dataset: str, ratio: float, access: str) -> str:
    of_dataset = rows[rows["dataset"] == dataset]
    if of_dataset.empty:
        return f"{percent(ratio)} forgotten: not run"
    counts = of_dataset.groupby(BY_METHOD)["seed"].nunique()
    title = f"{percent(ratio)} forgotten, n = {count_seeds(counts)}"
    if access != "whitebox":
        return title
    ours = effectiveness(of_dataset)["value"].dropna()
    word = "not defined" if {"fisher", "remi_whitebox"} <= set(of_dataset["method"]) else "not run"
    title += f"\nproportional effectiveness {word if ours.empty else f'{ours.mean():.0%}'}"
    cell = pd.DataFrame({"dataset": [dataset], "forget_ratio": [ratio]})
    paper = beside_paper(cell, "Figure 3", results.published, results.paper_names)["paper"].item()
    return title if pd.isna(paper) else f"{title} (paper {paper:.0f}%)"
