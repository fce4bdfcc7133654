"""Beyond the paper: seconds of unlearning against the distance to retraining.

The distance is 1 − ToW: 0 for retraining, 1 where one of three accuracies is lost (on the forget
set, on retained images, on test images); means over n seeds. The star is retraining, at its own
seconds, the dotted line the target's distance, which costs nothing. The grey steps are the Pareto
front: nearer than the target, and no method that was run is both faster and nearer. One dataset and
architecture have a panel per forget ratio, several a panel each at the ratio nearest to 10 %.

ToW reads decisions alone. A control changes none and lies on the target's line, while by an MIA
rate a temperature would come near 0 without having forgotten anything. Controls are no part of the
front. What ToW does not read is whether an attack still recognises the forget set (Verdicts). A
fast method that has moved nothing lies on the target's line, one that has destroyed the model at
the top. Seconds are those of one machine (Table V).
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE, tug_of_war
from remibench.analysis.results import BY_METHOD, CELL, Results, in_order
from remibench.components.registry import ORIGINAL, controls
from remibench.reporting.panels import (
    label_axes,
    legend,
    panel_title,
    ratio_or_cell_page,
    say_not_run,
    sentence_figure,
)
from remibench.reporting.style import COLORS, METHODS, point

TITLE = "Seconds against the distance to retraining"


def data(results: Results) -> pd.DataFrame:
    """Mean distance (1 − ToW) and mean seconds per cell and method, with numbers of seeds.

    The target's seconds are NaN.
    """
    rows = results.evaluation.fillna({"subset": ""})
    tow = tug_of_war(rows, "accuracy", "tow").rename(columns={"value": "tow"})
    seconds = results.metric("seconds")[[*BY_METHOD, "seed", "value"]]
    if tow.empty or seconds.empty:
        return pd.DataFrame(columns=[*BY_METHOD, "seconds", "distance", "seeds"])
    both = tow.merge(seconds, how="left")
    both = both.assign(distance=1 - both["tow"]).rename(columns={"value": "seconds"})
    means = both.groupby(BY_METHOD, sort=False)
    columns = {"seconds": ("seconds", "mean"), "distance": ("distance", "mean")}
    return means.agg(**columns, seeds=("seed", "nunique")).reset_index()


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """The methods that no other beats in both ``seconds`` and ``distance``, fastest first.

    The target itself takes no time: what is no nearer than it is on no front.
    """
    level = rows.loc[rows["method"] == ORIGINAL, "distance"].min()
    level = float("inf") if pd.isna(level) else level
    rows = rows[~rows["method"].isin(controls())].dropna(subset="seconds")
    rows = rows.sort_values(["seconds", "distance"], kind="stable")
    least = rows["distance"].clip(upper=level).cummin().shift(fill_value=level)
    return rows[rows["distance"] < least]


def draw(results: Results) -> Figure:
    """A panel per forget ratio of one cell, or per cell at one ratio; a point per method."""
    table = data(results)
    if table["seconds"].isna().all():
        return sentence_figure("Not run: retraining and another method, with their costs.")
    figure, panels, common = ratio_or_cell_page(results, 2.0, sharex=True, sharey=True)
    methods = [method for method in in_order(table["method"]) if method != ORIGINAL]
    level = {"color": COLORS[ORIGINAL], "linewidth": 1.0, "linestyle": ":"}
    groups = dict(list(table.groupby(CELL)))
    for axis, cell, title in panels:
        axis.set(xscale="log", ylim=(-0.05, 1.05))
        axis.grid(visible=False)
        rows = groups.get(cell)
        panel_title(axis, title, [] if rows is None else [rows["seeds"].max()])
        if rows is None:
            say_not_run(axis)
            continue
        steps = front(rows)
        line = {"color": "0.75", "linewidth": 1.0, "zorder": 1}
        axis.step(steps["seconds"], steps["distance"], where="post", **line)
        for row in rows.itertuples():
            if row.method == ORIGINAL:
                axis.axhline(row.distance, **level, zorder=1)
                continue
            layer = 4 if row.method == REFERENCE else 3
            axis.plot(row.seconds, row.distance, **point(row.method), zorder=layer)
    label_axes(
        figure,
        f"Seconds of unlearning (log scale; ← faster; {common})",
        "Distance to retraining\n(1 − ToW; ↓ nearer)",
    )
    handles = [plt.Line2D([], [], **point(method)) for method in methods]
    handles += [plt.Line2D([], [], color="0.75", linewidth=1.0), plt.Line2D([], [], **level)]
    names = [METHODS[method] for method in methods]
    legend(figure, handles, [*names, "Pareto front", f"level of {METHODS[ORIGINAL].lower()}"])
    return figure
