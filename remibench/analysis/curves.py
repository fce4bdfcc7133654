"""Per-image scores of all models as curves: ROC, distributions, accuracy by class, forget images.

Made of what every evaluation leaves (:mod:`remibench.evaluation.predictions`); nothing is computed
with a model. A run's scores take gigabytes, these tables kilobytes, and figures read the tables.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from remibench.analysis.results import CURVES
from remibench.artifacts import paths
from remibench.evaluation.predictions import SUBSETS, Scores, load_scores

ROC, DISTRIBUTION, CLASSES = "roc", "distribution", "classes"  # values of ``curve``
LOG_ODDS = "log_odds"  # a score beside those of attacks: of the image's own class
FPR = 10.0 ** np.linspace(-3, 0, 31)
BINS = {LOG_ODDS: np.linspace(-16, 16, 33)}  # edges by score; the outermost bins have all beyond
SHARES = np.linspace(0, 1, 21)  # edges of all others, which are probabilities
SHOWN = 24  # forget images of every target


def roc(positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """True-positive rates at the false-positive rates ``FPR``.

    That is the share of positives above the most permissive threshold whose FPR does not exceed the
    given one, as :func:`remibench.evaluation.roc.true_positives` finds it for one rate.

    Args:
        positives, negatives: (P,), (N,) scores.

    Returns:
        (31,) shares; NaN where N < 1 / FPR.
    """
    ordered = np.sort(negatives)[::-1]
    allowed = np.floor(np.round(FPR * len(ordered), 9)).astype(int)
    thresholds = np.append(ordered, -np.inf)[np.minimum(allowed, len(ordered))]
    above = (positives[:, None] > thresholds).mean(axis=0)
    return np.where(allowed > 0, above, np.nan)


def curves_of_model(
    scores: Scores, place: int, labels: np.ndarray, class_names: Sequence[str]
) -> Iterator[tuple[str, str, str, float, str, float]]:
    """Points of all curves of a method's model of one seed, at one forget ratio.

    Args:
        scores: Scores of the method's models.
        place: Place of the ratio in ``scores.ratios``.
        labels: Labels of all images of the prepared dataset.
        class_names: Names of the classes.

    Yields:
        ``curve``, ``score``, ``subset``, ``x``, ``label``, value. Of ``roc`` x is the FPR on test
        images (where a kind of image is forgotten, on those of that kind) and the value the TPR on
        the forget set; of ``distribution`` x is the lower edge of a bin and the value a share of
        the images; of ``classes`` x is a class, ``label`` its name, and the value the accuracy on
        its images.
    """
    attacks = {name: scores.at(place, values) for name, values in scores.members.items()}
    attacks = {name: values for name, values in attacks.items() if not name.startswith("mf_")}
    groups = {name: scores.subset[place] == SUBSETS.index(name) for name in SUBSETS[:3]}
    for attack, values in attacks.items():
        unseen = groups["test"] if scores.alike is None else scores.alike
        rates = roc(values[groups["forget"]], values[unseen])
        yield from ((ROC, attack, "forget", x, "", y) for x, y in zip(FPR, rates, strict=True))
    own = {LOG_ODDS: scores.at(place, scores.margins)}
    for score, values in (own | attacks).items():
        edges = BINS.get(score, SHARES)
        inside = np.clip(values, edges[0], edges[-1])
        for subset, members in groups.items():
            shares = np.histogram(inside[members], edges)[0] / max(members.sum(), 1)
            bins = zip(edges[:-1], shares, strict=True)
            yield from ((DISTRIBUTION, score, subset, x, "", y) for x, y in bins)
    classes = labels[scores.images]
    correct = scores.at(place, scores.predicted) == classes
    for subset, members in groups.items():
        for number, name in enumerate(class_names):
            of_class = members & (classes == number)
            accuracy = correct[of_class].mean() if of_class.any() else np.nan
            yield CLASSES, "accuracy", subset, number, str(name), accuracy


def gather_curves(
    files: Sequence[str], labels: Mapping[str, np.ndarray], class_names: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """All curves, over the seeds of every dataset, architecture, method and forget ratio.

    Args:
        files: Paths of scores, in a results tree.
        labels: Labels of all images, by dataset.
        class_names: Names of the classes, by dataset.

    Returns:
        A row per point, in the order of the files: the columns ``CURVES``. ``low`` and ``high`` are
        the least and the greatest value of a seed.
    """
    cells: dict[tuple[str, str, str], list[str]] = {}
    for path in files:
        axes = paths.match(paths.ARTIFACTS["predictions"], path)
        key = axes["dataset"], axes["architecture"], axes["method"]
        cells.setdefault(key, []).append(path)
    tables = []
    for (dataset, architecture, method), of_cell in cells.items():
        rows = []
        for path in of_cell:  # one at a time: those of the paper's grid take gigabytes
            scores = load_scores(path)
            for place, ratio in enumerate(scores.ratios):
                points = curves_of_model(scores, place, labels[dataset], class_names[dataset])
                rows += [(dataset, architecture, ratio, method, *point) for point in points]
        keys = CURVES[:-4]
        table = pd.DataFrame(rows, columns=[*keys, "value"])
        summary = table.groupby(keys, sort=False)["value"]
        tables.append(summary.agg(mean="mean", low="min", high="max", seeds="count").reset_index())
    return pd.concat(tables, ignore_index=True)[CURVES]


def forget_images(
    before: Scores,
    retrained: Scores | None,
    images: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
) -> list[dict[str, object]]:
    """The forget images that membership fingerprinting is surest of, at the ratio nearest to 10 %.

    Args:
        before: Scores of the target.
        retrained: Scores of retraining; None where it was not run.
        images: (N, C, S, S) uint8 images of the prepared dataset, mapped.
        labels: (N,) labels.
        class_names: Names of the classes.

    Returns:
        ``forget_ratio``, ``rank``, ``image`` (position in the dataset), its ``label``, ``mf``
        (P(member) of the first access, before unlearning), ``p_…`` (probability of its own class)
        and ``predicted_…`` class before and retrained, and ``png``, the image in base64.
    """
    place = int(np.abs(before.ratios - 0.1).argmin())
    guides = [name for name in before.members if name.startswith("mf_")]
    mf = before.at(place, before.members[guides[0]])
    forgotten = np.flatnonzero(before.subset[place] == SUBSETS.index("forget"))
    first = forgotten[np.argsort(-mf[forgotten], kind="stable")][:SHOWN]
    rows = []
    for rank, at in enumerate(first, 1):
        position = int(before.images[at])
        row = {"forget_ratio": float(before.ratios[place]), "rank": rank, "image": position}
        row |= {"label": str(class_names[labels[position]]), "mf": float(mf[at])}
        for name, scores in (("before", before), ("retrained", retrained)):
            row[f"p_{name}"], row[f"predicted_{name}"] = np.nan, ""
            if scores is not None:
                margin = float(scores.at(place, scores.margins)[at])
                row[f"p_{name}"] = float(1 / (1 + np.exp(-margin)))
                predicted = scores.at(place, scores.predicted)[at]
                row[f"predicted_{name}"] = str(class_names[predicted])
        rows.append(row | {"png": _png(np.asarray(images[position]))})
    return rows


def _png(image: np.ndarray) -> str:
    from PIL import Image

    pixels = image[0] if len(image) == 1 else image.transpose(1, 2, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
