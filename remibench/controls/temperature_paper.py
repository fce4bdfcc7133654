"""All logits times one factor, which gives white-box MIA the rate on D_f that the paper reports.

The rate is that after ReMI, of Table IV. No decision changes, and nothing is forgotten.
"""

from __future__ import annotations

from remibench.controls import ControlTask
from remibench.controls.temperature import cool
from remibench.errors import RemibenchError

LABEL = "Control: temperature (paper's rate)"
COLOUR = "#b8b8b8"
MARKER = "$\\mathbf{P}$"
ORDER = 230
KEEPS = "decisions"
USES = ("attack", "published")


def alter(task: ControlTask) -> dict[str, float]:
    """Scale the target's logits until its rate on the forget set is the paper's.

    Raises:
        RemibenchError: The paper has no number for this cell.
    """
    if task.published is None:
        raise RemibenchError(
            "control temperature_paper: the paper's Table IV has no number for this dataset, "
            "architecture and forget ratio; take temperature_paper out of `controls`"
        )
    return cool(task, task.published)
