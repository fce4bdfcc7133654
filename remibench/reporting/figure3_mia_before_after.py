"""Figure 3: white-box MIA on the forget set before unlearning, after Fisher, and after ReMI."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from remibench.reporting.render import COLORS
from remibench.reporting.results import METHODS, Results

FORGET_RATIO = 0.25
SHOWN = ["original", "fisher", "remi_whitebox", "remi_blackbox", "retrain"]


def proportional_effectiveness(before: float, fisher: float, remi: float) -> float:
    """ReMI's reduction of the MIA accuracy as a share of ReMI's plus Fisher's, in [0, 1].

    The paper calls it "the percentage of ReMI reduction relative to the total reduction". It is
    undefined (NaN) when the two together reduce nothing; a method that raises the accuracy counts
    as no reduction.
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
    """One panel per dataset, one group per architecture, one bar per method, dots for seeds."""
    values = results.metric("mia_whitebox_rate")
    values = values[(values["forget_ratio"] == FORGET_RATIO) & (values["subset"] == "forget")]
    summary = results.summary("mia_whitebox_rate")
    test = summary[
        (summary["forget_ratio"] == FORGET_RATIO)
        & (summary["subset"] == "test")
        & (summary["method"] == "original")
    ]
    summary = summary[(summary["forget_ratio"] == FORGET_RATIO) & (summary["subset"] == "forget")]
    datasets = list(dict.fromkeys(results.evaluation["dataset"]))
    figure, axes = plt.subplots(
        1, len(datasets), figsize=(2.4 + 3.4 * len(datasets), 3.2), sharey=True, squeeze=False
    )
    shown = [method for method in SHOWN if method in results.methods]
    width = 0.8 / len(shown)
    for axis, dataset in zip(axes[0], datasets, strict=True):
        architectures = list(dict.fromkeys(results.evaluation["architecture"]))
        for group, architecture in enumerate(architectures):
            for position, method in enumerate(shown):
                at = group + (position - (len(shown) - 1) / 2) * width
                cell = _cell(summary, dataset, architecture, method)
                if cell.empty:
                    axis.text(at, 0.02, "not run", rotation=90, ha="center", va="bottom")
                    continue
                row = cell.iloc[0]
                axis.bar(at, row["mean"], width * 0.9, color=COLORS[method], alpha=0.85)
                if np.isfinite(row["low"]):
                    low, high = np.clip([row["low"], row["high"]], 0, 1)
                    axis.errorbar(
                        at,
                        row["mean"],
                        [[row["mean"] - low], [high - row["mean"]]],
                        color="0.2",
                        capsize=2,
                        linewidth=1,
                    )
                seeds = _cell(values, dataset, architecture, method)["value"]
                axis.plot([at] * len(seeds), seeds, "o", color="white", mec="0.2", ms=3)
                paper = _paper(results, dataset, architecture, method)
                axis.plot(at, paper, "D", color="none", mec="#d55e00", mew=1.4, ms=7)
            rate = _cell(test, dataset, architecture, "original")["mean"]
            axis.hlines(rate, group - 0.45, group + 0.45, color="0.2", linestyle=":", linewidth=1.2)
        axis.set_xticks(range(len(architectures)), architectures)
        axis.set_title(_title(results, values, dataset))
        axis.set_ylim(0, 1.05)
        axis.grid(visible=False, axis="x")
    axes[0][0].set_ylabel("White-box MIA accuracy on $D_f$\n(share called members)")
    handles = [plt.Rectangle((0, 0), 1, 1, color=COLORS[m], alpha=0.85) for m in shown]
    handles += [
        plt.Line2D([], [], color="0.2", linestyle=":"),
        plt.Line2D([], [], color="none", marker="D", mec="#d55e00", mew=1.4),
    ]
    labels = [*(METHODS[m] for m in shown), "unseen test images, before", "paper (full data set)"]
    figure.legend(handles, labels, loc="outside right center")
    return figure


def _cell(table: pd.DataFrame, dataset: str, architecture: str, method: str) -> pd.DataFrame:
    at = (table["dataset"] == dataset) & (table["architecture"] == architecture)
    return table[at & (table["method"] == method)]


def _paper(results: Results, dataset: str, architecture: str, method: str) -> float:
    phase = {"original": "before", "remi_whitebox": "after"}.get(method)
    name = results.datasets.set_index("dataset")["paper_dataset"][dataset]
    published = results.published["table4_whitebox_mia_accuracy"]
    cell = published[
        (published["dataset"] == name)
        & (published["architecture"] == architecture)
        & (published["forget_ratio"] == FORGET_RATIO)
        & (published["phase"] == phase)
    ]
    return float(cell["mia_accuracy"].iloc[0]) if len(cell) else float("nan")


def _title(results: Results, values: pd.DataFrame, dataset: str) -> str:
    seeds = values.loc[values["dataset"] == dataset, "seed"].nunique()
    lines = [
        f"{dataset}, {FORGET_RATIO:.0%} forgotten, n = {seeds} seed{'s' if seeds != 1 else ''}"
    ]
    if seeds == 0:
        return f"{dataset}: {FORGET_RATIO:.0%} not run"
    ours = effectiveness(values[values["dataset"] == dataset])["value"].mean()
    name = results.datasets.set_index("dataset")["paper_dataset"][dataset]
    published = results.published["figure3_proportional_effectiveness"]
    paper = published.loc[published["dataset"] == name, "proportional_effectiveness_pct"]
    if np.isfinite(ours):
        text = f"proportional effectiveness {ours:.0%}"
        lines.append(text + (f" (paper {paper.iloc[0]:.0f}%)" if len(paper) else ""))
    return "\n".join(lines)
