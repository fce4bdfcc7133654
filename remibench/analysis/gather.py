"""Join per-cell artifacts into the tidy tables that reports read."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from remibench.artifacts.io import load_arrays, load_json, unreadable
from remibench.artifacts.tables import TEXT, load_table

AXES = ["dataset", "architecture", "seed", "method", "forget_ratio"]
ROW = ["epoch", "forget_ratio", "subset", "metric"]  # what tells rows of a job's table apart


def join(paths: Sequence[str], ratios: Sequence[float] | None = None) -> pd.DataFrame:
    """Join the tables of single jobs, whose columns name their cell (evaluations, histories).

    Args:
        paths: CSV files, one per cell.
        ratios: The forget ratios that each of them has rows of, no other; None where a file is of
            one ratio, or of none.

    Returns:
        All rows in the order of the paths; NaN where a job's table lacks a column.

    Raises:
        RemibenchError: A file is missing, damaged or another cell's, is given twice, or its rows
            are not those of its cell, each once.
    """
    tables = {}
    for path in paths:
        if path in tables:
            raise unreadable(path, "it is gathered twice")
        table = tables[path] = load_table(path, TEXT)
        keys = [column for column in ROW if column in table]
        repeated = table[table.duplicated(keys)] if keys else table[1:]  # of one row
        if table.empty:
            raise unreadable(path, "it has no rows")
        if not repeated.empty:
            row = " ".join(str(value) for value in repeated.iloc[0][keys])
            raise unreadable(path, f"it has two rows where one is expected: {row}")
        found = sorted(table["forget_ratio"].unique().tolist()) if ratios else None
        if ratios and found != sorted(ratios):
            raise unreadable(path, f"it has the forget ratios {found}, expected {sorted(ratios)}")
    return pd.concat(tables.values(), ignore_index=True)


def join_histories(paths: Sequence[str]) -> pd.DataFrame:
    """Join the histories of unlearning, the axes and the epoch first; none where there are none."""
    first = [*AXES, "epoch"]
    table = join(paths) if paths else pd.DataFrame(columns=first)
    return table[first + [column for column in table if column not in first]]


def mark_unsearched(
    histories: pd.DataFrame, runs: Sequence[tuple[str, str, str, float]]
) -> pd.DataFrame:
    """Mark the runs for which no values were searched by 1 in the column ``unsearched``.

    Args:
        histories: Table from :func:`join_histories`.
        runs: Method, dataset, architecture and forget ratio of each
            (:meth:`remibench.config.model.Config.unsearched`).

    Returns:
        ``histories``, with the column if there are such runs.
    """
    if not runs:
        return histories
    axes = ["method", "dataset", "architecture", "forget_ratio"]
    marked = pd.MultiIndex.from_frame(histories[axes]).isin(list(map(tuple, runs)))
    return histories.assign(unsearched=marked.astype(int))


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


def join_datasets(
    metadata: Sequence[str], splits: Sequence[str], selection: str, restricts: bool
) -> pd.DataFrame:
    """One row per dataset: what it is, how many images each role has, and which are forgotten.

    Args:
        metadata, splits: Files of the prepared datasets.
        selection: The selection of forget sets, in words.
        restricts: Whether it never forgets some of the training images.
    """
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
                "selection": selection,
                "restricts": restricts,
            }
        )
    return pd.DataFrame(rows)
