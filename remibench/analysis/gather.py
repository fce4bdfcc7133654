"""Join per-cell artifacts into the tidy tables that reports read."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from remibench.artifacts.io import load_arrays, load_json
from remibench.artifacts.tables import TEXT, load_table

AXES = ["dataset", "architecture", "seed", "method", "forget_ratio"]


def join(paths: Sequence[str]) -> pd.DataFrame:
    """Join the tables of single jobs, whose columns name their cell (evaluations, histories).

    Returns:
        All rows in the order of the paths; NaN where a job's table lacks a column.
    """
    return pd.concat([load_table(path, TEXT) for path in paths], ignore_index=True)


def join_histories(paths: Sequence[str]) -> pd.DataFrame:
    """Join the histories of unlearning, the axes and the epoch first."""
    table = join(paths)
    first = [*AXES, "epoch"]
    return table[first + [column for column in table if column not in first]]


def join_training(paths: Sequence[str], histories: pd.DataFrame) -> pd.DataFrame:
    """One row per training from scratch, with its last epoch's loss.

    Args:
        paths: Histories of targets and shadows.
        histories: Table from :func:`join_histories`; the retrained models are among them.

    Returns:
        ``dataset``, ``architecture``, ``seed``, ``model`` (``target``, ``shadow`` or ``retrain``),
        ``forget_ratio`` (of retraining), ``epochs``, ``loss``, ``stalled`` (0 or 1).
    """
    runs = join(paths).groupby([*AXES[:3], "model"], sort=False)
    rows = runs.tail(1).to_dict("records")
    if "stalled" in histories:
        retrained = histories[histories["stalled"].notna()]
        last = retrained.sort_values("epoch", kind="stable").groupby(AXES, sort=False).tail(1)
        rows += last.rename(columns={"method": "model"}).to_dict("records")
    columns = ["dataset", "architecture", "seed", "model", "forget_ratio", "epoch", "loss"]
    table = pd.DataFrame(rows, columns=[*columns, "stalled"])
    return table.rename(columns={"epoch": "epochs"}).astype({"epochs": int, "stalled": int})


def join_datasets(metadata: Sequence[str], splits: Sequence[str]) -> pd.DataFrame:
    """One row per dataset: what it is, and how many images each role has."""
    rows = []
    for metadata_path, splits_path in zip(metadata, splits, strict=True):
        record = load_json(metadata_path)
        rows.append(
            {
                "dataset": record["dataset"],
                "paper_dataset": record["paper_dataset"],
                "provenance": record["provenance"],
                "image_size": record["image_size"],
                "classes": len(record["class_names"]),
                **{role: len(indices) for role, indices in load_arrays(splits_path).items()},
            }
        )
    return pd.DataFrame(rows)
