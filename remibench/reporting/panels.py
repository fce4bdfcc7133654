"""Elements that figures share: panels, grouped bars and curves, at column or page width."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import Results, count_seeds, percent
from remibench.reporting import style

COLUMN = 3.5  # inches: one column of a two-column page
PAGE = 7.0  # both
GROUP = ["dataset", "architecture"]
CURVE_COLUMNS = [*GROUP, "curve", "seed", "epoch", "mf_forget", "mf_out_of_sample", "steps"]
WIDE = 30  # bars that fit on half a page
BARS = 0.84  # of a group's width
FEW_SEEDS = 5  # up to which every seed is drawn
TICK = {  # the rate on test images, on a bar of any colour
    "color": "white",
    "linewidth": 1.4,
    "path_effects": [Stroke(linewidth=3.0, foreground=style.SUBSETS["test"].color), Normal()],
}


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
    datasets: Sequence[str], architectures: Sequence[str]
) -> tuple[Figure, list[tuple[plt.Axes, str, str]]]:
    """Make a panel for every cell, datasets below each other, on the same axes.

    Args:
        datasets, architectures: The cells of the tree.

    Returns:
        The figure, and every panel with its dataset and architecture.
    """
    height = 1.6 if len(architectures) > 1 else 2.2
    figure, axes = page(len(datasets), len(architectures), height, sharex=True, sharey=True)
    cells = [(dataset, architecture) for dataset in datasets for architecture in architectures]
    return figure, [(axis, *cell) for axis, cell in zip(axes.flat, cells, strict=True)]


def ratio_or_cell_page(
    results: Results, height: float, **options: object
) -> tuple[Figure, list[tuple[plt.Axes, tuple[str, str, float], str]], str]:
    """Make a panel for every forget ratio of one cell, or of several for every cell at one ratio.

    Args:
        results: The results; of several cells, the ratio is the main one.
        height: Height of a row, in inches.
        options: Options of ``plt.subplots``.

    Returns:
        The figure; every panel with its dataset, architecture and forget ratio, and with its title
        without numbers of seeds; and what the panels have in common, a phrase.
    """
    names, architectures, ratios = results.names, results.architectures, results.ratios
    several = len(names) * len(architectures) > 1
    grid = [[(names[0], architectures[0], ratio) for ratio in ratios]]
    common = style.cell_label(names[0], architectures[0])
    if several:
        grid = [[(d, a, results.main_ratio) for a in architectures] for d in names]
        common = f"{percent(results.main_ratio)} forgotten"
    figure, axes = page(len(grid), len(grid[0]), height, **options)
    cells = [cell for line in grid for cell in line]
    titles = [style.cell_label(d, a) if several else f"{percent(r)} forgotten" for d, a, r in cells]
    return figure, list(zip(axes.flat, cells, titles, strict=True)), common


def label_axes(figure: Figure, x: str = "", y: str = "") -> None:
    """Name the axes of all panels at once, with units, in the size of the axes' labels.

    A label below the panels that is wider than the figure is broken, which adds to its height.
    """
    size = plt.rcParams["axes.labelsize"]
    if y:
        figure.supylabel(y, fontsize=size)
    if x:
        lines = [part for line in x.split("\n") for part in _broken(figure, line)]
        figure.set_figheight(figure.get_figheight() + 0.16 * (len(lines) - 1 - x.count("\n")))
        figure.supxlabel("\n".join(lines), fontsize=size)


def _broken(figure: Figure, sentence: str) -> list[str]:
    """The lines of a sentence that is as wide as a figure."""
    width = int(figure.get_figwidth() / 0.062)  # inches, at 8 points
    return textwrap.wrap(sentence, width, break_on_hyphens=False)


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
    panel_title(axis, style.cell_label(dataset, architecture), counts)


def panel_title(axis: plt.Axes, title: str, counts: Sequence[int]) -> None:
    """Title of a panel with its numbers of seeds, on two lines where it is as wide as its panel."""
    if len(counts):
        title += f" (n = {'–'.join(map(str, sorted(set(counts))))})"
    room = axis.get_subplotspec().get_gridspec().ncols
    if room > 2 and len(title) > 108 // room:
        title = title.replace(", ", "\n")
    axis.set_title(title, fontsize=7.5 if room > 2 else None)


def say_not_run(axis: plt.Axes, why: str = "not run") -> None:
    """Write into an empty panel why it is empty."""
    at = {"transform": axis.transAxes, "ha": "center", "va": "center", "color": style.WORDS}
    axis.text(0.5, 0.5, why, **at)


def say_below(figure: Figure, sentence: str) -> None:
    """Write a sentence below the panels, in as many lines as it takes; nothing for none."""
    if not sentence:
        return
    lines = _broken(figure, sentence)
    figure.set_figheight(figure.get_figheight() + 0.16 * len(lines))
    label_axes(figure, "\n".join(filter(None, [figure.get_supxlabel(), *lines])))


def name_missing(labels: Iterable[str], run: Iterable[str]) -> str:
    """Say in a sentence which of these were not run; nothing if all were."""
    present = set(run)
    missing = [label for label in labels if label not in present]
    return f"Not run: {', '.join(missing)}." if missing else ""


def sentence_figure(sentence: str) -> Figure:
    """A figure of one sentence, without axes: why there is nothing to draw."""
    lines = textwrap.wrap(sentence, 55)
    figure = plt.figure(figsize=(COLUMN, 0.2 + 0.16 * len(lines)))
    figure.text(0.02, 0.5, "\n".join(lines), va="center", color=style.WORDS)
    return figure


def interval(
    axis: plt.Axes,
    at: float,
    low: float,
    high: float,
    *,
    color: str,
    vertical: bool = False,
    **line: object,
) -> None:
    """Draw an interval; an arrow's head where it goes on beyond the axis, whose limits are set."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return
    limits = axis.get_ylim() if vertical else axis.get_xlim()
    bottom, top = sorted(limits)
    ends = np.clip([low, high], bottom, top)
    (axis.vlines if vertical else axis.hlines)(at, *ends, color=color, **line)
    heads = ("v", "^") if vertical else ("<", ">")
    for cut, end, head in zip((low < bottom, high > top), ends, heads, strict=True):
        if cut:
            place = (at, end) if vertical else (end, at)
            axis.plot(*place, head, color=color, ms=2.6, mew=0, clip_on=False, zorder=3)


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
    empty: str = "Not run.",
) -> Figure:
    """One panel per dataset, one group of bars per architecture: means, intervals, seeds.

    Args:
        table: Rows with ``dataset``, ``architecture``, ``bar``, ``mean``, ``low``, ``high`` and,
            if there are such, ``paper`` (a diamond) and ``reference`` (a tick).
        values: Rows with ``dataset``, ``architecture``, ``bar``, ``value``: one per seed.
        bars: Bars in order of display. Those that no row has are named below the panels. Through
            every group goes a line at the level of retraining's bar.
        datasets, architectures: The cells of the tree; those without rows say "not run".
        ylabel: Label of the vertical axis, with unit.
        title: What the title of a dataset's panel says behind its name; the number of seeds if
            None.
        top: The largest possible value.
        chance: Level at which a line is drawn.
        empty: The sentence of a figure that has nothing to draw.
    """
    if table.empty:
        return sentence_figure(empty)
    columns = min(2 if len(bars) * len(architectures) <= WIDE else 1, len(datasets))
    rows = -(-len(datasets) // columns)
    width = PAGE if len(datasets) > 1 else COLUMN
    height = 2.45 if len(architectures) == 1 else 2.15 if columns > 1 else 1.75
    shown = [bar for bar in bars if bar.key in set(table["bar"])]
    direct = len(architectures) == 1
    if direct:  # slanted names take height from the panel
        height += 0.03 * max(0, max(len(bar.label) for bar in shown) - 20)
    size = (width, 0.2 + height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, sharey=True)
    width = BARS / len(shown)
    cells = {key: group.set_index("bar") for key, group in table.groupby(GROUP)}
    seeds = dict(list(values.groupby([*GROUP, "bar"])["value"]))
    for axis, dataset in zip(axes.flat, datasets, strict=False):
        for place, architecture in enumerate(architectures):
            cell = cells.get((dataset, architecture))
            if cell is None:
                at = {"ha": "center", "va": "bottom", "color": style.WORDS}
                axis.text(place, 0.03 * top, "not run", **at)
                continue
            if REFERENCE in cell.index:
                level = cell.loc[REFERENCE, "mean"]
                axis.hlines(level, place - 0.46, place + 0.46, **style.retraining())
            for position, bar in enumerate(shown):
                if bar.key in cell.index:
                    at = place + style.dodge(position, len(shown), BARS)
                    points = seeds[(dataset, architecture, bar.key)]
                    _bar(axis, at, width, cell.loc[bar.key], points, bar, top)
        if chance is not None:
            axis.axhline(chance, **style.CHANCE)
        if direct:  # every bar has its name below it
            places = [style.dodge(number, len(shown), BARS) for number in range(len(shown))]
            names = [bar.label for bar in shown]
            axis.set_xticks(places, names, rotation=35, ha="right", rotation_mode="anchor")
        else:
            names = [style.ARCHITECTURES[architecture] for architecture in architectures]
            axis.set_xticks(range(len(architectures)), names)
        axis.set_xlim(-0.5, len(architectures) - 0.5)
        axis.set_ylim(0, 1.04 * top)
        axis.tick_params(axis="x", length=0)
        counts = table.loc[table["dataset"] == dataset, "seeds"]
        cell = style.DATASETS[dataset]
        if direct:
            cell = style.cell_label(dataset, architectures[0])
        told = title(dataset) if title else f"n = {count_seeds(counts)}"
        axis.set_title(f"{cell}\n{told}" if direct else f"{cell}, {told}")
    for axis in axes.flat[len(datasets) :]:
        axis.set_axis_off()
    label_axes(figure, y=ylabel)
    named = [] if direct else shown
    handles: list[Artist] = [plt.Rectangle((0, 0), 1, 1, **_face(bar)) for bar in named]
    labels = [bar.label for bar in named]
    if any(bar.key == REFERENCE for bar in shown):
        handles.append(plt.Line2D([], [], **style.retraining()))
        labels.append("level of retraining")
    if "reference" in table and table["reference"].notna().any():
        handles.append(plt.Line2D([], [], **TICK))
        labels.append("rate on test images")
    if "paper" in table and table["paper"].notna().any():
        handles.append(plt.Line2D([], [], **style.PAPER_POINT))
        labels.append("paper")
    if chance is not None:
        handles.append(plt.Line2D([], [], **style.CHANCE))
        labels.append("guessing")
    if handles:
        legend(figure, handles, labels)
    say_below(figure, name_missing([bar.label for bar in bars], [bar.label for bar in shown]))
    return figure


def _face(bar: Bar) -> dict[str, object]:
    """A bar's face: full, or open: with a hatch, and retraining's."""
    if bar.key == REFERENCE:
        return {"facecolor": "white", "edgecolor": bar.color, "linewidth": 0.9}
    if bar.hatch:
        return {"facecolor": "white", "edgecolor": bar.color, "hatch": bar.hatch, "linewidth": 0.9}
    return {"facecolor": bar.color, "edgecolor": "white", "linewidth": 0}


def _bar(
    axis: plt.Axes, at: float, width: float, row: pd.Series, seeds: pd.Series, bar: Bar, top: float
) -> None:
    axis.bar(at, row["mean"], width * 0.9, **_face(bar))
    if len(seeds) <= FEW_SEEDS:
        axis.plot([at] * len(seeds), seeds, "o", color="white", mec="0.2", mew=0.6, ms=2.2)
    if np.isfinite(row["low"]):
        low, high = np.clip([row["low"], row["high"]], 0, top)
        half = [[row["mean"] - low], [high - row["mean"]]]
        axis.errorbar(at, row["mean"], half, color="0.15", capsize=1.5, linewidth=0.8)
    if np.isfinite(row.get("reference", np.nan)):
        ends = (at - 0.45 * width, at + 0.45 * width)
        axis.hlines(row["reference"], *ends, zorder=3, **TICK)
    if np.isfinite(row.get("paper", np.nan)):
        axis.plot(at, row["paper"], **style.PAPER_POINT, clip_on=False, zorder=5)


@dataclass(frozen=True)
class Curve:
    """One curve of every panel: the rows whose ``curve`` is ``key``."""

    key: object
    label: str
    color: str
    style: str = "-"
    marker: str = "o"


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
    """One panel per cell: MF rate on D_f after every epoch, and on out-of-sample images.

    Args:
        rows: ``dataset``, ``architecture``, ``curve``, ``seed``, ``epoch``, ``mf_forget``,
            ``mf_out_of_sample`` and ``steps``, optimisation steps of an epoch; where they are not
            known of all rows, the horizontal axis has epochs.
        curves: Curves in order of display. Those that no row has are named below the panels.
        datasets, architectures: The cells of the tree; those without rows say "not run".
        ylabel: Label of the vertical axis, with unit.
        xlabel: End of the label of the horizontal axis, behind its unit.
    """
    if rows.empty:
        names = ", ".join(curve.label for curve in curves) or "a method with a guide"
        return sentence_figure(f"Not run: {names}{xlabel}.")
    figure, panels = cell_page(datasets, architectures)
    table = carry_forward(rows, ["mf_forget", "mf_out_of_sample"])
    steps = rows.groupby([*GROUP, "curve"])["steps"].median()
    known = bool(rows["steps"].notna().all())
    bottom = rows[["mf_forget", "mf_out_of_sample"]].min().min()
    for axis, dataset, architecture in panels:
        axis.set_ylim(max(0, np.floor(10 * bottom - 0.5) / 10) - 0.02, 1.04)
        of_cell = _cell(table, dataset, architecture)
        cell_title(axis, dataset, architecture, [] if of_cell.empty else of_cell["seeds"])
        if of_cell.empty:
            say_not_run(axis)
        for curve in curves:
            summary = of_cell[of_cell["curve"] == curve.key]
            if len(summary):
                runs = _cell(rows, dataset, architecture)
                factor = steps[dataset, architecture, curve.key] if known else 1
                _curve(axis, summary, runs[runs["curve"] == curve.key], curve, factor)
    label_axes(figure, f"{'Optimisation steps' if known else 'Epoch'}{xlabel}", ylabel)
    if known:  # a pass over a large forget set has a hundred times the steps of one over a small
        figure.axes[0].set_xscale("symlog", linthresh=1, linscale=0.4)
        figure.axes[0].set_xlim(left=-0.1)
        figure.axes[0].xaxis.set_major_formatter("{x:g}")
    else:
        locator = MaxNLocator(nbins=5, steps=[1, 2, 5, 10], integer=True)
        figure.axes[0].xaxis.set_major_locator(locator)
    shown = [curve for curve in curves if curve.key in set(rows["curve"])]
    line = {"linewidth": 1.5, "ms": 4}
    handles = [
        plt.Line2D([], [], color=c.color, linestyle=c.style, marker=c.marker, **line) for c in shown
    ]
    handles.append(plt.Line2D([], [], color="0.4", linewidth=0.9, linestyle=":"))
    handles.append(plt.Line2D([], [], color="0.4", marker="o", ms=4, linestyle=""))
    words = ["out-of-sample images", "end of a run, or their median"]
    legend(figure, handles, [*(curve.label for curve in shown), *words])
    say_below(figure, name_missing([c.label for c in curves], [c.label for c in shown]))
    return figure


def _cell(table: pd.DataFrame, dataset: str, architecture: str) -> pd.DataFrame:
    return table[(table["dataset"] == dataset) & (table["architecture"] == architecture)]


def _curve(
    axis: plt.Axes, summary: pd.DataFrame, runs: pd.DataFrame, curve: Curve, factor: float
) -> None:
    """Draw a curve over ``factor`` × epoch."""
    look = {"color": curve.color, "linestyle": curve.style}
    end = {"color": curve.color, "marker": curve.marker, "linestyle": "", "mec": "white"}
    end["mew"] = 0.4
    last = runs.sort_values("epoch").groupby("seed").tail(1)
    at = factor * summary["epoch"]
    if len(last) <= FEW_SEEDS:
        for _, run in runs.sort_values("epoch").groupby("seed"):
            axis.plot(factor * run["epoch"], run["mf_forget"], **look, linewidth=0.6, alpha=0.6)
        axis.plot(factor * last["epoch"], last["mf_forget"], **end, ms=3.8)
    else:
        band = (summary["mf_forget_low"], summary["mf_forget_high"])
        axis.fill_between(at, *band, color=curve.color, alpha=0.18, linewidth=0)
        middle = summary[summary["epoch"] >= last["epoch"].median()].iloc[0]
        axis.plot(factor * middle["epoch"], middle["mf_forget"], **end, ms=5)
    axis.plot(at, summary["mf_forget"], **look, linewidth=1.5)
    other = {"color": curve.color, "linestyle": ":", "linewidth": 0.9, "zorder": 1}
    axis.plot(at, summary["mf_out_of_sample"], **other)
