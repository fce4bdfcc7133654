"""Table III: classification accuracy on forget set, retain set and test, before and after."""

import pandas as pd

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import CELL, Results
from remibench.reporting.render import note as explain
from remibench.reporting.render import pivot

TITLE = "Classification accuracy (%)"
ROWS = [*CELL, "subset"]
DECIMALS = 1

__all__ = ["TITLE", "build", "explain", "layout"]


def build(results: Results) -> pd.DataFrame:
    """Accuracy in percent per cell, with the paper's (at 10 %; "after" is its white-box ReMI)."""
    table = results.summary("accuracy", scale=100)
    return beside_paper(table, "Table III", results.published, results.paper_names)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and subset, one column per method."""
    return pivot(table, ROWS, DECIMALS)
