"""Beyond the paper: seconds of unlearning against the distance to retraining.

The distance is 1 − ToW-MIA with the white-box attack: 0 for retraining, 1 where one of its three
factors is lost (MIA rate on the forget set, accuracy on retained and on test images); means over n
seeds. The star is retraining, at its own seconds. The grey steps are the Pareto front: no method
that was run is both faster and nearer. Controls are no part of it: a temperature comes near 0 and
has forgotten nothing, so that a small distance alone shows no forgetting. One dataset and
architecture have a panel per forget ratio, several a panel each at the ratio nearest to 10 %.

A fast method that has moved nothing, or destroyed the model, lies at the top. Seconds are those of
one machine (Table V).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE, tug_of_war
from remibench.analysis.results import BY_METHOD, CELL, Results
from remibench.components.registry import controls
from remibench.reporting.panels import (
    label_axes,
    legend,
    panel_title,
    ratio_or_cell_page,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import METHODS, in_order, point

TITLE = "Seconds against the distance to retraining"


def data(results: Results) -> pd.DataFrame:
    """Mean seconds and mean distance (1 − ToW-MIA) per cell and method, with numbers of seeds."""
    rows = results.evaluation.fillna({"subset": ""})
    tow = tug_of_war(rows, "mia_whitebox_rate", "tow").rename(columns={"value": "tow"})
    both = tow.merge(results.metric("seconds")[[*BY_METHOD, "seed", "value"]])
    both = both.assign(distance=1 - both["tow"]).rename(columns={"value": "seconds"})
    means = both.groupby(BY_METHOD, sort=False)
    columns = {"seconds": ("seconds", "mean"), "distance": ("distance", "mean")}
    return means.agg(**columns, seeds=("seed", "nunique")).reset_index()


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """The methods that no other beats in both ``seconds`` and ``distance``, fastest first."""
    rows = rows[~rows["method"].isin(controls())].sort_values(
        ["seconds", "distance"], kind="stable"
    )
    return rows[rows["distance"] < rows["distance"].cummin().shift(fill_value=float("inf"))]


def draw(results: Results) -> Figure:
    """A panel per forget ratio of one cell, or per cell at one ratio; a point per method."""
    table = data(results)
    if table.empty:
        return sentence_figure("Not run: retraining and another method, with their costs.")
    figure, panels, common = ratio_or_cell_page(results, 2.0, sharex=True, sharey=True)
    methods = in_order(table["method"])
    groups = dict(list(table.groupby(CELL)))
    for axis, cell, title in panels:
        axis.set(xscale="log", ylim=(-0.05, 1.05))
        axis.grid(visible=False)
        rows = groups.get(cell)
        panel_title(axis, f"{title} (n = {rows['seeds'].max()})" if rows is not None else title)
        if rows is None:
            say_not_run(axis)
            continue
        steps = front(rows)
        line = {"color": "0.75", "linewidth": 1.0, "zorder": 1}
        axis.step(steps["seconds"], steps["distance"], where="post", **line)
        for row in rows.itertuples():
            layer = 4 if row.method == REFERENCE else 3
            axis.plot(row.seconds, row.distance, **point(row.method), zorder=layer)
    label_axes(
        figure,
        f"Seconds of unlearning (log scale; {common})",
        "Distance to retraining\n(1 − ToW-MIA)",
    )
    handles = [plt.Line2D([], [], **point(method)) for method in methods]
    handles.append(plt.Line2D([], [], color="0.75", linewidth=1.0))
    legend(figure, handles, [*(METHODS[method] for method in methods), "Pareto front"])
    return figure
