"""Beyond the paper: what every metric makes of models that have forgotten nothing.

Controls are the target model, changed. *Shift* and *rescaling* leave every prediction as it is,
*temperature* every decision. A metric that *moves* under the first two reads something that is no
prediction. A metric that takes one of them for retraining cannot show, by itself, that a method has
forgotten anything: so did the control, and it has not.

The rule of both verdicts is in docs/audit.md. "Not decided": these seeds do not tell. The file
table_audit.csv has all metrics and numbers.
"""

from __future__ import annotations

import pandas as pd

from remibench.analysis.audit import SHOWN, audit
from remibench.analysis.quantities import Quantity
from remibench.analysis.results import CELL, METHODS, Results, count_seeds, percent, rows_by
from remibench.analysis.verdicts import MOVES, NOT_DECIDED, STAYS, TAKEN, UNSEEN
from remibench.reporting.render import MINUS

TITLE = "What each metric can be fooled by"
ALSO = ("across_seeds",)  # read where it is measured
MOVED_BY, TAKEN_FOR = "moves where no prediction changes", "taken for retraining"
NONE = "none"


def build(results: Results) -> pd.DataFrame:
    """One row per cell, subset, metric and control, see :func:`remibench.analysis.audit.audit`."""
    return audit(results)


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell and measured quantity of ``SHOWN``, with the two verdicts at its end."""
    run = [control for control in METHODS if control in set(table["control"])]
    rows = rows_by(table, [*CELL, "metric", "subset", "control"])
    lines = []
    for cell in table[CELL].drop_duplicates().itertuples(index=False, name=None):
        for shown in SHOWN:
            keys = ((*cell, shown.metric, shown.subset, control) for control in run)
            found = {key[-1]: rows[key] for key in keys if key in rows}
            if not found:
                continue
            first = next(iter(found.values()))
            line = dict(zip(CELL, cell, strict=True)) | {"quantity": shown.title}
            line |= {METHODS["original"]: _number(first.target, shown)}
            line |= {METHODS["retrain"]: _number(first.retraining, shown)}
            for control in run:
                row = found.get(control)
                line[METHODS[control]] = _number(row.value, shown) if row else "–"
            asked = [row.control for row in found.values() if row.moves]
            moved = [row.control for row in found.values() if row.moves == MOVES]
            line[MOVED_BY] = _names(moved) if moved else STAYS if asked else "–"
            line[TAKEN_FOR] = _taken(list(found.values()))
            lines.append(line)
    ends = [MOVED_BY, TAKEN_FOR]
    names = [METHODS["original"], METHODS["retrain"], *(METHODS[control] for control in run)]
    wide = pd.DataFrame(lines, columns=[*CELL, "quantity", *names, *ends])
    wide["forget_ratio"] = wide["forget_ratio"].map(percent)
    return wide.rename(columns={"forget_ratio": "forget ratio"})


def _number(value: float, shown: Quantity) -> str:
    return f"{value * shown.scale:.{shown.decimals}f}".replace("-", MINUS)


def _names(controls: list[str]) -> str:
    return ", ".join(METHODS[control].removeprefix("Control: ") for control in controls)


def _taken(rows: list) -> str:
    """The controls that are taken for retraining, or why none is."""
    if taken := [row.control for row in rows if row.verdict == TAKEN]:
        return _names(taken)
    for verdict in (UNSEEN, NOT_DECIDED):
        if any(row.verdict == verdict for row in rows):
            return verdict
    return NONE


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    return (
        f"Means over {count_seeds(table.loc[table['n'] > 1, 'n'])}; U-LiRA, RMIA, KLOM and "
        f"forgetting quality: one value of all seeds. “{MOVED_BY}”: controls with the target's "
        "predictions whose value differs from the target's by more than the metric's margin. "
        f"“{TAKEN_FOR}”: controls that lie within the margin of retraining, where the target does "
        f"not (5 % level, Holm). “{UNSEEN}”: the target itself lies within it. {remarks}"
    )
