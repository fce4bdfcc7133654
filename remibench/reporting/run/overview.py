"""The report's pages beside the paper's: inputs of a run, and the results of every part of it.

Tables for people: labels as in the other tables, percent for accuracies. The CSV file that is named
on every page has all digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from remibench.analysis.gaps import REFERENCE, pair
from remibench.analysis.quantities import choose
from remibench.analysis.results import BY_METHOD, METHODS, Results
from remibench.analysis.statistics import summarise
from remibench.analysis.targets import target_accuracies
from remibench.components.products import ACCESS
from remibench.reporting.html_page import ABSENT
from remibench.reporting.render import listed, readable, settings

RUN = ["dataset", "architecture", "seed", "method", "forget_ratio"]
MEASURED = choose(  # columns of `runs`
    ("seconds", ""),
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
    ("mia_whitebox_rate", "forget"),
    ("mia_whitebox_rate", "retain"),
    ("mia_whitebox_rate", "test"),
    ("mia_blackbox_rate", "forget"),
    ("efficacy", "forget"),
)
ROLES = {  # column of datasets.csv: what the images are for
    "target_train": "target train",
    "mf_members": "of them MF's members",
    "mf_holdout": "of them MF's hold-out",
    "target_test": "target test",
    "out_of_sample": "of them out of sample",
    "test": "of them test",
    "shadow_train": "shadow train",
    "shadow_test": "shadow test",
}
PAGES = {  # page → category and label in the report; its caption is overview_<page>.rst
    "datasets": ("Datasets", "images and splits"),
    "files": ("Datasets", "files and checksums"),
    "trainings": ("Models", "trainings from scratch"),
    "attacks": ("Attacks", "membership models on the targets"),
    "runs": ("Unlearning", "every model"),
    "evaluation": ("Unlearning", "all metrics, over seeds"),
    "configuration": ("Run", "configuration"),
    "hyperparameters": ("Run", "parameters of every cell"),
    "provenance": ("Run", "provenance"),
}
ATTACKS = {"mf": "MF", "mia": "MIA"} | ACCESS


@dataclass(frozen=True)
class Page:
    """A table with its title and the file that has all its digits."""

    title: str
    source: str
    table: pd.DataFrame

    @property
    def note(self) -> str:
        """Source of the numbers, and the meaning of an empty cell."""
        return f"From {self.source}. “{ABSENT}”: not measured, or does not apply."


def build(
    results: Results, metadata: Mapping[str, Mapping], config: Mapping, provenance: Mapping
) -> dict[str, Page]:
    """All pages by name.

    Args:
        results: The gathered tables, with attacks and hyper-parameters.
        metadata: Each dataset's ``metadata.json``, by the dataset's name.
        config: The resolved configuration.
        provenance: Versions, commit and machine.
    """
    return {
        "datasets": Page("Datasets", "datasets.csv", datasets(results, metadata)),
        "files": Page("Files of the datasets", "data/*/metadata.json", files(metadata)),
        "trainings": Page("Trainings from scratch", "training.csv", trainings(results)),
        "attacks": Page("Membership models on the targets", "attacks.csv", attacks(results)),
        "runs": Page("Every model", "evaluation.csv and histories.csv", runs(results)),
        "evaluation": Page("All metrics, over seeds", "evaluation.csv", evaluation(results)),
        "configuration": Page("Configuration", "config.yaml", settings(config)),
        "provenance": Page("Provenance", "provenance.json", settings(provenance)),
        "hyperparameters": Page(
            "Parameters of every cell", "hyperparameters.csv", parameters(results)
        ),
    }


def datasets(results: Results, metadata: Mapping[str, Mapping]) -> pd.DataFrame:
    """Loaded images and their split: one line per property, one column per dataset."""
    columns = {}
    for row in results.datasets.to_dict("records"):
        record = metadata[row["dataset"]]
        skipped = [f"{len(names)} {reason}" for reason, names in record["skipped"].items()]
        columns[row["dataset"]] = {
            "source": row["provenance"],
            "in the paper": row["paper_dataset"] if pd.notna(row["paper_dataset"]) else "none",
            "images": f"{record['images']:,}",
            "left out": ", ".join(skipped) or "none",
            "pixels": f"{row['image_size']}×{row['image_size']}",
            "classes": f"{row['classes']}: {', '.join(map(str, record['class_names']))}",
            "mean, std": f"{listed(record['mean'])}; {listed(record['std'])}",
            **{label: f"{row[role]:,} images" for role, label in ROLES.items()},
        }
    return pd.DataFrame(columns).rename_axis("property").reset_index()


def files(metadata: Mapping[str, Mapping]) -> pd.DataFrame:
    """SHA-256 of every file that was read, and of the images made of them."""
    rows = [
        (dataset, name, digest)
        for dataset, record in metadata.items()
        for name, digest in [
            *record["sources"].items(),
            ("images as they are used (resized)", record["images_sha256"]),
        ]
    ]
    return pd.DataFrame(rows, columns=["dataset", "file", "SHA-256"])


def trainings(results: Results) -> pd.DataFrame:
    """Every target, shadow and retrained model: last epoch's loss, accuracies, whether it stalled.

    A retrained model's training images are the retain set. No accuracy of shadows is measured.
    """
    target = target_accuracies(results).pivot(index=RUN[:3], columns="bar", values="value")  # noqa: PD010 - unique
    target = target.reset_index().assign(model="target")
    accuracy = results.metric("accuracy", scale=100)
    retrained = accuracy[(accuracy["method"] == "retrain") & (accuracy["subset"] != "forget")]
    retrained = retrained.pivot(index=RUN, columns="subset", values="value").reset_index()  # noqa: PD010 - unique
    retrained = retrained.rename(columns={"method": "model", "retain": "train"})
    keys = [*RUN[:3], "model", "forget_ratio"]
    measured = pd.concat([target, retrained]).reindex(columns=[*keys, "train", "test"])
    table = results.training.merge(measured, how="left", on=keys)
    return readable(
        table.assign(stalled=table["stalled"].map({0: "no", 1: "STALLED"})),
        loss="training loss",
        train="accuracy train, %",
        test="accuracy test, %",
    )


def attacks(results: Results) -> pd.DataFrame:
    """Accuracy, AUC and rates of every membership model on its target."""
    table = results.attacks.replace({"adversary": ATTACKS, "attack": ATTACKS})
    return readable(
        table, auc="AUC", tpr="TPR", fpr="FPR", members="members", nonmembers="non-members"
    )


def runs(results: Results) -> pd.DataFrame:
    """Every evaluated model: how its unlearning ended, and what it is like after it."""
    columns = []
    for shown in MEASURED:
        rows = results.metric(shown.metric, scale=shown.scale).fillna({"subset": ""})
        rows = rows[rows["subset"] == shown.subset]
        columns.append(rows.set_index(RUN)["value"].rename(shown.title))
    measured = pd.concat(columns, axis=1).dropna(axis=1, how="all")
    ends = results.endings.set_index(RUN)
    ended = ends["met"].map({1.0: "stopping rule", 0.0: "max_epochs"}).fillna("all epochs")
    ends = ends.assign(ended=ended)[["epoch", "ended", "mf_forget", "mf_out_of_sample"]]
    table = ends.join(measured, how="right").reset_index()
    order = [*RUN[:2], "forget_ratio", "method", "seed"]
    place = {
        "dataset": results.names,
        "architecture": results.architectures,
        "method": list(METHODS),
    }
    return readable(
        table.sort_values(
            order, key=lambda axis: axis.map(place[axis.name].index) if axis.name in place else axis
        ),
        epoch="epochs",
        mf_forget="guide D_f",
        mf_out_of_sample="guide out of sample",
    )


def evaluation(results: Results) -> pd.DataFrame:
    """Every metric's mean over seeds, its 95 % t-interval, and its paired gap to retraining."""
    keys = [*BY_METHOD, "subset", "metric"]
    table = summarise(results.evaluation.fillna({"subset": ABSENT}), keys)
    pairs = pair(results.evaluation.fillna({"subset": ABSENT}))
    gaps = pairs[pairs["method"] != REFERENCE].groupby(keys)["difference"].mean()
    table = table.join(gaps.rename("gap"), on=keys)
    return readable(table, low="95 % from", high="to", gap="gap to retraining")


def parameters(results: Results) -> pd.DataFrame:
    """Every parameter that a method was run with, by cell."""
    return readable(results.hyperparameters)
