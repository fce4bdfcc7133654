"""Images of a subgroup, by a column of the dataset's metadata: faces of people above 60, say.

At forget ratio 1 all training images of the subgroup are forgotten, at a smaller one random ones of
every class.
"""

from __future__ import annotations

import numpy as np

from remibench.errors import RemibenchError
from remibench.selections import Images

USES = ("attributes",)
RESTRICTS = True


def prioritise(
    images: Images,
    *,
    column: str,
    values: list[str | float] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> np.ndarray:
    """A random number for each image of the subgroup, NaN for all others.

    Args:
        images: The images.
        column: The column: ``age`` or ``gender`` of UTKFace.
        values: The values that images of the subgroup have.
        low: The least value that they have, for a column of numbers.
        high: The greatest value that they have, for a column of numbers.

    Raises:
        RemibenchError: The dataset has no such column, or the column no such value.
    """
    column_values = images.attributes.get(column)
    if column_values is None:
        raise RemibenchError(
            f"`forgetting.subgroup.column`: {images.dataset} has no column {column!r}; its "
            f"columns: {', '.join(images.attributes) or 'none'}"
        )
    if values is None and low is None and high is None:
        raise RemibenchError(
            "`forgetting.subgroup`: every image has some value; set `values`, `low` or `high`"
        )
    numeric = np.issubdtype(column_values.dtype, np.number)
    if not numeric and (low is not None or high is not None):
        raise RemibenchError(
            f"`forgetting.subgroup`: {column!r} of {images.dataset} holds text, which has no `low` "
            "or `high`; list its `values`"
        )
    inside = np.ones(len(column_values), bool)
    if values is not None:
        wanted = [_typed(value, numeric) for value in values]
        known = images.values[column]
        if missing := set(wanted) - set(known.tolist()):
            raise RemibenchError(
                f"`forgetting.subgroup.values`: no image of {images.dataset} has {min(missing)!r} "
                f"in {column!r}; it holds {', '.join(map(str, known[:20]))}"
                + (f" and {len(known) - 20} more" if len(known) > 20 else "")
            )
        inside &= np.isin(column_values, wanted)
    if low is not None:
        inside &= column_values >= low
    if high is not None:
        inside &= column_values <= high
    return np.where(inside, images.random(), np.nan)


def _typed(value: str | float, numeric: bool) -> str | float:
    """A value of the config as the column has it; those of the command line are all text."""
    if not numeric:
        return str(value)
    try:
        return float(value)
    except ValueError as error:
        raise RemibenchError(
            f"`forgetting.subgroup.values`: {value!r} is no number, and the column holds numbers"
        ) from error
