"""Effect of ReMI's stopping rule: two trees, with and without it, paired over seeds.

``remibench stopping WITH WITHOUT OUTPUT``, on results trees or published ones
that share targets and retraining (``config/all_methods.yaml``, ``config/remi_never_stops.yaml``).

A run with the rule ends at the first epoch after which MF calls no larger a share of D_f members
than of out-of-sample images. Without it the same run goes on to ``max_epochs``: equal up to there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from remibench.analysis.gaps import pair
from remibench.analysis.results import BY_METHOD, CELL, Results, count_seeds, in_order, percent
from remibench.analysis.statistics import holm, paired_differences, t_interval
from remibench.analysis.verdicts import JUDGED, margin
from remibench.errors import RemibenchError
from remibench.reporting.html_page import ABSENT
from remibench.reporting.panels import label_axes, legend, page
from remibench.reporting.render import format_gap, readable, use_theme, write_figure, write_table
from remibench.reporting.style import COLORS, MARGIN, METHODS, cell_label, point, retraining

TITLE = "ReMI with and without its stopping rule"
AXES = [*BY_METHOD, "seed"]
SIDES = ("ruled", "unruled")
NAME = "stopping"


def build(ruled: Results, unruled: Results) -> pd.DataFrame:
    """One row per cell, ReMI guide and quantity: both sides' gaps to retraining, and what changes.

    Args:
        ruled, unruled: Results with the stopping rule and without it, otherwise the same runs.

    Returns:
        ``dataset``, ``architecture``, ``forget_ratio``, ``method``, ``quantity`` (a name of
        ``verdicts.JUDGED``); ``ruled_gap`` and ``unruled_gap`` (mean of
        method − retraining, shares) with their 95 % t-intervals ``…_low``, ``…_high``;
        ``difference`` (without − with) with ``low``, ``high``; ``p_holm`` (paired t-test, over
        all rows); ``n`` seeds; ``ruled_epochs``, ``unruled_epochs`` (means), ``met`` (share of
        the runs with the rule that it ended).

    Raises:
        RemibenchError: The trees have no cell in common, their retrained models differ, or ReMI's
            parameters do, other than ``stop: matched`` and ``stop: never``.
    """
    gaps = [_gaps(results) for results in (ruled, unruled)]
    both = gaps[0].merge(gaps[1], on=[*AXES, "quantity"], suffixes=("_ruled", "_unruled"))
    if both.empty:
        raise RemibenchError("the two trees have no ReMI run in common; give the same grid twice")
    differ = both[both["reference_ruled"] != both["reference_unruled"]]
    if len(differ):
        seed = differ["seed"].iloc[0]
        raise RemibenchError(
            f"the trees' retrained models of seed {seed} differ, so their runs are no pairs; make "
            "both with one config but for `unlearning`, on one machine"
        )
    _check_parameters(ruled, unruled)
    ended = ruled.endings.set_index(AXES)
    epochs = {"ruled": ended["epoch"], "unruled": unruled.endings.set_index(AXES)["epoch"]}
    records = []
    for key, rows in both.groupby([*BY_METHOD, "quantity"], sort=False):
        keys = pd.MultiIndex.from_frame(rows[AXES])
        record = dict(zip([*BY_METHOD, "quantity"], key, strict=True)) | {"n": len(rows)}
        for side in SIDES:
            low, high = t_interval(rows[f"gap_{side}"].to_numpy())
            record[f"{side}_gap"] = rows[f"gap_{side}"].mean()
            record |= {f"{side}_low": low, f"{side}_high": high}
            record[f"{side}_epochs"] = epochs[side].reindex(keys).mean()
        differences = paired_differences(rows["gap_unruled"], rows["gap_ruled"])
        low, high = t_interval(differences)
        record |= {"difference": differences.mean(), "low": low, "high": high}
        varies = len(differences) > 1 and np.ptp(differences) > 0
        p = stats.ttest_1samp(differences, 0).pvalue if varies else np.nan
        records.append({**record, "p": p, "met": ended["met"].reindex(keys).mean()})
    table = pd.DataFrame(records)
    return table.assign(p_holm=holm(table.pop("p").to_numpy()))


def _check_parameters(ruled: Results, unruled: Results) -> None:
    """Refuse trees that differ in more of ReMI than in the rule, or not in the rule."""
    keys = [*BY_METHOD, "parameter"]
    tables = []
    for results, stop in ((ruled, "matched"), (unruled, "never")):
        table = results.hyperparameters
        values = table[table["method"].str.startswith("remi_")].set_index(keys)["value"]
        rules = values[values.index.get_level_values("parameter") == "stop"]
        if not (rules == stop).all():
            raise RemibenchError(
                f"ReMI has `stop: {rules[rules != stop].iloc[0]}` where `{stop}` is expected; give "
                "the tree with the stopping rule first"
            )
        tables.append(values.drop(rules.index).astype(str))
    one, other = tables[0].align(tables[1], join="inner")
    if (differ := one.index[one != other]).size:
        cell = ", ".join(map(str, differ[0]))
        raise RemibenchError(f"the trees differ in more than the rule: {cell}; make both alike")


def _gaps(results: Results) -> pd.DataFrame:
    """ReMI's gap to retraining of every quantity and seed, and retraining's value."""
    names = {(quantity.metric, quantity.subset): name for name, quantity in JUDGED.items()}
    keys = pd.MultiIndex.from_frame(results.evaluation[["metric", "subset"]])
    pairs = pair(results.evaluation[keys.isin(list(names))]).dropna(subset=["reference"])
    pairs = pairs[pairs["method"].str.startswith("remi_")]
    named = [names[key] for key in zip(pairs["metric"], pairs["subset"], strict=True)]
    pairs = pairs.assign(quantity=named).rename(columns={"difference": "gap"})
    place = list(JUDGED).index
    pairs = pairs.sort_values("quantity", kind="stable", key=lambda names: names.map(place))
    return pairs[[*AXES, "quantity", "reference", "gap"]]


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell, guide and quantity."""
    text = table[BY_METHOD].copy()
    text["quantity"] = [JUDGED[name].label for name in table["quantity"]]
    sides = {"with the rule": "ruled_gap ruled_low ruled_high"}
    sides["without"] = "unruled_gap unruled_low unruled_high"
    sides["without − with"] = "difference low high"
    for label, columns in sides.items():
        text[label] = [
            format_gap(*row, JUDGED[quantity])
            for quantity, row in zip(
                table["quantity"], table[columns.split()].to_numpy(), strict=True
            )
        ]
    p = table["p_holm"].map("{:.3f}".format, na_action="ignore").astype(object)
    text["p (Holm)"] = p.replace("0.000", "< .001").fillna(ABSENT)
    text["epochs"] = [
        f"{row.ruled_epochs:.1f} → {row.unruled_epochs:.1f}" for row in table.itertuples()
    ]
    return readable(text.assign(**{"rule met": table["met"].map(percent)}))


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    return (
        f"ReMI − retraining, mean over {count_seeds(table['n'])} ± half-width of the 95 % "
        "t-interval: MIA rate as a share, accuracies in points. “without − with”: paired over "
        "seeds, with a paired t-test, Holm's correction over all rows. “rule met”: share of runs "
        f"that the rule ended. {remarks}"
    )


def draw(table: pd.DataFrame) -> Figure:
    """A column per guide; of every cell MIA rate above, test accuracy below; both sides."""
    guides = in_order(table["method"])
    shown = {"mia": "White-box MIA rate on $D_f$", "test": "Accuracy on test images (points)"}
    cells = list(table[CELL[:2]].drop_duplicates().itertuples(index=False, name=None))
    ratios = sorted(table["forget_ratio"].unique())
    figure, axes = page(len(shown) * len(cells), len(guides), 1.9, sharex=True, sharey="row")
    lines = [(cell, quantity) for cell in cells for quantity in shown]
    for line, (cell, quantity) in enumerate(lines):
        scale = JUDGED[quantity].scale
        width = scale * margin(JUDGED[quantity].metric)
        axes[line, 0].set_ylabel(f"{shown[quantity]}\nReMI − retraining")
        for axis, method in zip(axes[line], guides, strict=True):
            selected = table[[*CELL[:2], "method", "quantity"]] == [*cell, method, quantity]
            rows = table[selected.all(axis=1)].set_index("forget_ratio")
            axis.axhspan(-width, width, color=MARGIN, zorder=0, linewidth=0)
            axis.set_xticks(range(len(ratios)), [percent(ratio) for ratio in ratios])
            axis.set_xlim(-0.5, len(ratios) - 0.5)
            _panel(axis, rows, ratios, scale)
            if quantity == "mia":
                title = f"{METHODS[method]} (n = {count_seeds(rows['n'])})"
                axis.set_title(f"{cell_label(*cell)}\n{title}" if len(cells) > 1 else title)
    label_axes(figure, "Share of the training images forgotten")
    look = {"marker": "o", "ms": 4, "linestyle": "", "color": "0.3"}
    handles = [plt.Line2D([], [], **look), plt.Line2D([], [], mfc="white", **look)]
    handles.append(plt.Rectangle((0, 0), 1, 1, color=MARGIN))
    handles.append(plt.Line2D([], [], **retraining()))
    legend(figure, handles, ["with the stopping rule", "without it", "margin", "retraining"])
    return figure


def _panel(axis: plt.Axes, rows: pd.DataFrame, ratios: list[float], scale: float) -> None:
    for place, ratio in enumerate(ratios):
        if ratio not in rows.index:
            continue
        row = rows.loc[ratio]
        color = COLORS[row["method"]]
        for side, shift, filled in zip(SIDES, (-0.13, 0.13), (True, False), strict=True):
            ends = [scale * row[f"{side}_{end}"] for end in ("low", "high")]
            if np.isfinite(ends).all():
                axis.vlines(place + shift, *ends, color=color, linewidth=0.9)
            at = scale * row[f"{side}_gap"]
            axis.plot(place + shift, at, **point(row["method"], filled=filled), zorder=3)
    axis.axhline(0, **retraining(zorder=1))


def write(ruled: Path, unruled: Path, output: Path, plugins: Sequence[str | Path] = ()) -> None:
    """Write table and figure of two trees.

    Args:
        ruled, unruled: The trees with and without the rule.
        output: The folder of the files, ``stopping.csv`` and so on.
        plugins: The plug-in folders whose code may run.

    Raises:
        RemibenchError: A tree cannot be read or names other plug-ins, or the two share no cell.
    """
    trees = [Results.of_tree(folder, plugins) for folder in (ruled, unruled)]
    table = build(*trees)
    use_theme()
    paths = {suffix: output / f"{NAME}.{suffix}" for suffix in ("csv", "tex", "html")}
    write_table(table, layout(table), TITLE, explain(table, trees[0].remarks), **paths)
    write_figure(draw(table), svg=output / f"{NAME}.svg", png=output / f"{NAME}.png")
