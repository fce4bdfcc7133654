"""Figure 4: distribution of efficacy scores on the forget set, by method and forget ratio."""

from __future__ import annotations

import matplotlib.pyplot as plt
import seaborn as sns

from remibench.reporting.results import COLORS, METHODS, Results, percent


def draw(results: Results) -> plt.Figure:
    """One panel per dataset and architecture; a point per seed, a box of their quartiles."""
    values = results.metric("efficacy")
    cells = list(dict.fromkeys(zip(values["dataset"], values["architecture"], strict=True)))
    figure, axes = plt.subplots(
        len(cells), 1, figsize=(7, 0.6 + 2.6 * len(cells)), sharex=True, squeeze=False
    )
    ratios = sorted(values["forget_ratio"].unique())
    for axis, (dataset, architecture) in zip(axes[:, 0], cells, strict=True):
        cell = values[(values["dataset"] == dataset) & (values["architecture"] == architecture)]
        common = {
            "data": cell,
            "x": "forget_ratio",
            "y": "value",
            "hue": "method",
            "order": ratios,
            "hue_order": results.methods,
            "palette": COLORS,
            "log_scale": (False, True),
            "legend": False,
            "ax": axis,
        }
        sns.boxplot(**common, width=0.75, fliersize=0, fill=False, linewidth=1, gap=0.15)
        sns.stripplot(**common, dodge=True, jitter=False, size=4)
        axis.set_title(f"{dataset}, {architecture}, n = {cell['seed'].nunique()} seeds")
        axis.set_ylabel("Efficacy score on $D_f$\n(log scale)")
        axis.set_xlabel("")
        axis.set_xticks(range(len(ratios)), [percent(ratio) for ratio in ratios])
    axes[-1, 0].set_xlabel("Share of the training set forgotten")
    handles = [plt.Line2D([], [], color=COLORS[m], marker="o", ms=4) for m in results.methods]
    figure.legend(
        handles, [METHODS[m] for m in results.methods], loc="outside upper center", ncols=5
    )
    return figure
