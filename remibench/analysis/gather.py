"""Join per-cell artifacts into the tidy tables that reports read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from remibench.artifacts.io import load_arrays, load_json
from remibench.artifacts.tables import TEXT, load_table

AXES = ["dataset", "architecture", "seed", "method", "forget_ratio"]


def join_evaluations(paths: Sequence[str]) -> pd.DataFrame:
    """Join evaluation CSVs; the cell's axes are columns already."""
    return pd.concat([load_table(path, TEXT) for path in paths], ignore_index=True)


def join_attacks(paths: Sequence[str]) -> pd.DataFrame:
    """Join the attacks' quality; axes from ``…/dataset/architecture/seed/attack_access.csv``."""
    tables = []
    for path in paths:
        *_, dataset, architecture, seed, name = Path(path).parts
        attack, access = name.removesuffix(".csv").split("_")
        axes = {"dataset": dataset, "architecture": architecture, "seed": int(seed)}
        tables.append(load_table(path).assign(**axes, attack=attack, access=access))
    columns = ["dataset", "architecture", "seed", "attack", "access"]
    return _first(pd.concat(tables, ignore_index=True), columns)


def join_histories(paths: Sequence[str]) -> pd.DataFrame:
    """Join histories; axes from ``…/dataset/architecture/seed/method/ratio.history.csv``."""
    tables = []
    for path in paths:
        *_, dataset, architecture, seed, method, name = Path(path).parts
        axes = {
            "dataset": dataset,
            "architecture": architecture,
            "seed": int(seed),
            "method": method,
        }
        ratio = float(name.removesuffix(".history.csv"))
        tables.append(load_table(path).assign(**axes, forget_ratio=ratio))
    return _first(pd.concat(tables, ignore_index=True), [*AXES, "epoch"])


def join_training(paths: Sequence[str], histories: pd.DataFrame) -> pd.DataFrame:
    """One row per training from scratch, with its last epoch's loss.

    Args:
        paths: Histories of targets and shadows, of :func:`join_curves`.
        histories: Of :func:`join_histories`; the retrained models are among them.

    Returns:
        ``dataset``, ``architecture``, ``seed``, ``model`` (``target``, ``shadow`` or ``retrain``),
        ``forget_ratio`` (of retraining), ``epochs``, ``loss``, ``stalled`` (0 or 1).
    """
    runs = join_curves(paths).groupby([*AXES[:3], "model"], sort=False)
    rows = runs.tail(1).to_dict("records")
    if "stalled" in histories:
        retrained = histories[histories["stalled"].notna()]
        last = retrained.sort_values("epoch", kind="stable").groupby(AXES, sort=False).tail(1)
        rows += last.rename(columns={"method": "model"}).to_dict("records")
    columns = ["dataset", "architecture", "seed", "model", "forget_ratio", "epoch", "loss"]
    table = pd.DataFrame(rows, columns=[*columns, "stalled"])
    return table.rename(columns={"epoch": "epochs"}).astype({"epochs": int, "stalled": int})


def join_curves(paths: Sequence[str]) -> pd.DataFrame:
    """Join training histories; axes from ``…/dataset/architecture/seed/role.history.csv``.

    Returns:
        ``dataset``, ``architecture``, ``seed``, ``model`` (``target`` or ``shadow``) and what
        training recorded, one row per epoch: ``epoch``, ``loss``, ``stalled``, ….
    """
    tables = []
    for path in paths:
        *_, dataset, architecture, seed, name = Path(path).parts
        axes = {"dataset": dataset, "architecture": architecture, "seed": int(seed)}
        axes["model"] = name.removesuffix(".history.csv")
        tables.append(load_table(path).assign(**axes))
    return _first(pd.concat(tables, ignore_index=True), [*AXES[:3], "model"])


def join_datasets(metadata: Sequence[str], splits: Sequence[str]) -> pd.DataFrame:
    """One row per dataset: what it is, and how many images each role has."""
    rows = []
    for metadata_path, splits_path in zip(metadata, splits, strict=True):
        record = load_json(metadata_path)
        rows.append(
            {
                "dataset": Path(metadata_path).parent.name,
                "paper_dataset": record["paper_dataset"],
                "provenance": record["provenance"],
                "image_size": record["image_size"],
                "classes": len(record["class_names"]),
                **{role: len(indices) for role, indices in load_arrays(splits_path).items()},
            }
        )
    return pd.DataFrame(rows)


def _first(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    return table[columns + [column for column in table if column not in columns]]
