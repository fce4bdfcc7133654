"""A made-up evaluation of any part of the paper's grid, in memory."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from remibench.analysis.results import PAPER_METHODS, Results, read_numbers

DATASETS = ("fmnist", "utkface", "stl10", "cifar10")
ARCHITECTURES = ("cnn", "resnet18", "xception", "vgg19")
RATIOS = (0.01, 0.1, 0.25, 0.5)
# Other methods have .7, 60 seconds and 10 ** 1.5.
RATES = {
    "original": 0.95,
    "retrain": 0.4,
    "fisher": 0.8,
    "remi_whitebox": 0.3,
    "remi_blackbox": 0.6,
}
SECONDS = {
    "retrain": 900,
    "fisher": 40,
    "remi_whitebox": 200,
    "remi_blackbox": 100,
}
EFFICACY = {
    "original": 3,
    "retrain": 0,
    "fisher": 2,
    "remi_whitebox": -1,
    "remi_blackbox": 1,
}
AXES = ["dataset", "architecture", "seed", "method", "forget_ratio"]


def beyond_paper(rng, rate):
    """Metrics that are not measured by default, (subset, metric, value): of one model."""
    for rarely, factor in (("1pct", 0.1), ("0.1pct", 0.01)):
        found = factor * np.clip(rate + rng.normal(0, 0.1), 0, 1)
        for end, value in {"": found, "_low": 0.5 * found, "_high": 1.5 * found}.items():
            yield "forget", f"mia_whitebox_tpr_at_{rarely}{end}", value
    yield "forget", "mia_whitebox_worst_decile", 0.7 + 0.3 * rate
    for others in ("test", "retain"):
        auc = 0.5 + 0.3 * rate + rng.normal(0, 0.02)
        yield "forget", f"two_models_distance_vs_{others}_auc", auc
    yield "retain", "mia_whitebox_auc", 0.5 + 0.3 * rate + rng.normal(0, 0.02)
    yield "retain", "mia_whitebox_advantage", 0.3 * rate + rng.normal(0, 0.02)
    yield "forget", "relearn_steps", float(rng.integers(10, 90))
    yield "forget", "relearn_capped", 0.0


def synthetic_results(
    datasets=DATASETS,
    architectures=ARCHITECTURES,
    seeds=20,
    ratios=RATIOS,
    methods=PAPER_METHODS,
    beyond=True,
):
    """Plausible numbers for every cell; the same for the same arguments.

    Without ``beyond`` there are none of the metrics that are not measured by default.
    """
    rng, other = np.random.default_rng(0), np.random.default_rng(1)
    rows, epochs, attacks, parameters = [], [], [], []
    for dataset, architecture in product(datasets, architectures):
        easy = 0.02 * (len(dataset) + len(architecture)) / 10
        for seed in range(seeds):
            for attack, access in product(("mf", "mia"), ("whitebox", "blackbox")):
                accuracy = 0.62 + easy + 0.05 * (access == "whitebox") + rng.normal(0, 0.02)
                measured = (accuracy, accuracy + 0.05, 1.5 * accuracy - 0.5, 1000, 1000, 0.9)
                attacks.append((dataset, architecture, seed, attack, access, *measured))
            for method, ratio in product(methods, ratios):
                cell = (dataset, architecture, seed, method, ratio)
                rate = np.clip(RATES.get(method, 0.7) - easy + rng.normal(0, 0.04), 0, 1)
                for subset, images, accuracy in (
                    ("forget", round(1000 * ratio), 1 if method == "original" else 0.8),
                    ("retain", round(1000 * (1 - ratio)), 0.99),
                    ("test", 500, 0.7 + easy + rng.normal(0, 0.01)),
                ):
                    lower = {"forget": 0, "retain": 0.05, "test": 0.2}[subset]
                    rows.append((*cell, subset, "accuracy", accuracy))
                    rows.append((*cell, subset, "images", images))
                    rows.append((*cell, subset, "loss", 3 * (1 - accuracy)))
                    rows += [
                        (*cell, subset, f"{attack}_{access}_rate", max(rate - lower, 0))
                        for attack, access in product(("mf", "mia"), ("whitebox", "blackbox"))
                    ]
                rows += [
                    (*cell, "forget", f"{attack}_{access}_auc", rate)
                    for attack, access in product(("mf", "mia"), ("whitebox", "blackbox"))
                ]
                score = EFFICACY.get(method, 1.5) + rng.normal(0, 0.3)
                rows.append((*cell, "forget", "efficacy", 10.0**score))
                if beyond:
                    rows += [(*cell, *row) for row in beyond_paper(other, rate)]
                if method == "original":
                    continue
                seconds = SECONDS.get(method, 60) * rng.uniform(0.5, 1.5)
                rows.append((*cell, "", "seconds", seconds))
                if method.startswith("remi"):
                    rows.append((*cell, "", "seconds_attack_loss", 0.7 * seconds))
                    end = int(rng.integers(5, 40)) + 20 * (method == "remi_blackbox")
                    start = 0.75 + rng.normal(0, 0.03)
                    for epoch in range(end + 1):
                        left = 1 - epoch / end
                        epochs.append((*cell, epoch, 0.5 + 0.5 * left, start - 0.25 * (1 - left)))
        for ratio, method in product(ratios, methods):
            names = {"learning_rate": 0.01, "lambda2": 0.98, "loss": "gaussian_kl"}
            if method == "fisher":
                names = {"alpha": 3e-6}
            if method not in ("original", "retrain"):
                parameters += [(dataset, architecture, ratio, method, *p) for p in names.items()]
    return Results(
        evaluation=pd.DataFrame(rows, columns=[*AXES, "subset", "metric", "value"]),
        histories=pd.DataFrame(epochs, columns=[*AXES, "epoch", "mf_forget", "mf_out_of_sample"]),
        datasets=pd.DataFrame(
            {
                "dataset": datasets,
                "paper_dataset": [name.removesuffix("_embedded") for name in datasets],
                "provenance": "invented",
                "image_size": 32,
                "classes": 10,
                **dict.fromkeys(
                    ("target_train", "target_test", "shadow_train", "shadow_test"), 1000
                ),
                **dict.fromkeys(("out_of_sample", "test", "mf_members", "mf_holdout"), 500),
            }
        ),
        training=pd.DataFrame(
            [
                (d, a, s, *model, 50, 0.01, 0)
                for d, a, s in product(datasets, architectures, range(seeds))
                for model in [
                    ("target", np.nan),
                    ("shadow", np.nan),
                    *(("retrain", ratio) for ratio in ratios if "retrain" in methods),
                ]
            ],
            columns=[
                "dataset",
                "architecture",
                "seed",
                "model",
                "forget_ratio",
                "epochs",
                "loss",
                "stalled",
            ],
        ),
        published=read_numbers(),
        attacks=pd.DataFrame(
            attacks,
            columns=[
                *AXES[:3],
                *("adversary", "attack", "accuracy", "auc", "fpr", "members", "nonmembers", "tpr"),
            ],
        ),
        hyperparameters=pd.DataFrame(
            parameters,
            columns=["dataset", "architecture", "forget_ratio", "method", "parameter", "value"],
        ),
    )


KNOWN_RATES = {
    "original": 0.9,
    "retrain": 0.4,
    "fisher": 0.8,
    "remi_whitebox": 0.5,
    "remi_blackbox": 0.7,
}
KNOWN_SECONDS = {"retrain": 8.0, "fisher": 1.0, "remi_whitebox": 2.0, "remi_blackbox": 4.0}


def known_results(seeds=3, methods=PAPER_METHODS, ratios=RATIOS):
    """One cell whose numbers are known: rates as in KNOWN_RATES plus .01 per seed."""
    rows, epochs = [], []
    for seed in range(seeds):
        for method in methods:
            for ratio in ratios:
                cell = ("fmnist_embedded", "cnn", seed, method, ratio)
                rate = KNOWN_RATES.get(method, 0.6) + 0.01 * seed
                rows += [
                    (*cell, s, "mia_whitebox_rate", rate) for s in ("forget", "retain", "test")
                ]
                rows += [(*cell, s, "accuracy", rate) for s in ("forget", "retain", "test")]
                rows += [(*cell, "forget", "efficacy", 10.0 ** (seed + ratio))]
                sizes = {"forget": 1000 * ratio, "retain": 1000 * (1 - ratio), "test": 500}
                rows += [(*cell, subset, "images", size) for subset, size in sizes.items()]
                rows += [(*cell, "forget", "mf_whitebox_rate", rate)]
                rows += [(*cell, "forget", "mf_blackbox_rate", rate / 2)]
                if method != "original":
                    rows += [(*cell, "", "seconds", KNOWN_SECONDS.get(method, 3.0))]
                if method.startswith("remi"):
                    rows += [(*cell, "", "seconds_attack_loss", 0.5)]
                    epochs += [(*cell, e, 1 - 0.3 * e, 0.5) for e in range(3)]
    attacks = [
        ("fmnist_embedded", "cnn", seed, attack, access, 0.6 + 0.02 * seed)
        for seed in range(seeds)
        for attack in ("mf", "mia")
        for access in ("whitebox", "blackbox")
    ]
    whole = synthetic_results(("fmnist_embedded",), ("cnn",), seeds, ratios, methods, beyond=False)
    sizes = {"target_train": 1000, "target_test": 900, "shadow_train": 800, "shadow_test": 700}
    return replace(
        whole,
        evaluation=pd.DataFrame(rows, columns=whole.evaluation.columns),
        histories=pd.DataFrame(epochs, columns=whole.histories.columns),
        attacks=pd.DataFrame(attacks, columns=whole.attacks.columns[:6]),
        datasets=whole.datasets.assign(**sizes),
        training=whole.training[whole.training["model"] == "target"],
    )


def synthetic_metadata(results):
    """Each dataset's metadata, as `prepare_dataset` would write it."""
    record = {
        "class_names": [f"class {k}" for k in range(10)],
        "images": 4000,
        "images_sha256": "0" * 64,
        "mean": [0.5],
        "std": [0.5],
        "skipped": {"unreadable": ["a.jpg", "b.jpg"]},
        "sources": {"images.gz": "1" * 64, "labels.gz": "2" * 64},
    }
    return dict.fromkeys(results.names, record)


def synthetic_curves(results, epochs=50, stalled=()):
    """Training histories of every target and shadow; those in ``stalled`` learn nothing."""
    rows = []
    cells = results.evaluation[AXES[:3]].drop_duplicates().itertuples(index=False)
    for cell, model in product(cells, ("target", "shadow")):
        lost = (*cell, model) in stalled
        for epoch in range(1, epochs + 1):
            loss = 2.3 if lost else 2.3 * 0.9 ** (epoch + cell[2] % 5)
            rows.append((*cell, model, epoch, loss, int(lost)))
    return pd.DataFrame(rows, columns=[*AXES[:3], "model", "epoch", "loss", "stalled"])
