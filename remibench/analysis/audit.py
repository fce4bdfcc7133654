"""Audit of the metrics by models that have forgotten nothing: which metrics are fooled.

A control is the target model changed so that all predictions (``shift``, ``rescale_hidden``) or all
decisions (``temperature``) stay as they are (:mod:`remibench.controls`). Two questions are asked of
every metric. The rule, stated before the committed run (``docs/results/audit``):

1. *Does it change where no prediction changed?* For controls that keep predictions: the metric
   *moves* if the mean over seeds of |control − target| is above its margin, else it *stays*.
2. *Does it take the control for retraining?* Control − retraining, paired by seed, is located
   against the margin (:func:`remibench.analysis.verdicts.locate`), and so is target − retraining.
   *Taken for retraining*: the control lies within the margin, and the target does not. *Told
   apart*: the control lies above or below it. *Nor is the target told apart*: both lie within it.
   Each at the 5 % level after Holm's correction over all statements of a cell; else *not decided*.

The margin is that of the verdicts, and of a metric without one a tenth of the mean difference
between target and retraining. What all seeds' models have in common (:mod:`remibench.analysis.
across_seeds`) is one value without a test: it is judged by the value itself against retraining's,
and not decided without a margin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from remibench.analysis.across_seeds import FLOORS, compare_across_seeds
from remibench.analysis.gaps import LOG_EFFICACY, REFERENCE, quantities
from remibench.analysis.quantities import choose
from remibench.analysis.results import CELL, Results
from remibench.analysis.statistics import LEVEL, holm
from remibench.analysis.verdicts import (
    ABOVE,
    BELOW,
    MOVES,
    NOT_DECIDED,
    STAYS,
    TAKEN,
    TOLD_APART,
    UNSEEN,
    WITHIN,
    locate,
    margin,
)
from remibench.components.declarations import constant
from remibench.components.registry import ORIGINAL, controls

UNAUDITED = ("seconds", "seconds_attack_loss", "epochs")  # what unlearning took, no quality
SHOWN = choose(  # by table and figure
    ("accuracy", "forget"),
    ("loss", "forget"),
    ("mia_whitebox_rate", "forget"),
    ("mia_whitebox_auc", "forget"),
    ("mia_whitebox_tpr_at_1pct", "forget"),
    ("mia_whitebox_tpr_at_10pct", "forget"),
    ("mia_whitebox_worst_decile", "forget"),
    ("mia_whitebox_published_rate", "forget"),
    ("mia_whitebox_published_auc", "forget"),
    ("mia_blackbox_rate", "forget"),
    ("mia_blackbox_auc", "forget"),
    ("calibrated_whitebox_rate", "forget"),
    ("calibrated_whitebox_auc", "forget"),
    ("calibrated_blackbox_rate", "forget"),
    ("mia_whitebox_advantage", "retain"),
    ("confidence_worst_decile", "forget"),
    (LOG_EFFICACY, "forget"),
    ("relearn_steps", "forget"),
    ("two_models_distance_vs_test_auc", "forget"),
    ("tow", ""),
    ("tow_mia_whitebox", ""),
    ("ulira_auc", "forget"),
    ("rmia_auc", "forget"),
    ("klom_halves", "forget"),
    ("forgetting_quality_halves", "forget"),
)
COLUMNS = (
    *CELL,
    *("subset", "metric", "control", "n", "target", "retraining", "value", "change"),
    *("gap", "low", "high", "margin", "moves", "verdict"),
)


class Measured(NamedTuple):
    """A metric's values of target, retraining and one control.

    Attributes:
        target, retraining, control: (n,) values, of the same seeds; of all seeds together, n = 1.
        resolution: Least standard deviation of a difference that is believed.
    """

    target: np.ndarray
    retraining: np.ndarray
    control: np.ndarray
    resolution: float = 0.0


def audit(results: Results) -> pd.DataFrame:
    """Audit every metric by every control that was run.

    Returns:
        A row per cell, subset, metric and control: ``dataset``, ``architecture``,
        ``forget_ratio``, ``subset``, ``metric``, ``control``, ``n`` (seeds; 1 for a value of all
        seeds together), ``target``, ``retraining``, ``value`` (means; ``value`` is the control's),
        ``change`` (mean of |control − target|), ``gap`` (mean of control − retraining) with its
        95 % t-interval ``low``, ``high``, ``margin``, ``moves`` ("moves", "stays", or "" for a
        control that changes predictions) and ``verdict``. Metrics that were not measured of all
        three are left out.
    """
    tables = [_of_seeds(results.evaluation), _of_all_seeds(results)]
    rows = pd.concat([pd.DataFrame(table, columns=COLUMNS) for table in tables], ignore_index=True)
    by = [*CELL, "metric", "subset"]  # in the order of first appearance
    return rows.sort_values(by, key=lambda axis: pd.factorize(axis)[0], ignore_index=True)


def _of_seeds(evaluation: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of metrics that every seed has a value of."""
    run = [control for control in controls() if (evaluation["method"] == control).any()]
    if not run:
        return []
    rows = quantities(evaluation)
    rows = rows[~rows["metric"].isin(UNAUDITED)]
    sizes = evaluation[evaluation["metric"] == "images"].groupby([*CELL, "subset"])["value"].min()
    records = []
    for cell, of_cell in rows.groupby(CELL, sort=False):
        measured = {}
        for (subset, metric), each in of_cell.groupby(["subset", "metric"], sort=False):
            wide = each.pivot_table("value", "seed", "method", aggfunc="first")
            share = metric.endswith(("accuracy", "_rate"))
            resolution = 1 / sizes.get((*cell, subset), np.inf) if share else 0.0
            for control, *values in _by_control(wide, run):
                measured[subset, metric, control] = Measured(*values, resolution)
        records += _judge_cell(dict(zip(CELL, cell, strict=True)), measured)
    return records


def _by_control(
    wide: pd.DataFrame, run: list[str]
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Every control in the columns, with the values of target, retraining and itself."""
    for control in run:
        if {ORIGINAL, REFERENCE, control} <= set(wide):
            values = wide[[ORIGINAL, REFERENCE, control]].replace([np.inf, -np.inf], np.nan)
            if len(values := values.dropna()):
                yield (control, *values.to_numpy(float).T)


def _judge_cell(
    cell: dict[str, Any], measured: dict[tuple[str, str, str], Measured]
) -> list[dict[str, Any]]:
    """Judge all metrics of a cell; Holm's correction is over all of them."""
    widths = {key: _width(key[1], each) for key, each in measured.items()}
    located = {
        key: locate(each.control - each.retraining, widths[key], each.resolution)
        for key, each in measured.items()
    }
    targets = {  # of a quantity, whatever the control
        key[:2]: locate(each.target - each.retraining, widths[key], each.resolution)
        for key, each in measured.items()
    }
    statements = [*located.values(), *targets.values()]
    adjusted = holm(np.array([where["p"] for where in statements], float))
    for where, p in zip(statements, adjusted, strict=True):
        where["place"] = where["place"] if p < LEVEL else NOT_DECIDED
    return [
        cell
        | _describe(key, each, widths[key])
        | {end: located[key][end] for end in ("low", "high")}
        | {"verdict": conclude(located[key]["place"], targets[key[:2]]["place"])}
        for key, each in measured.items()
    ]


def _of_all_seeds(results: Results) -> list[dict[str, Any]]:
    """Rows of metrics that are one value of all seeds' models."""
    if results.across_seeds.empty:
        return []
    table = compare_across_seeds(results)
    axes = [*CELL, "method", "metric", "subset"]
    known = table.set_index(axes)["value"].to_dict()
    records = []
    for *cell, control, metric, subset in known:
        if control not in controls():
            continue
        values = [
            known.get((*cell, method, name, subset), np.nan)
            for method, name in (
                (ORIGINAL, metric),
                (REFERENCE, FLOORS.get(metric, metric)),
                (control, metric),
            )
        ]
        if not np.isfinite(values).all():
            continue
        each = Measured(*(np.array([value]) for value in values))
        width = _width(metric, each)
        places = (
            _place(model - each.retraining, margin(metric)) for model in (each.control, each.target)
        )
        records.append(
            dict(zip(CELL, cell, strict=True))
            | _describe((subset, metric, control), each, width)
            | {"low": np.nan, "high": np.nan, "verdict": conclude(*places)}
        )
    return records


def _width(metric: str, each: Measured) -> float:
    """The metric's margin, or a tenth of what lies between target and retraining."""
    known = margin(metric)
    return abs((each.target - each.retraining).mean()) / 10 if np.isnan(known) else known


def _place(difference: np.ndarray, width: float) -> str:
    """Where one value lies; not decided without a margin, since nothing tells how it varies."""
    if np.isnan(width):
        return NOT_DECIDED
    value = difference.item()
    return ABOVE if value > width else BELOW if value < -width else WITHIN


def _describe(key: Sequence[str], each: Measured, width: float) -> dict[str, Any]:
    """The columns of a row that need no test."""
    subset, metric, control = key
    change = np.abs(each.control - each.target).mean()
    keeps = constant(controls()[control], "KEEPS", "decisions")
    return {
        "subset": subset,
        "metric": metric,
        "control": control,
        "n": len(each.control),
        "target": each.target.mean(),
        "retraining": each.retraining.mean(),
        "value": each.control.mean(),
        "change": change,
        "gap": (each.control - each.retraining).mean(),
        "margin": width,
        "moves": "" if keeps != "predictions" else MOVES if change > width else STAYS,
    }


def conclude(control: str, target: str) -> str:
    """Conclude whether a control is taken for retraining.

    Args:
        control, target: Where control − retraining and target − retraining lie: ``above``,
            ``below``, ``within the margin`` or ``not decided``.
    """
    if control in (ABOVE, BELOW):
        return TOLD_APART
    if control == WITHIN and target in (ABOVE, BELOW):
        return TAKEN
    return UNSEEN if control == target == WITHIN else NOT_DECIDED
