"""Elements that figures share: panels, grouped bars and curves, at column or page width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from remibench.analysis.results import count_seeds

COLUMN = 3.5  # inches: one column of a two-column page
PAGE = 7.0  # both
PAPER = "#d55e00"  # the paper's numbers; no method has this colour
DIAMOND = {"marker": "D", "linestyle": "", "color": "none", "mec": PAPER, "mew": 1.1, "ms": 4.5}
GROUP = ["dataset", "architecture"]
CURVE_COLUMNS = [*GROUP, "curve", "seed", "epoch", "mf_forget", "mf_out_of_sample"]
FEW_SEEDS = 5  # up to which every seed is drawn


@dataclass(frozen=True)
class Bar:
    """One bar of every group: the rows whose ``bar`` is ``key``."""

    key: str
    label: str
    color: str
    hatch: str = ""


def page(rows: int, columns: int, height: float, **options: object) -> tuple[Figure, np.ndarray]:
    """Make a grid of panels, a column wide if it is one panel wide, else a page.

    Args:
        rows, columns: Numbers of rows and columns of panels.
        height: Height of a row, in inches.
        options: Options of ``plt.subplots``.
    """
    width = COLUMN if columns == 1 else PAGE
    size = (width, 0.2 + height * rows)
    return plt.subplots(rows, columns, figsize=size, squeeze=False, **options)


def cell_page(
    datasets: Sequence[str], architectures: Sequence[str], heights: tuple[float, float] = (2.2, 1.6)
) -> tuple[Figure, list[tuple[plt.Axes, str, str]]]:
    """Make a panel for every cell, datasets below each other, on the same axes.

    Args:
        datasets, architectures: The cells of the tree.
        heights: Heights of a row in inches: where the page is one panel wide and where it is wider.

    Returns:
        The figure, and every panel with its dataset and architecture.
    """
    height = heights[len(architectures) > 1]
    figure, axes = page(len(datasets), len(architectures), height, sharex=True, sharey=True)
    cells = [(dataset, architecture) for dataset in datasets for architecture in architectures]
    return figure, [(axis, *cell) for axis, cell in zip(axes.flat, cells, strict=True)]


def label_axes(figure: Figure, x: str = "", y: str = "") -> None:
    """Name the axes of all panels at once, with units, in the size of the axes' labels."""
    size = plt.rcParams["axes.labelsize"]
    if y:
        figure.supylabel(y, fontsize=size)
    if x:
        figure.supxlabel(x, fontsize=size)


def legend(figure: Figure, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """Put the legend above the panels, as wide as there is room, and add its height to theirs."""
    longest = max(len(label) for label in labels)
    fitting = int(figure.get_figwidth() / (0.055 * longest + 0.5))  # inches, at 7.5 points
    rows = -(-len(labels) // max(1, min(fitting, len(labels))))
    columns = -(-len(labels) // rows)
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.16 * rows)
    layout = {"ncols": columns, "columnspacing": 1.2, "handlelength": 1.8, "borderpad": 0.1}
    figure.legend(handles, labels, loc="outside upper center", **layout)


def cell_title(axis: plt.Axes, dataset: str, architecture: str, counts: Sequence[int]) -> None:
    """Title of a cell's panel, on two lines where it is as wide as its panel."""
    title = f"{dataset}, {architecture}"
    if len(counts):
        title += f" (n = {'–'.join(str(count) for count in sorted(set(counts)))})"
    room = axis.get_subplotspec().get_gridspec().ncols
    if room > 2 and len(title) > 108 // room:
        title = title.replace(", ", "\n")
    axis.set_title(title, fontsize=7.5 if room > 2 else None)


def say_not_run(axis: plt.Axes, why: str = "not run") -> None:
    """Write into an empty panel why it is empty."""
    axis.text(0.5, 0.5, why, transform=axis.transAxes, ha="center", va="center", color="0.35")


def labels_of(keys: Mapping[str, str], run: Sequence[str]) -> list[str]:
    """Labels of a legend; what was not run at all says so."""
    return [label if key in run else f"{label}: not run" for key, label in keys.items()]


def draw_bars(
    table: pd.DataFrame,
    values: pd.DataFrame,
    bars: Sequence[Bar],
    datasets: Sequence[str],
    architectures: Sequence[str],
    *,
    ylabel: str,
    title: Callable[[str], str] | None = None,
    top: float = 1.0,
    chance: float | None = None,
) -> Figure:
    """One panel per dataset, one group of bars per architecture: means, intervals, seeds.

    Args:
        table: Rows with ``dataset``, ``architecture``, ``bar``, ``mean``, ``low``, ``high`` and,
            if there are such, ``paper`` (a diamond) and ``reference`` (a black tick).
        values: Rows with ``dataset``, ``architecture``, ``bar``, ``value``: one per seed.
        bars: Bars in order of display. Those that no row has are named in the legend alone.
        datasets, architectures: The cells of the tree; those without rows say "not run".
        ylabel: Label of the vertical axis, with unit.
        title: Title of a dataset's panel; the dataset's name and number of seeds if None.
        top: The largest possible value.
        chance: Level at which a line is drawn.
    """
    columns = min(2, len(datasets))
    rows = -(-len(datasets) // columns)
    figure, axes = page(rows, columns, 2.15, sharey=True)
    shown = [bar for bar in bars if bar.key in set(table["bar"])]
    width = 0.84 / max(len(shown), 1)
    cells = {key: group.set_index("bar") for key, group in table.groupby(GROUP)}
    seeds = dict(list(values.groupby([*GROUP, "bar"])["value"]))
    for axis, dataset in zip(axes.flat, datasets, strict=False):
        for place, architecture in enumerate(architectures):
            cell = cells.get((dataset, architecture))
            if cell is None:
                axis.text(place, 0.03 * top, "not run", ha="center", va="bottom", color="0.35")
                continue
            for position, bar in enumerate(shown):
                at = place + (position - (len(shown) - 1) / 2) * width
                if bar.key in cell.index:
                    points = seeds[(dataset, architecture, bar.key)]
                    _bar(axis, at, width, cell.loc[bar.key], points, bar, top)
                else:
                    axis.text(
                        at, 0.03 * top, "not run", rotation=90, ha="center", va="bottom",
                        color="0.35", fontsize="x-small",
                    )  # fmt: skip
        if chance is not None:
            axis.axhline(chance, color="0.3", linewidth=0.8, linestyle=(0, (4, 3)))
        axis.set_xticks(range(len(architectures)), architectures)
        axis.set_xlim(-0.5, len(architectures) - 0.5)
        axis.set_ylim(0, 1.04 * top)
        axis.tick_params(axis="x", length=0)
        counts = table.loc[table["dataset"] == dataset, "seeds"]
        axis.set_title(title(dataset) if title else f"{dataset}, n = {count_seeds(counts)}")
    for axis in axes.flat[len(datasets) :]:
        axis.set_axis_off()
    label_axes(figure, y=ylabel)
    if table.empty:  # the panels say so, and there is nothing to explain
        return figure
    handles: list[Artist] = [
        plt.Rectangle((0, 0), 1, 1, facecolor=bar.color, hatch=bar.hatch, edgecolor="white")
        for bar in bars
    ]
    labels = labels_of({bar.key: bar.label for bar in bars}, [bar.key for bar in shown])
    if "reference" in table and table["reference"].notna().any():
        handles.append(plt.Line2D([], [], color="black", linewidth=1.6))
        labels.append("rate on test images")
    if "paper" in table and table["paper"].notna().any():
        handles.append(plt.Line2D([], [], **DIAMOND))
        labels.append("paper, full data")
    if chance is not None:
        handles.append(plt.Line2D([], [], color="0.3", linewidth=0.8, linestyle=(0, (4, 3))))
        labels.append("guessing")
    legend(figure, handles, labels)
    return figure


def _bar(
    axis: plt.Axes, at: float, width: float, row: pd.Series, seeds: pd.Series, bar: Bar, top: float
) -> None:
    face = {"color": bar.color, "hatch": bar.hatch, "edgecolor": "white", "linewidth": 0}
    axis.bar(at, row["mean"], width * 0.9, **face)
    if len(seeds) <= FEW_SEEDS:
        axis.plot([at] * len(seeds), seeds, "o", color="white", mec="0.2", mew=0.6, ms=2.2)
    if np.isfinite(row["low"]):
        low, high = np.clip([row["low"], row["high"]], 0, top)
        half = [[row["mean"] - low], [high - row["mean"]]]
        axis.errorbar(at, row["mean"], half, color="0.15", capsize=1.5, linewidth=0.8)
    if np.isfinite(row.get("reference", np.nan)):
        ends = (at - 0.45 * width, at + 0.45 * width)
        casing = [Stroke(linewidth=2.6, foreground="white"), Normal()]  # seen on a dark bar, too
        axis.hlines(row["reference"], *ends, color="black", linewidth=1.6, path_effects=casing)
    if np.isfinite(row.get("paper", np.nan)):
        axis.plot(at, row["paper"], **DIAMOND, clip_on=False, zorder=5)


@dataclass(frozen=True)
class Curve:
    """One curve of every panel: the rows whose ``curve`` is ``key``."""

    key: object
    label: str
    color: str
    style: str = "-"


def carry_forward(rows: pd.DataFrame, values: Sequence[str]) -> pd.DataFrame:
    """Quartiles and mean over seeds per epoch; a run that has ended keeps its last value.

    A stopped run's model stays as it is, and a mean over the runs that are still going would be one
    over the difficult seeds alone.

    Args:
        rows: ``dataset``, ``architecture``, ``curve``, ``seed``, ``epoch`` and ``values``.
        values: Columns to summarise.

    Returns:
        One row per cell, curve and epoch: ``seeds``, ``running`` (the runs that have not ended
        before) and, for every value, its mean, ``…_low`` and ``…_high`` (quartiles).
    """
    tables = []
    for key, cell in rows.groupby([*GROUP, "curve"], sort=False):
        wide = cell.pivot(index="epoch", columns="seed", values=list(values))  # noqa: PD010
        wide = wide.sort_index()
        runs = wide[values[0]]
        table = pd.DataFrame(dict(zip([*GROUP, "curve"], key, strict=True)), index=wide.index)
        table = table.assign(seeds=runs.shape[1], running=runs.notna().sum(axis=1))
        for value in values:
            filled = wide[value].ffill()
            table[value] = filled.mean(axis=1)
            table[f"{value}_low"] = filled.quantile(0.25, axis=1)
            table[f"{value}_high"] = filled.quantile(0.75, axis=1)
        tables.append(table.reset_index())
    return pd.concat(tables, ignore_index=True)


def draw_curves(
    rows: pd.DataFrame,
    curves: Sequence[Curve],
    datasets: Sequence[str],
    architectures: Sequence[str],
    *,
    ylabel: str,
    xlabel: str,
) -> Figure:
    """One panel per cell: MF accuracy on D_f after every epoch, and on out-of-sample images.

    Args:
        rows: ``dataset``, ``architecture``, ``curve``, ``seed``, ``epoch``, ``mf_forget`` and
            ``mf_out_of_sample``.
        curves: Curves in order of display. Those that no row has are named in the legend alone.
        datasets, architectures: The cells of the tree; those without rows say "not run".
        ylabel, xlabel: Labels of the axes, with units.
    """
    figure, panels = cell_page(datasets, architectures)
    table = carry_forward(rows, ["mf_forget", "mf_out_of_sample"]) if len(rows) else rows
    for axis, dataset, architecture in panels:
        axis.set_ylim(-0.02, 1.04)
        of_cell = _cell(table, dataset, architecture)
        cell_title(axis, dataset, architecture, [] if of_cell.empty else of_cell["seeds"])
        if of_cell.empty:
            say_not_run(axis)
        for curve in curves:
            summary = of_cell[of_cell["curve"] == curve.key]
            if len(summary):
                runs = _cell(rows, dataset, architecture)
                _curve(axis, summary, runs[runs["curve"] == curve.key], curve)
    label_axes(figure, xlabel, ylabel)
    first = panels[0][0]
    first.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True))
    if rows.empty:  # the panels say so, and there is nothing to explain
        first.set_xticks([])
        return figure
    line = {"linewidth": 1.5, "marker": "o", "ms": 3.5}
    handles = [plt.Line2D([], [], color=c.color, linestyle=c.style, **line) for c in curves]
    handles.append(plt.Line2D([], [], color="0.4", linewidth=0.9, linestyle=":"))
    labels = labels_of({c.key: c.label for c in curves}, list(rows["curve"].unique()))
    legend(figure, handles, [*labels, "out-of-sample images"])
    return figure


def _cell(table: pd.DataFrame, dataset: str, architecture: str) -> pd.DataFrame:
    return table[(table["dataset"] == dataset) & (table["architecture"] == architecture)]


def _curve(axis: plt.Axes, summary: pd.DataFrame, runs: pd.DataFrame, curve: Curve) -> None:
    style = {"color": curve.color, "linestyle": curve.style}
    last = runs.sort_values("epoch").groupby("seed").tail(1)
    if len(last) <= FEW_SEEDS:
        for _, run in runs.sort_values("epoch").groupby("seed"):
            axis.plot(run["epoch"], run["mf_forget"], **style, linewidth=0.6, alpha=0.6)
        axis.plot(last["epoch"], last["mf_forget"], "o", color=curve.color, ms=2.5)
    else:
        band = (summary["mf_forget_low"], summary["mf_forget_high"])
        axis.fill_between(summary["epoch"], *band, color=curve.color, alpha=0.18, linewidth=0)
        middle = summary[summary["epoch"] >= last["epoch"].median()].iloc[0]
        axis.plot(middle["epoch"], middle["mf_forget"], "o", color=curve.color, ms=3.5)
    axis.plot(summary["epoch"], summary["mf_forget"], **style, linewidth=1.5)
    other = {"color": curve.color, "linestyle": ":", "linewidth": 0.9, "zorder": 1}
    axis.plot(summary["epoch"], summary["mf_out_of_sample"], **other)
