"""The palette: told apart by every reader, one colour for one meaning, a second cue beside it."""

from itertools import combinations

import numpy as np
import pytest
from colorspacious import cspace_convert
from matplotlib.colors import to_rgb
from matplotlib.markers import MarkerStyle
from support.synthetic import ARCHITECTURES, DATASETS, synthetic_results

from remibench.analysis.gaps import REFERENCE
from remibench.analysis.results import in_order
from remibench.components.display import DRAWABLE, made_marker
from remibench.components.registry import controls, methods
from remibench.reporting import style
from remibench.reporting.paper import figure03_mia_before_after as figure03

LEAST = 9.0  # in CAM02-UCS, where about 1 is just noticeable side by side
SEEN = {  # eyes → simulation (Machado et al. 2009), of the whole loss of a kind of cone
    "all cones": None,
    "deuteranopia": "deuteranomaly",
    "protanopia": "protanomaly",
    "tritanopia": "tritanomaly",
}
RUN = ("original", REFERENCE, "fisher", "neggrad_plus")
METHODS = {name: style.COLORS[name] for name in ("original", *methods())}
OTHERS = {
    "paper": style.PAPER,
    "background": "white",
    **{f"images: {name}": look.color for name, look in style.SUBSETS.items()},
    **{f"attack: {name}": look.color for name, look in style.ATTACKS.items()},
    "shadow": style.ROLES["shadow"].color,
}
CONTROLS = {name: style.COLORS[name] for name in controls()}
VERDICTS = {name: colour for name, (colour, _) in style.VERDICTS.items()}
SETS = {  # colours that are told apart by themselves
    "methods and what is beside them": METHODS | OTHERS,
    "controls": {name: METHODS[name] for name in ("original", REFERENCE)}
    | {"background": "white"}
    | CONTROLS,
    "verdicts": VERDICTS | {"not run": "white"},
}


def distances(colours, eyes):
    """Distance of every pair of colours as these eyes see them."""
    rgb = np.array([to_rgb(colour) for colour in colours.values()])
    if SEEN[eyes]:
        space = {"name": "sRGB1+CVD", "cvd_type": SEEN[eyes], "severity": 100}
        rgb = np.clip(cspace_convert(rgb, space, "sRGB1"), 0, 1)
    places = dict(zip(colours, cspace_convert(rgb, "sRGB1", "CAM02-UCS"), strict=True))
    return {
        pair: np.linalg.norm(np.subtract(*map(places.get, pair)))
        for pair in combinations(places, 2)
    }


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("colours", SETS.values(), ids=SETS)
def test_colours_are_told_apart(colours, eyes):
    apart = distances(colours, eyes)
    nearest = min(apart, key=apart.get)
    assert apart[nearest] >= LEAST, (nearest, apart[nearest])


def test_a_control_is_told_from_a_method_by_marker_and_hatch():
    """Colours alone do not: some greys are near a method's colour to readers without cones."""
    near = distances(METHODS | CONTROLS, "deuteranopia")
    assert near["neggrad_plus", "temperature"] < LEAST
    markers = {name: style.MARKERS[name] for name in METHODS | CONTROLS}
    assert len(set(markers.values())) == len(markers)
    run = (*RUN, *CONTROLS)
    figure = figure03.draw(synthetic_results(DATASETS[:1], ARCHITECTURES[:1], 3, methods=run))
    bars = [patch.get_hatch() for patch in figure.axes[0].patches]
    assert bars == [None] * len(RUN) + [style.CONTROL_HATCH] * len(CONTROLS)


def test_the_measure_finds_what_was_wrong_with_the_former_palette():
    former = {"neggrad_plus": "#cc79a7", "salun": "#44aa99", "original": "#7f7f7f"}
    former |= {"retrain": "#009e73"}
    seen = distances(former, "deuteranopia")
    assert seen["neggrad_plus", "salun"] == pytest.approx(3.6, abs=0.1)
    assert seen["original", "retrain"] == pytest.approx(7.0, abs=0.1)
    assert distances(former, "tritanopia")["salun", "retrain"] == pytest.approx(5.4, abs=0.1)


def test_one_colour_has_one_meaning():
    colours = [*METHODS.values(), *CONTROLS.values(), *OTHERS.values()]
    assert len({to_rgb(colour) for colour in colours}) == len(colours)
    assert style.ROLES["target"].color == style.COLORS["original"]  # the same model


def test_controls_are_grey_and_methods_are_not():
    for name, colour in CONTROLS.items():
        assert len(set(to_rgb(colour))) == 1, name
    coloured = set(METHODS) - {"original", REFERENCE}
    assert all(len(set(to_rgb(METHODS[name]))) > 1 for name in coloured)


def test_a_marker_stands_beside_every_colour():
    markers = list(style.MARKERS.values())
    assert len(set(markers)) == len(markers)
    assert style.MARKERS[REFERENCE] == "*"
    signs = [sign for _, sign in style.VERDICTS.values()]
    assert len(set(signs)) == len(signs)
    for marker in markers:
        MarkerStyle(marker)
    assert made_marker("mine") in DRAWABLE.replace("*", "")
    assert [look.line for look in style.SUBSETS.values()] == list(
        dict.fromkeys(look.line for look in style.SUBSETS.values())
    )


def test_open_points_are_open_and_the_order_is_that_of_the_display():
    assert style.point("fisher", filled=False)["mfc"] == "white"
    assert style.point("fisher")["mfc"] == style.COLORS["fisher"]
    assert in_order(["fisher", "retrain", "original"]) == ["original", "retrain", "fisher"]
