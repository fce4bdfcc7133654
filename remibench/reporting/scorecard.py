"""The scorecard: every published number beside ours, with a verdict by a fixed rule.

The rule, and why it is this one, is in docs/statistics.md; in short, first that applies:

- *not judged*: a setting, not a result (Table II); seconds of another machine (Table V); a number
  whose dataset and architecture the paper does not name (Table VI).
- *not run*: we have no such cell.
- *other data*: we have it, but on fewer images or of another size than the paper's.
- *reproduced*: the paper's number lies in our 95 % interval, widened by the paper's rounding, and
  half that interval is no wider than the tolerance (or it would agree with anything).
- *within ±*: it does not, but the difference is at most the tolerance.
- *inconclusive*: it lies in our interval, but that is too wide, and the difference too large.
- *not reproduced*: none of these.

With one seed there is no interval, and the verdict is at best *within ±*. Numbers of images are
exact: equal is *reproduced*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from remibench.analysis.paper import COMPARED, KEY, WHOLE
from remibench.analysis.results import Results, percent
from remibench.analysis.statistics import summarise
from remibench.artifacts.tables import write_csv
from remibench.reporting.interactive import ABSENT
from remibench.reporting.render import write_formatted, write_page

TITLE = "Scorecard: the paper's numbers beside ours"
REPRODUCED, WITHIN, INCONCLUSIVE = "reproduced", "within ±", "inconclusive"
NOT_REPRODUCED, OTHER_DATA = "not reproduced", "other data"
NOT_RUN, NOT_JUDGED = "not run", "not judged"
VERDICTS = {  # in the order of display → colour in the heat map, Okabe and Ito's or grey
    REPRODUCED: "#009e73",
    WITHIN: "#56b4e9",
    INCONCLUSIVE: "#f0e442",
    NOT_REPRODUCED: "#d55e00",
    OTHER_DATA: "#cccccc",
    NOT_RUN: "#f3f3f3",
    NOT_JUDGED: "#f3f3f3",
}
IMAGE_SIZE = 64  # pixels, the paper's
PAGE = 7.0  # inches
COLUMNS = [
    *KEY,
    "unit",
    "published",
    "paper",
    "ours",
    "low",
    "high",
    "difference",
    "tolerance",
    "seeds",
    "source",
    "verdict",
]


@dataclass(frozen=True)
class Kind:
    """How numbers of a kind are compared.

    Attributes:
        unit: Of the compared numbers.
        decimals: That the paper prints; half a unit of the last is its rounding.
        tolerance: Greatest difference of *within ±*. With ``log`` a factor. NaN: the number of
            classes, since every class is rounded up.
        log: Compared by their ratio; means are geometric.
        exact: The same for all seeds: equal or not.
        judged: Whether there can be a verdict.
    """

    unit: str
    decimals: int
    tolerance: float = np.nan
    log: bool = False
    exact: bool = False
    judged: bool = True


KINDS = {
    "accuracy": Kind("%", 1, tolerance=2),
    "rate": Kind("share", 3, tolerance=0.05),
    "effectiveness": Kind("%", 2, tolerance=5),
    "images": Kind("images", 0, exact=True),
    "ratio": Kind("×", 3, tolerance=2, log=True),
    "seconds": Kind("s", 3, judged=False),
    "cross_method": Kind("%", 1, judged=False),
    "setting": Kind("", 4, judged=False),
}
DECIMALS = {"%": 1, "share": 3, "images": 0, "×": 2, "s": 0, "": 4}  # of text, by unit


def judge(
    paper: float,
    ours: float,
    low: float,
    high: float,
    *,
    tolerance: float,
    rounding: float = 0.0,
    exact: bool = False,
) -> str:
    """The verdict on a number that was run on the paper's data.

    Args:
        paper, ours: The published number and our mean.
        low, high: Our 95 % interval; NaN for one seed.
        tolerance: Greatest difference of *within ±*.
        rounding: Half a unit of the last digit that the paper prints.
        exact: The number does not vary.
    """
    slack = rounding + 1e-9  # our own numbers are floats
    if exact and abs(ours - paper) <= slack:
        return REPRODUCED
    covered = not exact and low - slack <= paper <= high + slack  # False for NaN
    if covered and (high - low) / 2 <= tolerance:
        return REPRODUCED
    if abs(ours - paper) <= tolerance + 1e-9:
        return WITHIN
    return INCONCLUSIVE if covered else NOT_REPRODUCED


def build(results: Results) -> pd.DataFrame:
    """One row per published number, each exactly once.

    Returns:
        ``table``, ``dataset`` and ``architecture`` (the paper's names; "" where it names none or
        means all), ``forget_ratio``, ``quantity``, ``unit``, ``published`` (as printed), ``paper``
        (the same, or for Table V the ratio that is compared), ``ours`` (mean over seeds; geometric
        for ratios), ``low``, ``high`` (95 % t-interval), ``difference`` (ours − paper),
        ``tolerance``, ``seeds``, ``source`` (our dataset), ``verdict``.
    """
    chosen = choose_datasets(results)
    translated = _translate(results, chosen)
    sides = [compared(translated) for compared in COMPARED]
    published, ours = (pd.concat(side, ignore_index=True) for side in zip(*sides, strict=True))
    ours = ours.dropna(subset="value")
    ours["value"] = ours["value"].mask(_is_log(ours), np.log2(ours["value"].where(_is_log(ours))))
    table = published.merge(summarise(ours, KEY), on=KEY, how="left", validate="one_to_one")
    table = table.merge(chosen, on="dataset", how="left", validate="many_to_one")
    table["same"] = table["same"].eq(True)  # false where there is none of ours
    table["tolerance"] = [_tolerance(KINDS[row.kind], row.classes) for row in table.itertuples()]
    table["verdict"] = [_verdict(row) for row in table.itertuples()]
    for column in ("mean", "low", "high"):
        table[column] = table[column].mask(_is_log(table), 2.0 ** table[column])
    same_unit = ~table["kind"].isin(["seconds"])
    return table.assign(
        forget_ratio=table["forget_ratio"].replace(WHOLE, np.nan),
        unit=table["kind"].map(lambda kind: KINDS[kind].unit),
        ours=table["mean"],
        difference=(table["mean"] - table["paper"]).where(same_unit),
        seeds=table["seeds"].fillna(0).astype(int),
        source=table["source"].where(table["mean"].notna(), "").fillna(""),
    )[COLUMNS]


def choose_datasets(results: Results) -> pd.DataFrame:
    """Our dataset for each of the paper's: the one that is the same experiment, else the first.

    Returns:
        ``dataset`` (the paper's name), ``source`` (ours), ``same`` (as many training images of the
        same size as in the paper: not a subset, a stand-in or a small copy), ``classes``.
    """
    published = results.published["table1_dataset_statistics"].set_index("dataset")["train"]
    rows = results.datasets[results.datasets["paper_dataset"].notna()]
    rows = rows.astype({"paper_dataset": object})  # of no rows, pandas reads floats
    same = rows["target_train"] == rows["paper_dataset"].map(published)
    rows = rows.assign(same=same & (rows["image_size"] == IMAGE_SIZE))
    rows = rows.sort_values("same", ascending=False, kind="stable").drop_duplicates("paper_dataset")
    rows = rows.rename(columns={"dataset": "source", "paper_dataset": "dataset"})
    return rows[["dataset", "source", "same", "classes"]].reset_index(drop=True)


def _translate(results: Results, chosen: pd.DataFrame) -> Results:
    """The results of the chosen datasets, under the paper's names of them."""
    names = chosen.set_index("source")["dataset"]

    def rename(table: pd.DataFrame) -> pd.DataFrame:
        table = table[table["dataset"].isin(names.index)]
        return table.assign(dataset=table["dataset"].map(names).astype(object))

    return replace(
        results,
        evaluation=rename(results.evaluation),
        datasets=rename(results.datasets),
        hyperparameters=rename(results.hyperparameters),
    )


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

    One square per number, coloured by its verdict; in it the difference (ours − paper), for ratios
    of times ours / paper. Where the paper has no number, there is no square.
    """
    cells = table[(table["architecture"] != "") & (table["verdict"] != NOT_JUDGED)]
    ratios = cells["forget_ratio"].map(lambda r: f", {percent(r)}", na_action="ignore").fillna("")
    cells = cells.assign(
        line=cells["table"].str.replace("Table ", "") + " – " + cells["quantity"] + ratios,
        text=[_deviation(row) for row in cells.itertuples()],
    )
    datasets, architectures = (
        list(dict.fromkeys(table.loc[table[axis] != "", axis])) for axis in KEY[1:3]
    )
    lines = list(dict.fromkeys(cells["line"]))
    columns = pd.MultiIndex.from_product([datasets, architectures])
    figure, axis = plt.subplots(figsize=(PAGE, 1.1 + 0.17 * len(lines)))
    for row in cells.itertuples():
        x, y = columns.get_loc((row.dataset, row.architecture)), lines.index(row.line)
        color = VERDICTS[row.verdict]
        axis.add_patch(plt.Rectangle((x, y), 1, 1, color=color, ec="white", lw=1.2))
        wrong = row.verdict == NOT_REPRODUCED  # told apart without colour, too
        style = {"color": "white", "weight": "bold"} if wrong else {"color": "0.1"}
        axis.text(x + 0.5, y + 0.53, row.text, ha="center", va="center", fontsize=4.8, **style)
    axis.set(xlim=(0, len(columns)), ylim=(len(lines), 0))
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns.get_level_values(1), rotation=90)
    axis.set_yticks(np.arange(len(lines)) + 0.5, lines, fontsize=6.5)
    for place, dataset in enumerate(datasets):
        left = place * len(architectures)
        axis.text(left + len(architectures) / 2, -0.35, dataset, ha="center", va="bottom")
        axis.axvline(left, color="0.4", linewidth=0.8)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    totals = cells["verdict"].value_counts()
    shown = [verdict for verdict in VERDICTS if verdict in totals]
    handles = [plt.Rectangle((0, 0), 1, 1, color=VERDICTS[verdict]) for verdict in shown]
    labels = [f"{verdict} ({totals[verdict]})" for verdict in shown]
    figure.legend(handles, labels, loc="outside upper center", ncols=len(shown), handlelength=1.2)
    return figure


def _deviation(row) -> str:
    if pd.isna(row.ours):
        return ""
    if row.unit == "×":
        return f"×{row.ours / row.paper:.2f}"
    decimals = 1 if row.unit == "%" else 2
    rounded = round(row.difference, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", "−") if rounded else f"{0:.{decimals}f}"


def _verdict(row) -> str:
    kind = KINDS[row.kind]
    if not kind.judged:
        return NOT_JUDGED
    if pd.isna(row.mean):
        return NOT_RUN
    if not row.same:
        return OTHER_DATA
    tolerance, paper, rounding = row.tolerance, row.paper, _rounding(row.published, kind)
    if kind.log:  # row.mean, low and high are logarithms; seconds are rounded by less than 1e-4
        tolerance, paper, rounding = np.log2(tolerance), np.log2(paper), 0.0
    return judge(
        paper,
        row.mean,
        row.low,
        row.high,
        tolerance=tolerance,
        rounding=rounding,
        exact=kind.exact,
    )


def _tolerance(kind: Kind, classes: float) -> float:
    return classes if kind.exact else kind.tolerance


def _is_log(table: pd.DataFrame) -> pd.Series:
    return table["kind"].map(lambda kind: KINDS[kind].log).astype(bool)


def _rounding(published: float, kind: Kind) -> float:
    """Half a unit of the last digit of the table, or of the number where it has more digits."""
    if kind.exact:
        return 0.0
    digits = len(f"{published:.10f}".rstrip("0").partition(".")[2])
    return 0.5 * 10.0 ** -max(digits, kind.decimals)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """The scorecard as text; what is not there is a dash."""
    numbers = {"paper": "paper", "ours": "ours", "low": "95 % from", "high": "to"}
    text = table[["table", "dataset", "architecture"]].replace("", ABSENT)
    ratios = table["forget_ratio"].map(percent, na_action="ignore")
    text["forget ratio"] = ratios.astype(object).fillna(ABSENT)  # of none at all, they are numbers
    text[["quantity", "unit"]] = table[["quantity", "unit"]].replace("", ABSENT)
    for column, label in (numbers | {"difference": "difference"}).items():
        sign = "+" if column == "difference" else ""
        text[label] = [
            f"{value:{sign}.{DECIMALS[unit]}f}" if pd.notna(value) else ABSENT
            for value, unit in zip(table[column], table["unit"], strict=True)
        ]
    return text.assign(seeds=table["seeds"].astype(str), verdict=table["verdict"])
