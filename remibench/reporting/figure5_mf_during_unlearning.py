"""Figure 5: white-box MF on the forget set during unlearning, by forget ratio."""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns

from remibench.reporting.results import Results, percent


def draw(results: Results) -> plt.Figure:
    """One panel per dataset and architecture; a line per seed, ending where ReMI stopped."""
    rows = results.histories[results.histories["method"] == "remi_whitebox"]
    cells = list(
        dict.fromkeys(
            zip(results.evaluation["dataset"], results.evaluation["architecture"], strict=True)
        )
    )
    figure, axes = plt.subplots(
        1, len(cells), figsize=(1.6 + 3.6 * len(cells), 3.2), sharey=True, squeeze=False
    )
    ratios = sorted(results.evaluation["forget_ratio"].unique())
    colors = dict(zip(ratios, sns.color_palette("viridis", len(ratios)), strict=True))
    for axis, (dataset, architecture) in zip(axes[0], cells, strict=True):
        cell = rows[(rows["dataset"] == dataset) & (rows["architecture"] == architecture)]
        for (ratio, _), run in cell.groupby(["forget_ratio", "seed"]):
            axis.plot(run["epoch"], run["mf_forget"], color=colors[ratio], linewidth=1.2)
            axis.plot(
                run["epoch"].iloc[-1], run["mf_forget"].iloc[-1], "o", color=colors[ratio], ms=4
            )
            axis.plot(run["epoch"], run["mf_out_of_sample"], color="0.6", linewidth=0.7, zorder=0)
        seeds = cell["seed"].nunique()
        axis.set_title(
            f"{dataset}, {architecture}, n = {seeds} seeds"
            if seeds
            else f"{dataset}, {architecture}: not run"
        )
        axis.set_xlabel("Epoch (passes over $D_f$)")
        axis.set_ylim(-0.02, 1.05)
    axes[0][0].set_ylabel("White-box MF accuracy on $D_f$\n(share called members)")
    handles = [plt.Line2D([], [], color=colors[ratio], marker="o", ms=4) for ratio in ratios]
    handles.append(plt.Line2D([], [], color="0.6", linewidth=0.7))
    labels = [f"{percent(ratio)} forgotten" for ratio in ratios]
    figure.legend(handles, [*labels, "out-of-sample images"], loc="outside right center")
    return figure
