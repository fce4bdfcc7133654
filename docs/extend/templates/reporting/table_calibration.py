"""Calibration error after unlearning.

By cell, subset and method. Compare with *Retraining*: a model that is less certain on the forget
set than a retrained one has been pushed too far.
"""

import pandas as pd

from remibench.analysis.results import Results
from remibench.reporting.render import note as explain
from remibench.reporting.render import pivot

TITLE = "Calibration error"
ROWS = ["dataset", "architecture", "forget_ratio", "subset"]

__all__ = ["TITLE", "build", "explain", "layout"]


def build(results: Results) -> pd.DataFrame:
    """The tidy numbers, as in the CSV file; the paper has none to put beside them."""
    return results.summary("calibration_error").assign(paper=float("nan"))


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """The formatted table: one line per cell and subset, one column per method."""
    return pivot(table, ROWS, decimals=3)
