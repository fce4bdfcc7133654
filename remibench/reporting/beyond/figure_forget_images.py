"""Beyond the paper: the images to forget that membership fingerprinting (MF) is surest of.

Above every image stands its label, below it what the target predicts (first line) and the retrained
model (second line), with the probability that each gives to the label; × marks a wrong prediction.
One dataset has 24 images, several have eight each; of the first seed and architecture, at the
forget ratio nearest to 10 %.

They are what the forget set is made of: odd images that a model gets right only because it has seen
them. A model that never saw them gets many of them wrong, which is the state that unlearning is to
reach.
"""

from __future__ import annotations

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from remibench.analysis.results import Results, percent
from remibench.analysis.verdicts import NOT_RUN
from remibench.reporting.panels import PAGE, label_axes, sentence_figure
from remibench.reporting.style import DATASETS, cell_label

TITLE = "Forget images"
INPUTS = ("forget_images",)

COLUMNS = 8
LETTERS = 12  # of a class's name


def draw(results: Results) -> Figure:
    """Rows of eight images with their label and the predictions before and retrained."""
    table = results.forget_images
    if table.empty:
        return sentence_figure("Not run: the evaluation of the target, with its forget images.")
    first = table[["dataset", "architecture"]].drop_duplicates("dataset")
    table = table.merge(first, on=["dataset", "architecture"])
    lines = 3 if len(first) == 1 else 1
    table = table[table["rank"] <= lines * COLUMNS]
    rows = [
        group.iloc[start : start + COLUMNS]
        for _, group in table.groupby("dataset", sort=False)
        for start in range(0, len(group), COLUMNS)
    ]
    size = (PAGE, 0.45 + 1.25 * len(rows))
    figure, axes = plt.subplots(len(rows), COLUMNS, figsize=size, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for line, images in zip(axes, rows, strict=True):
        for axis, row in zip(line, images.itertuples(), strict=False):
            axis.set_axis_on()
            _show(axis, row)
        if len(first) > 1:
            line[0].set_ylabel(DATASETS[images["dataset"].iloc[0]], fontsize=7)
    ratio = percent(table["forget_ratio"].iloc[0])
    named = "; ".join(cell_label(*cell) for cell in first.itertuples(index=False, name=None))
    of = f"{named}, seed {table['seed'].iloc[0]}, {ratio} forgotten"
    label_axes(
        figure,
        "Above an image: its label. Below: what the target and the retrained model predict,\n"
        f"with the probability of the label; × wrong ({of})",
    )
    return figure


def _show(axis: plt.Axes, row: tuple) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(row.png))))
    grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if pixels.ndim == 2 else {}
    axis.imshow(pixels, interpolation="nearest", **grey)
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.set_title(_short(row.label), fontsize=7, pad=3)
    lines = [
        f"{_short(predicted)} {share:.2f}{'' if predicted == row.label else ' ×'}"
        if isinstance(predicted, str) and predicted
        else NOT_RUN
        for predicted, share in (
            (row.predicted_before, row.p_before),
            (row.predicted_retrained, row.p_retrained),
        )
    ]
    axis.set_xlabel("\n".join(lines), fontsize=5.8, labelpad=2)


def _short(name: object) -> str:
    text = str(name)
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
