"""Table IV: white-box membership inference on the forget set, before and after unlearning.

The MIA rate (in the paper: accuracy of MIA) is the share of images that the attacker's model calls
members of the training set. The paper reads a rate near 0 on ``forget`` as success. Compare with
*Retraining* instead: a lower rate makes forgotten images recognisable again (the Streisand effect).
The forget set was selected by a membership model, so even a retrained model treats it differently
from ``test``, whose row is the attack's false-positive rate on random images. A method that lowers
the rates on ``retain`` and ``test`` as well has moved the model, not forgotten an image.
*Calibrated*: of the attacker that first brings the model to its shadow model's confidence by a
temperature. *At the paper's rate*: with the threshold at which the share of test images that are
called members is what the paper has on ``forget`` after ReMI; an attack that cannot tell the two
apart has that rate. Each cell is the mean over seeds ± the half-width of the 95 % t-interval; in
brackets the paper's number.
"""

import pandas as pd

from remibench.analysis.paper import beside_paper
from remibench.analysis.results import CELL, Results
from remibench.reporting.render import note as explain
from remibench.reporting.render import pivot

TITLE = "White-box MIA rate: share of images called members"
ROWS = [*CELL, "subset"]
DECIMALS = 3
METRICS = {  # on the forget set → what is said of it behind the subset
    "mia_whitebox_rate": "",
    "calibrated_whitebox_rate": ", calibrated",
    "mia_whitebox_tpr_at_paper": ", at the paper's rate",
}

__all__ = ["TITLE", "build", "explain", "layout"]


def build(results: Results) -> pd.DataFrame:
    """Member rate per cell, with the paper's ("after" is its white-box ReMI).

    Besides the forget set, the paper's only one: the retain set, and the unseen test images, whose
    rate is that of false positives. And, where they were measured, the other rates of METRICS.
    """
    tables = {metric: results.summary(metric).assign(metric=metric) for metric in METRICS}
    plain = tables.pop("mia_whitebox_rate")
    others = [table[table["subset"] == "forget"] for table in tables.values() if len(table)]
    table = pd.concat([plain, *others], ignore_index=True)
    return beside_paper(table, "Table IV", results.published, results.paper_names)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and subset, one column per method."""
    subsets = table["subset"] + table["metric"].map(METRICS)
    first = table["subset"] != "forget"  # all lines of the forget set before other subsets
    order = first.argsort(kind="stable")
    return pivot(table.assign(subset=subsets).iloc[order], ROWS, DECIMALS)
