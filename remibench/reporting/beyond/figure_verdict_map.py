"""Beyond the paper: the verdict on every method in every dataset, architecture and forget ratio.

A square's colour and sign is the verdict of the table of verdicts: "=" equivalent to retraining,
"≈" as retraining in membership alone, "↑" leaks, "↓" over-forgets, "−" loses utility, "?" not
decided. Membership speaks first: a second sign "−" says that utility is lost, too. No square: not
run. One dataset and architecture have a column per forget ratio; several have a column each, and a
block per forget ratio.

*Not decided* is no verdict of sameness: with few seeds most squares are.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import Results, in_order, percent
from remibench.analysis.verdicts import AS_RETRAINING, EQUIVALENT, LOSES, NOT_DECIDED, judge_methods
from remibench.reporting.panels import COLUMN, PAGE, legend, sentence_figure
from remibench.reporting.style import METHODS, VERDICTS, cell_label

TITLE = "Overview of verdicts"


def sign(membership: str, utility: str, verdict: str) -> tuple[str, str]:
    """Colour and text of a square."""
    if verdict == EQUIVALENT:
        return VERDICTS[EQUIVALENT]
    color, text = VERDICTS[membership]
    if utility != LOSES:
        return color, text
    return VERDICTS[LOSES] if membership == NOT_DECIDED else (color, text + VERDICTS[LOSES][1])


def draw(results: Results) -> Figure:
    """Blocks of squares, a line per method."""
    table = judge_methods(results.evaluation)
    table = table[table["n"] > 0]
    if table.empty:
        return sentence_figure("Not run: retraining and another method, with accuracy and MIA.")
    cells = [(d, a) for d in results.names for a in results.architectures]
    methods = [method for method in in_order(table["method"]) if method != REFERENCE]
    several = len(cells) > 1
    blocks = results.ratios if several else [None]
    columns = cells if several else results.ratios
    size = (PAGE if several else COLUMN, 0.5 + len(blocks) * (0.3 + 0.17 * len(methods)))
    figure, axes = plt.subplots(len(blocks), 1, figsize=size, squeeze=False, sharex=True)
    for axis, block in zip(axes.flat, blocks, strict=True):
        rows = table[table["forget_ratio"] == block] if several else table
        for row in rows.itertuples():
            key = (row.dataset, row.architecture) if several else row.forget_ratio
            _square(axis, columns.index(key), methods.index(row.method), row)
        axis.set(xlim=(0, len(columns)), ylim=(len(methods), 0))
        places = [place + 0.5 for place in range(len(methods))]
        axis.set_yticks(places, [METHODS[m] for m in methods])
        axis.tick_params(length=0)
        axis.grid(visible=False)
        axis.spines[:].set_visible(False)
        if several:
            axis.set_title(f"{percent(block)} forgotten", loc="left")
            for place in range(len(results.architectures), len(cells), len(results.architectures)):
                axis.axvline(place, color="0.4", linewidth=0.8)
    names = [cell_label(*cell) for cell in cells] if several else [*map(percent, columns)]
    turn = {"rotation": 90} if several else {}
    axes[-1, 0].set_xticks([place + 0.5 for place in range(len(columns))], names, **turn)
    if not several:
        axes[0, 0].set_title(f"{cell_label(*cells[0])},\nby share forgotten")
    handles = [plt.Rectangle((0, 0), 1, 1, color=color) for color, _ in VERDICTS.values()]
    words = {AS_RETRAINING: "MIA rate as retraining"}
    legend(figure, handles, [f"{text} {words.get(v, v)}" for v, (_, text) in VERDICTS.items()])
    return figure


def _square(axis: plt.Axes, x: int, y: int, row: pd.Series) -> None:
    color, text = sign(row.membership, row.utility, row.verdict)
    axis.add_patch(plt.Rectangle((x, y), 1, 1, facecolor=color, edgecolor="white", linewidth=1.2))
    dark = color in {VERDICTS[verdict][0] for verdict in (NOT_DECIDED, LOSES, AS_RETRAINING)}
    style = {"ha": "center", "va": "center", "fontsize": 7, "color": "0.2" if dark else "white"}
    axis.text(x + 0.5, y + 0.52, text, **style)
