"""Figure 2: accuracy of membership fingerprinting and inference on the target models."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from remibench.analysis.results import Results
from remibench.analysis.statistics import summarise
from remibench.components.display import made_colour
from remibench.reporting.panels import Bar, draw_bars

BARS = [  # colours that no method has; black-box access is hatched
    Bar("mf_whitebox", "MF, white-box", "#aa4499"),
    Bar("mf_blackbox", "MF, black-box", "#cc8fc2", "////"),
    Bar("mia_whitebox", "MIA, white-box", "#7f7f2a"),
    Bar("mia_blackbox", "MIA, black-box", "#b5b56b", "////"),
]


def values(results: Results) -> pd.DataFrame:
    """Accuracy per attack and target model; ``bar`` is ``attack_access``."""
    attacks = results.attacks
    return attacks.assign(
        bar=attacks["attack"] + "_" + attacks["access"], value=attacks["accuracy"].astype(float)
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
