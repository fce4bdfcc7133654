"""Evaluation of one unlearning method on one target model: all forget ratios, all metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from remibench.artifacts.io import load_json
from remibench.attacks.features import MembershipFeatures, model_features
from remibench.data.forget_sets import read_forget_set
from remibench.data.prepared import RoleImages
from remibench.data.splits import CALIBRATED_ON, EVALUATED_ON
from remibench.errors import RemibenchError
from remibench.evaluation.adversaries import Adversaries
from remibench.evaluation.metrics import Evaluation, measure_all
from remibench.evaluation.predictions import Scores, join_scores, score_images
from remibench.models import Classifier, ModelSpec, load_model


class UnlearnedModel(NamedTuple):
    """What a method made of the target model at one forget ratio.

    Attributes:
        ratio: The forget ratio, in (0, 1).
        forget: (F,) int64 positions of the forget set in the role ``target_train``.
        model: The unlearned model in evaluation mode, on the device of the evaluation.
        cost: What unlearning took, see :func:`remibench.unlearning.unlearning_cost`; empty where
            nothing was unlearned.
    """

    ratio: float
    forget: np.ndarray
    model: Classifier
    cost: Mapping[str, Any]


def read_models(
    spec: ModelSpec,
    device: torch.device,
    images: int,
    ratios: Sequence[float],
    forget: Sequence[str | Path],
    models: Sequence[str | Path],
    costs: Sequence[str | Path] = (),
) -> Iterator[UnlearnedModel]:
    """Read a method's models from their files, each when its turn comes.

    Args:
        spec: The spec of all models.
        device: Where the models are to lie.
        images: Number of training images.
        ratios: (R,) forget ratios.
        forget: R npy files of forget sets.
        models: R checkpoints, or one that serves all ratios (``original``) and is read once.
        costs: R JSON files, or none.

    Returns:
        An iterator over the R ratios. One checkpoint that serves all gives one model object.

    Raises:
        RemibenchError: The number of files does not fit the number of ratios (when called), or a
            file is missing or damaged (when its turn comes).
    """
    count = len(ratios)
    for name, paths, allowed in (
        ("forget sets", forget, {count}),
        ("models", models, {1, count}),
        ("costs", costs, {0, count}),
    ):
        if len(paths) not in allowed:
            raise _wrong_number(name, len(paths), sorted(allowed), count)

    def each() -> Iterator[UnlearnedModel]:
        model = loaded = None
        for at, (ratio, model_path) in enumerate(zip(ratios, cycle(models), strict=False)):
            if model_path != loaded:
                model, loaded = load_model(model_path, spec, device), model_path
            cost = load_json(costs[at]) if costs else {}
            yield UnlearnedModel(ratio, read_forget_set(forget[at], images), model, cost)

    return each()


def evaluate_method(
    dataset: RoleImages,
    models: Iterable[UnlearnedModel],
    *,
    target: Callable[[], Classifier],
    shadow: Callable[[], Classifier] | None,
    attacks: Mapping[str, torch.nn.Module],
    metrics: Sequence[str],
    training: Mapping[str, Any],
    seed: int,
    device: torch.device,
    published: Mapping[float, float | None] | None = None,
    alike: np.ndarray | None = None,
) -> tuple[list[dict[str, Any]], Scores]:
    """Measure a method's models of all forget ratios on one target model.

    All models are judged on the same images: the training set (``target_train``) and ``test``; the
    scores also cover ``out_of_sample``. The forward passes of a model that serves all ratios are
    made once, and those of the target once if a metric asks for them. A model is let go when the
    next one has come.

    Args:
        dataset: The dataset on which target and shadow model were trained.
        models: What the method made, one element per forget ratio (:func:`read_models`). Ratios
            that share a model follow one another, with the same object.
        target: Loads the target model in evaluation mode; called when a metric first asks for
            the features before unlearning, once at most.
        shadow: Loads the attacker's shadow model in evaluation mode; called once. None where there
            is none, and so no calibrated attacker.
        attacks: The fitted attacks on ``device`` by name, ``<adversary>_<attack>``
            (``mia_whitebox`` …).
        metrics: Names of modules of :mod:`remibench.evaluation.metrics`.
        training: How the target was trained: ``learning_rate``, ``momentum``, ``weight_decay``,
            ``batch_size``, ``precision``.
        seed: The seed of the metrics' own randomness; the same for all methods.
        device: Where the models and attacks lie.
        published: The paper's white-box MIA rate on the forget set after ReMI by forget ratio;
            ratios without a number may be left out.
        alike: Positions in the role ``test`` of the images of the kind that is forgotten, where it
            is one (:func:`remibench.selections.unseen_alike`).

    Returns:
        The metric rows in the order of ratios and metrics, each with ``forget_ratio``, ``subset``,
        ``metric`` and ``value``; and the per-image outputs of all models.

    Raises:
        RemibenchError: The models are neither one per ratio nor one for all, a metric or an attack
            broke its contract, or a file of the dataset is missing or damaged.
    """
    precision, published = training["precision"], published or {}
    train, test, others = (dataset.roles[role] for role in (*EVALUATED_ON, "out_of_sample"))
    pool = np.concatenate((train, test))
    images, labels = dataset.select(pool, device)
    out_of_sample = dataset.select(others, device)
    if shadow is None:
        adversaries = Adversaries(attacks, None, math.nan, precision)
    else:
        nonmembers = dataset.role(CALIBRATED_ON, device)
        adversaries = Adversaries.of_shadow(shadow(), attacks, nonmembers, precision)

    @cache
    def before() -> MembershipFeatures:
        return model_features(target(), images, labels, precision)

    kinds = {}
    if alike is not None:
        others_tested = np.setdiff1d(np.arange(len(test)), alike)
        kinds = {"test_forget": len(train) + alike, "test_retain": len(train) + others_tested}
    rows, divisions, outputs, judged = [], {}, [], None
    for ratio, forget, model, cost in models:
        if model is not judged:
            features = model_features(model, images, labels, precision)
            unseen = model_features(model, *out_of_sample, precision)
            (scores, others_scores), calibration = adversaries.judge(model, (features, unseen))
            outputs.append(score_images([(features, scores), (unseen, others_scores)]))
            judged = model
        subsets = {
            "forget": forget,
            "retain": np.setdiff1d(np.arange(len(train)), forget),
            "test": np.arange(len(train), len(pool)),
        }
        divisions[ratio] = subsets | {
            "out_of_sample": np.arange(len(pool), len(pool) + len(others))
        }
        evaluation = Evaluation(
            model=model,
            images=images,
            labels=labels,
            subsets={
                name: torch.from_numpy(at).to(device) for name, at in (subsets | kinds).items()
            },
            features=features,
            scores=scores,
            cost=cost,
            before=before,
            training=training,
            seed=seed,
            calibration=calibration,
            published=published.get(ratio),
        )
        rows += [
            {"forget_ratio": ratio, "subset": subset, "metric": metric, "value": value}
            for subset, metric, value in measure_all(metrics, evaluation)
        ]
    allowed = sorted({1, len(divisions)})
    if len(outputs) not in allowed:
        raise _wrong_number("models", len(outputs), allowed, len(divisions))
    scores = join_scores(np.concatenate((pool, others)), divisions, outputs)
    if alike is not None:
        kind = np.isin(np.arange(len(scores.images)), kinds["test_forget"])
        scores = replace(scores, alike=kind)
    return rows, scores


def _wrong_number(name: str, found: int, allowed: Sequence[int], ratios: int) -> RemibenchError:
    """The error of a number of files or models that does not fit the number of ratios."""
    return RemibenchError(
        f"{name}: {found} for {ratios} forget ratios; give {' or '.join(map(str, allowed))}"
    )
