"""Accuracy of the target models, from the metrics of the method ``original``."""

from __future__ import annotations

import pandas as pd

from remibench.analysis.results import Results

AXES = ["dataset", "architecture", "seed"]


def target_accuracies(results: Results) -> pd.DataFrame:
    """Compute every target's accuracy in percent on training images and on test images.

    Training images are forget and retain set together; every forget ratio gives the same mean.

    Returns:
        ``dataset``, ``architecture``, ``seed``, ``bar`` (``train`` or ``test``) and ``value``.
    """
    accuracy, images = (
        rows[rows["method"] == "original"]
        for rows in (results.metric("accuracy", scale=100), results.metric("images"))
    )
    keys = [*AXES, "forget_ratio", "subset"]
    both = accuracy.merge(images[[*keys, "value"]].rename(columns={"value": "images"}), on=keys)
    both = both.assign(
        bar=both["subset"].map({"forget": "train", "retain": "train", "test": "test"}),
        correct=both["value"] * both["images"],
    )
    sums = both.groupby([*AXES, "bar"], sort=False)[["correct", "images"]].sum()
    return (sums["correct"] / sums["images"]).rename("value").reset_index()
