"""The scorecard: every published number beside ours, with a verdict by a fixed rule.

The rule is in :mod:`remibench.analysis.paper`.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from remibench.analysis.paper import (
    INCONCLUSIVE,
    KEY,
    NOT_JUDGED,
    NOT_REPRODUCED,
    OTHER_DATA,
    REPRODUCED,
    WITHIN,
    compare_with_paper,
)
from remibench.analysis.results import Results, percent
from remibench.analysis.verdicts import NOT_RUN
from remibench.artifacts.tables import write_csv
from remibench.reporting.html_page import ABSENT
from remibench.reporting.panels import PAGE, label_axes, say_below, sentence_figure
from remibench.reporting.render import MINUS, write_formatted, write_page
from remibench.reporting.style import ARCHITECTURES, DATASETS

TITLE = "Scorecard: the paper's numbers beside ours"
VERDICTS = {  # in the order of display → colour in the heat map, Okabe and Ito's or grey
    REPRODUCED: "#009e73",
    WITHIN: "#56b4e9",
    INCONCLUSIVE: "#f0e442",
    NOT_REPRODUCED: "#d55e00",
    OTHER_DATA: "#cccccc",
    NOT_RUN: "#f3f3f3",
    NOT_JUDGED: "#f3f3f3",
}
FEW = 3  # columns of a heat map that have room for names side by side
DECIMALS = {"%": 1, "share": 3, "images": 0, "×": 2, "s": 0, "": 4}  # of text, by unit


def build(results: Results) -> pd.DataFrame:
    """One row per published number, see :func:`remibench.analysis.paper.compare_with_paper`."""
    return compare_with_paper(results)


def count(table: pd.DataFrame) -> pd.DataFrame:
    """Published numbers per table and verdict, with a row and a column of sums."""
    counts = pd.crosstab(table["table"], table["verdict"])
    counts = counts.reindex(
        index=list(dict.fromkeys(table["table"])), columns=list(VERDICTS), fill_value=0
    )
    counts.loc["all"] = counts.sum()
    return counts.assign(published=counts.sum(axis=1)).rename_axis(columns=None).reset_index()


def write(
    table: pd.DataFrame,
    remarks: str,
    *,
    csv: Path,
    tex: Path,
    html: Path,
    counts: Path,
    counts_html: Path,
) -> None:
    """Write the scorecard as tidy CSV (unrounded), LaTeX and page; its counts as CSV and page."""
    write_csv(csv, table)
    write_csv(counts, count(table))
    write_page(counts_html, count(table), f"{TITLE}, verdicts per table", remarks)
    write_formatted(layout(table), TITLE, f"{note(table)} {remarks}", tex, html)


def note(table: pd.DataFrame) -> str:
    """The counts and the rule in a few sentences."""
    totals = table["verdict"].value_counts()
    listed = ", ".join(f"{totals[name]} {name}" for name in VERDICTS if name in totals)
    return (
        f"{len(table)} published numbers: {listed}. Mean over seeds with 95 % t-interval. "
        "Reproduced: the paper's number lies in the interval widened by its rounding, and half the "
        "interval is no wider than the tolerance (accuracies 2 points, rates .05, proportional "
        "effectiveness 5 points, ratios of times a factor of 2, numbers of images one per class). "
        "Within ±: the difference is at most the tolerance. Inconclusive: the number lies in the "
        "interval, but that is too wide to show anything. Other data: fewer images or another size "
        "than the paper's, hence no verdict. Not judged: settings, seconds of another machine, and "
        "Table VI, whose dataset and architecture the paper does not name."
    )


def draw(table: pd.DataFrame) -> plt.Figure:
    """Heat map of the judged numbers that have a dataset and an architecture.

    One square per number, coloured by its verdict; in it the difference (ours − paper; of
    percentages in points), for ratios of times ours / paper. Where the paper has no number, there
    is no square. Lines, datasets and architectures of which nothing was run are left out.
    """
    cells = table[(table["architecture"] != "") & (table["verdict"] != NOT_JUDGED)]
    cells, unrun = _without_unrun(cells)
    if cells.empty:
        return sentence_figure("Not run: what the paper has numbers of.")
    ratios = cells["forget_ratio"].map(lambda r: f", {percent(r)}", na_action="ignore").fillna("")
    cells = cells.assign(
        line=cells["table"].str.replace("Table ", "") + " – " + cells["quantity"] + ratios,
        text=[_deviation(row) for row in cells.itertuples()],
    )
    datasets, architectures = (list(dict.fromkeys(cells[axis])) for axis in KEY[1:3])
    lines = list(dict.fromkeys(cells["line"]))
    columns = pd.MultiIndex.from_product([datasets, architectures])
    wide = len(columns) > FEW
    size = (PAGE if wide else 0.65 * PAGE, 1.3 + 0.19 * len(lines))
    figure, axis = plt.subplots(figsize=size)
    for row in cells.itertuples():
        x, y = columns.get_loc((row.dataset, row.architecture)), lines.index(row.line)
        color = VERDICTS[row.verdict]
        axis.add_patch(plt.Rectangle((x, y), 1, 1, color=color, ec="white", lw=1.2))
        wrong = row.verdict == NOT_REPRODUCED  # told apart without colour, too
        style = {"color": "white", "weight": "bold"} if wrong else {"color": "0.1"}
        axis.text(x + 0.5, y + 0.53, row.text, ha="center", va="center", fontsize=6, **style)
    axis.set(xlim=(0, len(columns)), ylim=(len(lines), 0))
    names = columns.get_level_values(1).map(ARCHITECTURES)
    axis.set_xticks(np.arange(len(columns)) + 0.5, names, rotation=90 if wide else 0)
    axis.set_yticks(np.arange(len(lines)) + 0.5, lines, fontsize=6.5)
    for place, dataset in enumerate(datasets):
        left = place * len(architectures)
        axis.text(left + len(architectures) / 2, -0.35, DATASETS[dataset], ha="center", va="bottom")
        axis.axvline(left, color="0.4", linewidth=0.8)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    totals = cells["verdict"].value_counts()
    shown = [verdict for verdict in VERDICTS if verdict in totals]
    handles = [plt.Rectangle((0, 0), 1, 1, color=VERDICTS[verdict]) for verdict in shown]
    labels = [f"{verdict} ({totals[verdict]})" for verdict in shown]
    figure.legend(handles, labels, loc="outside upper center", ncols=len(shown), handlelength=1.2)
    label_axes(figure, "Ours − paper, of percentages in points; × ours / paper")
    say_below(figure, f"Not run, not drawn: {unrun} of the paper's numbers." if unrun else "")
    return figure


def _without_unrun(cells: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The cells without quantities, datasets and architectures of which nothing was run."""
    kept = cells
    for axes in (["table", "quantity", "forget_ratio"], ["dataset"], ["architecture"]):
        run = (kept["verdict"] != NOT_RUN).groupby([kept[axis] for axis in axes], dropna=False)
        kept = kept[run.transform("any")]
    return kept, len(cells) - len(kept)


def _deviation(row) -> str:
    if pd.isna(row.ours):
        return ""
    if row.unit == "×":
        return f"×{row.ours / row.paper:.2f}"
    return _signed(row.difference, 1 if row.unit == "%" else 2)


def _signed(difference: float, decimals: int) -> str:
    rounded = round(difference, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", MINUS) if rounded else f"{0:.{decimals}f}"


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """The scorecard as text; what is not there is a dash."""
    numbers = {"paper": "paper", "ours": "ours", "low": "95 % from", "high": "to"}
    units = [DECIMALS[unit] for unit in table["unit"]]
    text = table[["table", "dataset", "architecture"]].replace("", ABSENT)
    ratios = table["forget_ratio"].map(percent, na_action="ignore")
    text["forget ratio"] = ratios.astype(object).fillna(ABSENT)  # of none at all, they are numbers
    text["quantity"] = table["quantity"].replace("", ABSENT)
    text["verdict"] = table["verdict"]
    text["unit"] = table["unit"].replace("", ABSENT)
    for column, label in numbers.items():
        text[label] = [
            f"{value:.{decimals}f}".replace("-", MINUS) if pd.notna(value) else ABSENT
            for value, decimals in zip(table[column], units, strict=True)
        ]
    text["difference"] = [
        _signed(value, decimals) if pd.notna(value) else ABSENT
        for value, decimals in zip(table["difference"], units, strict=True)
    ]
    return text.assign(seeds=table["seeds"].astype(str))
