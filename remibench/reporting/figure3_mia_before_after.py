"""Figure 3: white-box MIA on the forget set before unlearning, after Fisher, and after ReMI."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from remibench.reporting import table4_whitebox_mia
from remibench.reporting.results import COLORS, METHODS, Results, percent

FORGET_RATIO = 0.25
DIAMOND = {"marker": "D", "linestyle": "", "color": "none", "mec": "#d55e00", "mew": 1.4}
SHOWN = ["original", "fisher", "remi_whitebox", "remi_blackbox", "retrain"]


def proportional_effectiveness(before: float, fisher: float, remi: float) -> float:
    """ReMI's reduction of the MIA accuracy as a share of ReMI's plus Fisher's, in [0, 1].

    The paper defines it in words only, as ReMI's part of the total reduction. It is undefined
    (NaN) when the two together reduce nothing; a method that raises the accuracy counts as no
    reduction.
    """
    reductions = [max(before - after, 0.0) for after in (remi, fisher)]
    return reductions[0] / sum(reductions) if sum(reductions) > 0 else float("nan")


def effectiveness(table: pd.DataFrame) -> pd.DataFrame:
    """Proportional effectiveness per dataset and seed, averaged over architectures.

    Args:
        table: Rows with dataset, architecture, seed, method and value (MIA accuracy on D_f).
    """
    needed = ["original", "fisher", "remi_whitebox"]
    wide = table.pivot_table(
        index=["dataset", "architecture", "seed"], columns="method", values="value"
    ).reindex(columns=needed)
    wide["value"] = [proportional_effectiveness(*row) for row in wide[needed].to_numpy()]
    return wide.reset_index().groupby(["dataset", "seed"], as_index=False)["value"].mean()


def draw(results: Results) -> plt.Figure:
    """One panel per dataset, one group per architecture, one bar per method, dots for seeds.

    A tick on every bar marks the same model's rate on unseen test images: a method that lowers both
    alike has moved the model rather than forgotten an image.
    """
    values = results.metric("mia_whitebox_rate")
    values = values[(values["forget_ratio"] == FORGET_RATIO) & (values["subset"] == "forget")]
    table = table4_whitebox_mia.build(results)
    table = table[table["forget_ratio"] == FORGET_RATIO]
    datasets = list(dict.fromkeys(results.evaluation["dataset"]))
    architectures = list(dict.fromkeys(results.evaluation["architecture"]))
    figure, axes = plt.subplots(
        1, len(datasets), figsize=(2.4 + 3.4 * len(datasets), 3.2), sharey=True, squeeze=False
    )
    shown = [method for method in SHOWN if method in results.methods]
    width = 0.8 / len(shown)
    for axis, dataset in zip(axes[0], datasets, strict=True):
        for group, architecture in enumerate(architectures):
            for position, method in enumerate(shown):
                at = group + (position - (len(shown) - 1) / 2) * width
                cell = _cell(table, dataset, architecture, method)
                if cell.empty:
                    axis.text(at, 0.02, "not run", rotation=90, ha="center", va="bottom")
                    continue
                rates = cell.set_index("subset")
                _bar(axis, at, width, rates.loc["forget"], COLORS[method])
                seeds = _cell(values, dataset, architecture, method)["value"]
                axis.plot([at] * len(seeds), seeds, "o", color="white", mec="0.2", ms=3)
                axis.plot(at, rates.loc["forget", "paper"], **DIAMOND, ms=7)
                test = rates.loc["test", "mean"]
                axis.hlines(test, at - 0.45 * width, at + 0.45 * width, color="black", linewidth=2)
        axis.set_xticks(range(len(architectures)), architectures)
        axis.set_title(_title(results, values, dataset))
        axis.set_ylim(0, 1.05)
        axis.grid(visible=False, axis="x")
    axes[0][0].set_ylabel("White-box MIA accuracy on $D_f$\n(share called members)")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[m], alpha=0.85) for m in shown]
    handles += [plt.Line2D([], [], color="black", linewidth=2), plt.Line2D([], [], **DIAMOND)]
    labels = [
        *(METHODS[m] for m in shown),
        "same model, unseen test images",
        "paper (full data set)",
    ]
    figure.legend(handles, labels, loc="outside right center")
    return figure


def _bar(axis: plt.Axes, at: float, width: float, row: pd.Series, color: str) -> None:
    axis.bar(at, row["mean"], width * 0.9, color=color, alpha=0.85)
    if np.isfinite(row["low"]):
        low, high = np.clip([row["low"], row["high"]], 0, 1)
        half = [[row["mean"] - low], [high - row["mean"]]]
        axis.errorbar(at, row["mean"], half, color="0.2", capsize=2, linewidth=1)


def _cell(table: pd.DataFrame, dataset: str, architecture: str, method: str) -> pd.DataFrame:
    at = (table["dataset"] == dataset) & (table["architecture"] == architecture)
    return table[at & (table["method"] == method)]


def _title(results: Results, values: pd.DataFrame, dataset: str) -> str:
    rows = values[values["dataset"] == dataset]
    if rows.empty:
        return f"{dataset}: {percent(FORGET_RATIO)} not run"
    count = rows["seed"].nunique()
    title = f"{dataset}, {percent(FORGET_RATIO)} forgotten, n = {count} seed{'s' * (count != 1)}"
    ours = effectiveness(rows)["value"].dropna()
    if ours.empty:
        return title
    title += f"\nproportional effectiveness {ours.mean():.0%}"
    name = results.datasets.set_index("dataset")["paper_dataset"][dataset]
    published = results.published["figure3_proportional_effectiveness"].set_index("dataset")
    if name in published.index:
        paper = published.loc[name, "proportional_effectiveness_pct"]
        title += f"\n(paper, four architectures: {paper:.0f}%)"
    return title
