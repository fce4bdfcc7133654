"""Statistics over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats


def t_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Student's t-interval of the mean of independent seeds; NaN for a single seed."""
    count = len(values)
    if count < 2:
        return np.nan, np.nan
    half = stats.t.ppf((1 + confidence) / 2, count - 1) * np.std(values, ddof=1) / np.sqrt(count)
    return float(np.mean(values) - half), float(np.mean(values) + half)


def summarise(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean of ``value`` with its 95 % t-interval and number of seeds, per group.

    Returns:
        Columns ``by``, ``mean``, ``low``, ``high``, ``seeds``, in the order of first appearance.
    """
    records = []
    for key, values in rows.groupby(by, sort=False)["value"]:
        low, high = t_interval(values.to_numpy())
        records.append((*key, values.mean(), low, high, len(values)))
    return pd.DataFrame(records, columns=[*by, "mean", "low", "high", "seeds"])
