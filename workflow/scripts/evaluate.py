"""Measure one method's unlearned models, all forget ratios, on one target model."""

from functools import cache
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from remibench.artifacts.io import load_array, load_arrays, load_images, load_json
from remibench.artifacts.tables import save_table
from remibench.attacks import load_attack
from remibench.attacks.features import model_features
from remibench.data.splits import CALIBRATED_ON, EVALUATED_ON
from remibench.evaluation.adversaries import Adversaries
from remibench.evaluation.metrics import Evaluation, measure
from remibench.evaluation.predictions import join_scores, save_scores, score_images
from remibench.evaluation.published import published_rate
from remibench.jobs.script import job
from remibench.jobs.torch_setup import select_device
from remibench.models import ModelSpec, load_model
from remibench.seeding import derive_seed

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    roles = load_arrays(given.splits)
    train, test = (roles[role] for role in EVALUATED_ON)
    pool, others = np.concatenate((train, test)), roles["out_of_sample"]
    images, labels = load_images(given.images, given.labels, pool, device)
    out_of_sample = load_images(given.images, given.labels, others, device)
    metadata = load_json(given.metadata)
    spec = ModelSpec.of(cell.architecture, metadata)
    adversaries = Adversaries.of_shadow(
        load_model(given.shadow, spec, device),
        {Path(path).stem: load_attack(path).to(device) for path in given.attacks},
        load_images(given.images, given.labels, roles[CALIBRATED_ON], device),
        params.precision,
    )
    axes = {name: cell[name] for name in ("dataset", "architecture", "seed", "method")}
    rows, divisions, outputs, loaded = [], {}, [], None

    @cache
    def before():
        """Features under the target: one forward pass for all forget ratios, if at all."""
        target = load_model(given.target, spec, device)
        return model_features(target, images, labels, params.precision)

    for ratio, forget_path, model_path, cost_path in zip(
        params.ratios, given.forget, cycle(given.models), given.costs or cycle([None]), strict=False
    ):
        if model_path != loaded:
            model, loaded = load_model(model_path, spec, device), model_path
            features = model_features(model, images, labels, params.precision)
            unseen = model_features(model, *out_of_sample, params.precision)
            (scores, others_scores), calibration = adversaries.judge(model, (features, unseen))
            outputs.append(score_images([(features, scores), (unseen, others_scores)]))
        forget = load_array(forget_path)
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
            subsets={name: torch.from_numpy(at).to(device) for name, at in subsets.items()},
            features=features,
            scores=scores,
            cost=load_json(cost_path) if cost_path else {},
            before=before,
            training={**params.optimiser, "precision": params.precision},
            seed=derive_seed(cell.dataset, cell.architecture, int(cell.seed), "evaluate"),
            calibration=calibration,
            published=published_rate(
                given.published, metadata["paper_dataset"], cell.architecture, ratio
            ),
        )
        for metric in params.metrics:
            rows += [
                {**axes, "forget_ratio": ratio, "subset": subset, "metric": name, "value": value}
                for subset, name, value in measure(metric, evaluation)
            ]
    save_table(snakemake.output.table, rows)
    joined = join_scores(np.concatenate((pool, others)), divisions, outputs)
    save_scores(snakemake.output.scores, joined)
