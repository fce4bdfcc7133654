"""Table IV: white-box membership inference on the forget set, before and after unlearning.

The numbers are shares of images that the attacker's model calls members of the training set. The
paper reads a rate near 0 on ``forget`` as success. Compare with *Retraining* instead: a lower rate
makes forgotten images recognisable again (the Streisand effect). The forget set was selected by a
membership model, so even a retrained model treats it differently from ``test``, whose row is the
attack's false-positive rate on random images. A method that lowers the rates on ``retain`` and
``test`` as well has moved the model, not forgotten an image. Each cell is the mean over seeds ± the
half-width of the 95 % t-interval; in brackets the paper's number.
"""

import pandas as pd

from remibench.analysis.paper import beside_paper
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
    table = results.summary("mia_whitebox_rate")
    return beside_paper(table, "Table IV", results.published, results.paper_names)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and subset, one column per method."""
    return pivot(table, ROWS, DECIMALS)
