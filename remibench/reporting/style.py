"""Colours, markers, line styles and order of everything that figures show.

One colour has one meaning in all figures. Methods and controls declare theirs in their own files
(:mod:`remibench.components.display`); everything else is here. Retraining is black, a star and
drawn as a line where others are bars.

tests/reporting/test_style.py holds three sets of colours to a least distance, also as they are seen
without cones for long, medium or short waves: methods with everything that is drawn beside them;
controls with each other, the target and retraining; verdicts, which stand beside no method's
colour. Controls are greys, and a grey can come near a method's colour as some readers see it. What
tells a control from a method is its marker and, where it is a bar, its hatch (``CONTROL_HATCH``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.verdicts import (
    AS_RETRAINING,
    EQUIVALENT,
    LEAKS,
    LOSES,
    NOT_DECIDED,
    OVER_FORGETS,
)
from remibench.components.display import (
    ARCHITECTURES,
    COLORS,
    DATASETS,
    MARKERS,
    METHODS,
    cell_label,
)

__all__ = ["ARCHITECTURES", "COLORS", "DATASETS", "MARKERS", "METHODS", "cell_label"]


class Look(NamedTuple):
    """What a line, bar or area that is no method looks like, and its name in a legend."""

    label: str
    color: str
    line: str = "-"


PAPER = "#d55e00"  # the paper's numbers, open diamonds
PAPER_POINT = {"marker": "D", "linestyle": "", "color": "none", "mec": PAPER, "mew": 1.1, "ms": 4.5}
SUBSETS = {  # images, by what the models know of them
    "forget": Look("$D_f$ (to forget)", "#bc2c85", "-"),
    "retain": Look("$D_r$ (retained)", "#d39bb1", "--"),
    "test": Look("test images", "#0b6421", "-."),
    "out_of_sample": Look("out-of-sample images", "#7ad3a6", (0, (1, 1))),
}
ROLES = {  # trainings from scratch; the target is what a method is given, "Before"
    "target": Look("target", COLORS["original"]),
    "shadow": Look("shadow", "#9b7ad3", "--"),
}
ATTACKS = {"mf": Look("MF", "#643790"), "mia": Look("MIA", "#a6210b")}
GUIDES = {"whitebox": "-", "blackbox": "--"}  # lines by access; all others are dash-dotted
VERDICTS = {  # verdict of a method → colour and sign of its square
    EQUIVALENT: ("#005c45", "="),
    AS_RETRAINING: ("#7fcfae", "≈"),
    LEAKS: ("#cc3311", "↑"),
    OVER_FORGETS: ("#5566dd", "↓"),
    LOSES: ("#e8a33d", "−"),
    NOT_DECIDED: ("#dcdcdc", "?"),
}
CONTROL_HATCH = "\\\\\\\\"  # of a control's bar, in its grey: small in an SVG, where dots are not
MARGIN = "0.9"  # a difference that counts as none
CHANCE = {"color": "0.3", "linewidth": 0.8, "linestyle": (0, (4, 3))}
WORDS = "0.35"  # what an empty place says
RATIO_MARKERS = "osD^vP"
STALLED = (0, (1.2, 1))  # the line of a training that learned nothing
_LARGER = {"*": 1.9, "$": 1.6, "P": 1.15, "X": 1.15, "d": 1.25, "p": 1.15, "h": 1.1}


def dodge(number: int, count: int, width: float) -> float:
    """Place of one of several marks that stand beside each other, from the middle of them all.

    Args:
        number, count: Which mark, of how many.
        width: The room of all marks together.
    """
    return (number - (count - 1) / 2) * width / count


def point(method: str, *, filled: bool = True, size: float = 4) -> dict[str, Any]:
    """Look of a method's point, for ``Axes.plot``; open where something is not decided."""
    color, marker = COLORS[method], MARKERS[method]
    width = 1.0 if marker != "*" else 0.8
    face = {"mfc": color if filled else "white", "mec": color, "mew": width if not filled else 0.4}
    return {"marker": marker, "ms": size * _LARGER.get(marker[0], 1), "linestyle": "", **face}


def retraining(**changes: Any) -> dict[str, Any]:
    """Look of the line at retraining's value, which everything is compared with."""
    return {"color": COLORS[REFERENCE], "linewidth": 1.1, "zorder": 2.5, **changes}


def ratio_colors(count: int) -> list[str]:
    """Colours of forget ratios, ascending: dark to light, without yellow, which white swallows."""
    import matplotlib as mpl
    import numpy as np

    ramp = mpl.colormaps["viridis"](np.linspace(0, 1, 12)[1:-2])
    places = [round(8 * place / max(count - 1, 1)) for place in range(count)]
    return [mpl.colors.to_hex(ramp[place]) for place in places]


def ratio_marker(place: int) -> str:
    """Marker of a forget ratio, by its place among all, ascending."""
    return RATIO_MARKERS[place % len(RATIO_MARKERS)]
