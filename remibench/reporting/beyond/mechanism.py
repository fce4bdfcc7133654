"""Effect of unlearning on attack scores of forget, retain, test and out-of-sample images.

Made from the per-image scores of the target, of retraining, and of ReMI ended after several
numbers of epochs (candidates of a search, ``config/mechanism.yaml``). Nothing is averaged over
seeds: this is the picture of one run, not a result about the method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from remibench.errors import RemibenchError
from remibench.evaluation.predictions import SUBSETS, Scores
from remibench.reporting.panels import label_axes, legend, page
from remibench.reporting.style import SUBSETS as LOOKS

ATTACKS = {"mf_whitebox": "MF (the guide)", "mia_whitebox": "MIA (the attacker)"}
TRACED = "remi_whitebox"  # the method whose variants are followed
BINS = 25  # of P(member)
COLUMNS = 5  # models whose distributions are drawn, retraining among them


def trace(models: Mapping[str, Scores], epochs: Mapping[str, float], ratio: float) -> pd.DataFrame:
    """The distribution of every attack's P(member), by model and population.

    Args:
        models: Scores of one target's models by their method: ``original``, ``retrain`` and
            variants.
        epochs: Epochs of ReMI that each of them stands for (:func:`epochs_of`).
        ratio: The forget ratio.

    Returns:
        One row per ``epoch`` (NaN: retrained), ``attack`` and ``subset``: ``images``, ``rate`` (the
        share with P(member) > .5), ``mean``, and ``bin_00`` …: the shares in equal parts of [0, 1].
    """
    edges = np.linspace(0, 1, BINS + 1)
    rows = []
    for method, scores in models.items():
        place = list(scores.ratios).index(ratio)
        for attack in ATTACKS:
            values = scores.at(place, scores.members[attack])
            for number, subset in enumerate(SUBSETS):
                group = values[scores.subset[place] == number]
                shares = np.histogram(group, edges)[0] / len(group)
                row = {"epoch": epochs[method], "attack": attack, "subset": subset}
                row |= {"images": len(group), "rate": (group > 0.5).mean(), "mean": group.mean()}
                rows.append(row | {f"bin_{k:02}": share for k, share in enumerate(shares)})
    return pd.DataFrame(rows).sort_values("epoch", kind="stable", ignore_index=True)


def epochs_of(candidates: pd.DataFrame) -> dict[str, float]:
    """Epochs of ReMI that a model stands for: 0 for ``original``, NaN for ``retrain``.

    Args:
        candidates: Rows of ``variant``, ``method``, ``parameter``, ``value`` (text).

    Raises:
        RemibenchError: A variant does not say its ``max_epochs``, or may stop before.
    """
    epochs = {"original": 0.0, "retrain": np.nan}
    of_remi = candidates[candidates["method"] == TRACED]
    for variant, rows in of_remi.groupby("variant", sort=False):
        values = dict(zip(rows["parameter"], rows["value"].astype(str), strict=True))
        if values.get("stop") != "never" or "max_epochs" not in values:
            raise RemibenchError(
                f"config: `variants`: {variant} ({values}) has no known epoch; give every variant "
                "of `mechanism` both `stop: never` and `max_epochs`"
            )
        epochs[variant] = float(values["max_epochs"])
    return epochs


def stopping_epoch(history: pd.DataFrame) -> float:
    """The epoch at which the rule ``stop: matched`` ends a run that went on; NaN if at none."""
    matched = history.loc[history["mf_forget"] <= history["mf_out_of_sample"], "epoch"]
    return float(matched.min())


def draw_rates(table: pd.DataFrame, stop: float) -> Figure:
    """Share of every population that is called member, by epoch: one panel per attack.

    Dotted: after retraining. The vertical line is where the stopping rule ends the run.

    Args:
        table: Table from :func:`trace`.
        stop: Epoch from :func:`stopping_epoch`.
    """
    figure, axes = page(1, len(ATTACKS), 2.4, sharex=True, sharey=True)
    for axis, (attack, title) in zip(axes.flat, ATTACKS.items(), strict=True):
        of_attack = table[table["attack"] == attack]
        for subset, (_, color, _) in LOOKS.items():
            rows = of_attack[of_attack["subset"] == subset]
            run, retrained = rows[rows["epoch"].notna()], rows[rows["epoch"].isna()]
            axis.plot(run["epoch"], run["rate"], "o-", color=color, ms=2.5, linewidth=1.4)
            axis.axhline(retrained["rate"].item(), color=color, linewidth=0.9, linestyle=":")
        if np.isfinite(stop):
            axis.axvline(stop, color="0.3", linewidth=0.8, linestyle=(0, (4, 3)))
        axis.set_title(title)
        axis.set_ylim(-0.02, 1.04)
        axis.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=True))
    label_axes(figure, "Epoch of ReMI (passes over $D_f$)", "Share called members")
    lines = {"retrained": ":"} | ({"stopping rule": "--"} if np.isfinite(stop) else {})
    solid = [{"color": look.color, "marker": "o", "ms": 2.5} for look in LOOKS.values()]
    _legend(figure, solid, lines)
    return figure


def draw_distributions(table: pd.DataFrame) -> Figure:
    """Distribution of P(member): one column per epoch, the last one retrained; a row per attack."""
    epochs = table["epoch"].dropna().unique()
    places = np.unique(np.linspace(0, len(epochs) - 1, COLUMNS - 1).round().astype(int))
    titles = {
        epoch: "before" if epoch == 0 else f"epoch {epoch:.0f}" for epoch in epochs[places]
    } | {np.nan: "retrained"}
    figure, axes = page(len(ATTACKS), len(titles), 1.6, sharex=True, sharey=True)
    bins = [name for name in table if name.startswith("bin_")]
    edges = np.linspace(0, 1, len(bins) + 1)
    for line, (attack, label) in zip(axes, ATTACKS.items(), strict=True):
        for axis, (epoch, title) in zip(line, titles.items(), strict=True):
            at = table["epoch"].isna() if np.isnan(epoch) else table["epoch"] == epoch
            rows = table[at & (table["attack"] == attack)].set_index("subset")
            for subset, (_, color, line_style) in LOOKS.items():
                shares = rows.loc[subset, bins].astype(float)
                axis.stairs(shares, edges, color=color, linestyle=line_style, linewidth=1.2)
            axis.axvline(0.5, color="0.6", linewidth=0.7, linestyle=":")
            if axis in axes[0]:
                axis.set_title(title)
        line[0].set_ylabel(label)
    label_axes(figure, "P(member)", f"Share of images per bin of {1 / len(bins):.2g}")
    looks = [{"color": look.color, "linestyle": look.line} for look in LOOKS.values()]
    _legend(figure, looks, {"called a member right of it": ":"})
    return figure


def _legend(figure: Figure, looks: Sequence[Mapping], lines: Mapping[str, str]) -> None:
    handles = [plt.Line2D([], [], **look) for look in looks]
    handles += [plt.Line2D([], [], color="0.3", linestyle=style) for style in lines.values()]
    legend(figure, handles, [*(look.label for look in LOOKS.values()), *lines])
