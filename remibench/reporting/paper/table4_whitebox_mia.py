"""Table IV: white-box membership inference on the forget set, before and after unlearning."""

import pandas as pd

from remibench.analysis.results import CELL, Results
from remibench.reporting.render import note as explain
from remibench.reporting.render import pivot

TITLE = "White-box MIA accuracy: share of images called members"
ROWS = [*CELL, "subset"]
DECIMALS = 3

__all__ = ["TITLE", "build", "explain", "layout"]


def build(results: Results) -> pd.DataFrame:
    """Member rate per cell, with the paper's ("after" is its white-box ReMI).

    Besides the forget set, the paper's only one: the retain set, and the unseen test images, whose
    rate is that of false positives.
    """
    phases = {"before": "original", "after": "remi_whitebox"}
    published = results.published["table4_whitebox_mia_accuracy"]
    published = published.assign(
        method=published["phase"].map(phases), paper=published["mia_accuracy"], subset="forget"
    )
    return results.with_published(
        results.summary("mia_whitebox_rate"),
        published,
        on=["architecture", "forget_ratio", "method", "subset"],
    )


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and subset, one column per method."""
    return pivot(table, ROWS, DECIMALS)
