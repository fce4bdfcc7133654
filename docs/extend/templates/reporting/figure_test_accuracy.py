"""Test accuracy after unlearning.

By share of the training set forgotten; bars are 95 % t-intervals over seeds. Compare with
*Retraining*, which has lost those images as well.
"""

from __future__ import annotations

import matplotlib.pyplot as plt

from remibench.analysis.results import COLORS, METHODS, Results, percent


def draw(results: Results) -> plt.Figure:
    """One panel per dataset and architecture, one line per method."""
    table = results.summary("accuracy", scale=100)
    table = table[table["subset"] == "test"]
    cells = list(table.groupby(["dataset", "architecture"], sort=False))
    figure, axes = plt.subplots(
        len(cells), 1, figsize=(6, 0.6 + 2.6 * len(cells)), sharex=True, squeeze=False
    )
    ratios = sorted(table["forget_ratio"].unique())
    for axis, (cell, rows) in zip(axes[:, 0], cells, strict=True):
        for method in results.methods:
            line = rows[rows["method"] == method].sort_values("forget_ratio")
            axis.errorbar(
                [ratios.index(ratio) for ratio in line["forget_ratio"]],
                line["mean"],
                yerr=(line["high"] - line["mean"]).fillna(0),  # one seed has no interval
                color=COLORS[method],
                label=METHODS[method],
                marker="o",
                markersize=4,
                capsize=2,
            )
        axis.set_title(f"{', '.join(cell)}, n = {rows['seeds'].max()} seeds")
        axis.set_ylabel("Test accuracy (%)")
        axis.set_xticks(range(len(ratios)), [percent(ratio) for ratio in ratios])
    axes[-1, 0].set_xlabel("Share of the training set forgotten")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure
