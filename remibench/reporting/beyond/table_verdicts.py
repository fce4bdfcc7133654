"""Beyond the paper: which methods leak, over-forget, lose utility, or are like retraining.

Verdicts follow from a method's gaps to retraining on the same target and forget set (method −
retraining, mean over seeds ± the half-width of the 95 % t-interval, paired): white-box MIA rate on
the forget set, accuracy on forget set, retain set and test images.

*Leaks* and *over-forgets*: the MIA rate is more than .05 above or below retraining's. *Loses
utility*: accuracy on retain or test images is more than 2 points below. *As retraining*, *keeps
utility*: shown to be within these margins (or above, for utility); *equivalent*: all four within.
Each statement holds at the 5 % level after Holm's correction over all methods and quantities of a
cell. *Not decided*: these seeds show none of them, which is no proof of sameness.
"""

from __future__ import annotations

import pandas as pd

from remibench.analysis.results import BY_METHOD, METHODS, Results, count_seeds, percent
from remibench.analysis.verdicts import JUDGED, judge_methods
from remibench.reporting.render import format_gap, readable, spread

TITLE = "Verdicts on every method"


def build(results: Results) -> pd.DataFrame:
    """One row per cell and method, see :func:`remibench.analysis.verdicts.judge_methods`."""
    return judge_methods(results.evaluation)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and method: the verdict, and the four gaps that it is made of."""
    text = table[[*BY_METHOD, "verdict", "membership", "utility"]].copy()
    for name, quantity in JUDGED.items():
        text[quantity.label] = _gaps(table, name)
    return readable(text)


def matrix(table: pd.DataFrame) -> pd.DataFrame:
    """One line per method and cell, a column per forget ratio: verdict and two main gaps."""
    parts = zip(table["verdict"], _gaps(table, "mia"), _gaps(table, "test"), strict=True)
    lines = [f"{verdict}; MIA {mia}; test {test}" for verdict, mia, test in parts]
    text = table[BY_METHOD].assign(text=lines)
    ratios = sorted(table["forget_ratio"].unique())
    wide = spread(text, ["dataset", "architecture", "method"], "forget_ratio", ratios)
    wide["method"] = wide["method"].map(METHODS)
    return wide.rename(columns={ratio: percent(ratio) for ratio in ratios})


def _gaps(table: pd.DataFrame, name: str) -> list[str]:
    numbers = table[[f"{name}_{end}" for end in ("gap", "low", "high")]].to_numpy()
    return [format_gap(*row, JUDGED[name]) for row in numbers]


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    seeds = count_seeds(table.loc[table["n"] > 0, "n"])
    interval = "no interval" if seeds == "1 seed" else "± half-width of the 95 % t-interval, paired"
    return (
        f"Method − retraining, mean over {seeds} ({interval}): white-box MIA rate on the forget "
        "set as a share, accuracies in points. Leaks, over-forgets: the MIA rate lies above, below "
        "retraining's by more than .05; loses utility: accuracy on retain or test images lies "
        "below it by more than 2 points; as retraining, keeps utility: shown to lie within these "
        "margins (or above, for utility); equivalent: all four within. Every statement at "
        "the 5 % level after Holm's correction over all methods and quantities of a cell; not "
        f"decided: these seeds show none of them. {remarks}"
    )
