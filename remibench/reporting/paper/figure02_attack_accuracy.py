"""Figure 2: accuracy of membership fingerprinting and inference on the target models.

Before unlearning: membership fingerprinting (MF, the defender's) and membership inference (MIA, the
attacker's), by white-box and black-box attacks. Members and non-members count alike, and none of
them was used to fit the model, so that guessing has an accuracy of .5. Bars are means over seeds
with 95 % t-intervals, dots are seeds (up to five). The paper shows bars and gives no numbers.

Close to .5, a rate of a later figure says little about what the model remembers: the guide and the
judge of unlearning hardly see a difference to begin with.
"""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import Results
from remibench.analysis.statistics import summarise
from remibench.components.display import made_colour
from remibench.reporting.panels import Bar, draw_bars
from remibench.reporting.style import ATTACKS

TITLE = "Accuracy of MF and MIA"

BARS = [  # black-box access is hatched
    Bar("mf_whitebox", "MF, white-box", ATTACKS["mf"].color),
    Bar("mf_blackbox", "MF, black-box", ATTACKS["mf"].color, "/////"),
    Bar("mia_whitebox", "MIA, white-box", ATTACKS["mia"].color),
    Bar("mia_blackbox", "MIA, black-box", ATTACKS["mia"].color, "/////"),
]


def values(results: Results) -> pd.DataFrame:
    """Accuracy per attack and target model; ``bar`` is ``adversary_attack``."""
    attacks = results.attacks
    return attacks.assign(
        bar=attacks["adversary"] + "_" + attacks["attack"], value=attacks["accuracy"].astype(float)
    )[["dataset", "architecture", "seed", "bar", "value"]]


def data(results: Results) -> pd.DataFrame:
    """Mean, interval and number of seeds per target model's cell and attack."""
    return summarise(values(results), ["dataset", "architecture", "bar"])


def bars(results: Results) -> list[Bar]:
    """The paper's attacks, then those of plug-ins that were run."""
    run = values(results)["bar"].unique()
    known = {bar.key for bar in BARS}
    added = [name for name in run if name not in known]
    labels = {name: name.replace("_", ", ", 1).replace("_", " ") for name in added}
    return BARS + [
        Bar(name, label.replace("mf", "MF", 1).replace("mia", "MIA", 1), made_colour(name))
        for name, label in labels.items()
    ]


def draw(results: Results) -> Figure:
    """One panel per dataset, one group per architecture."""
    return draw_bars(
        data(results),
        values(results),
        bars(results),
        results.names,
        results.architectures,
        ylabel="Accuracy of the membership model",
        chance=0.5,
    )
