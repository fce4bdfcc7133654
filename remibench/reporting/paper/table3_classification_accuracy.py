"""Table III: classification accuracy on forget set, retain set and test, before and after.

Accuracy (%) of the target model ("Before") and of the unlearned models, on the images to forget
(``forget``), the rest of the training set (``retain``) and unseen images (``test``, which no method
and no attack was trained on).

Each cell is the mean over seeds ± the half-width of the 95 % t-interval; in brackets the paper's
number, where it has that cell (10 % forgotten; "after" is its white-box ReMI). Read every method
against *Retraining*: that is what the accuracy becomes when the forget set was never trained on.
The paper's numbers are for the full data set at 64×64 pixels; the data behind ours are named in
``datasets.csv``.
"""

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
