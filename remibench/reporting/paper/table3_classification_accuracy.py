"""Table III: classification accuracy on forget set, retain set and test, before and after."""

import pandas as pd

from remibench.analysis.results import CELL, Results
from remibench.reporting.render import note as explain
from remibench.reporting.render import pivot

TITLE = "Classification accuracy (%)"
ROWS = [*CELL, "subset"]
DECIMALS = 1

__all__ = ["TITLE", "build", "explain", "layout"]


def build(results: Results) -> pd.DataFrame:
    """Accuracy in percent per cell, with the paper's (at 10 %; "after" is its white-box ReMI)."""
    phases = {"before": "original", "after": "remi_whitebox"}
    published = results.published["table3_classification_accuracy"]
    published = published.assign(
        method=published["phase"].map(phases), paper=published["accuracy_pct"], forget_ratio=0.1
    )
    return results.with_published(
        results.summary("accuracy", scale=100),
        published,
        on=["architecture", "forget_ratio", "method", "subset"],
    )


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and subset, one column per method."""
    return pivot(table, ROWS, DECIMALS)
