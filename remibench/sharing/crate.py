"""The description of an archive for machines: RO-Crate 1.1 and its profile Process Run Crate 0.5.

https://w3id.org/ro/crate/1.1 and https://w3id.org/ro/wfrun/process/0.5: which software (instrument)
made which files (result) from which config and datasets (object). Written by ``rocrate``; its own
zip writer is not used, since it copies the tree first and dates its entries.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from remibench.analysis.results import count_seeds
from remibench.artifacts.io import load_json, load_settings
from remibench.artifacts.tables import TEXT, load_table

if TYPE_CHECKING:
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

NAME = "ro-crate-metadata.json"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TERMS = "https://w3id.org/ro/terms/workflow-run/context"  # for `sha256`
DESCRIPTIONS = {
    "across_seeds": "Every method's models of all seeds, compared image by image",
    "across_seeds.csv": "The same of all methods: a row per cell, subset and metric",
    "attacks": "Membership models: their quality, and their weights if included",
    "attacks.csv": "Accuracy, AUC and rates of the membership models on the targets",
    "benchmarks": "Seconds and memory of every job",
    "config.yaml": "The configuration, all defaults resolved",
    "curves.csv": "ROC curves, distributions of scores and accuracy by class, over the seeds",
    "data": "Every dataset's metadata with checksums; splits if included",
    "datasets.csv": "What the images are, and how many each role has",
    "evaluation": "Every model's metrics, and what it says of single images if included",
    "evaluation.csv": "Every number: a row per cell, seed, subset and metric",
    "figures": "The paper's figures",
    "forget_images.csv": "The forget images that membership fingerprinting is surest of, as PNG",
    "forget": "Forget sets and membership scores",
    "histories.csv": "Losses, accuracies and rates after every epoch of unlearning",
    "hyperparameters.csv": "Every method's parameters in every cell",
    "models": "Targets and shadows: training histories, and weights if included",
    "overview": "Tables of everything that the run consists of",
    "provenance.json": "Versions, commit and machine",
    "scorecard": "Every published number beside this run's",
    "statistics": "Every method against retraining",
    "summary.txt": "The main result",
    "tables": "The paper's tables",
    "training.csv": "The last epoch of every training",
    "unlearned": "Unlearned models: histories, costs, and weights if included",
}
mimetypes.add_type("text/yaml", ".yaml")
mimetypes.add_type("text/markdown", ".md")


def describe(results: Path, digests: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    """The metadata file of an archive; no network is used.

    Files of the tree's own folder are entities with size and SHA-256, other folders are one entity
    each. ``datePublished``, which RO-Crate demands, is the day that provenance.json was written;
    all else depends on the files' content alone.

    Args:
        results: The tree.
        digests: SHA-256 of every file by name.
        sizes: Bytes of every file by name.
    """
    from rocrate.model import ContextEntity
    from rocrate.rocrate import ROCrate

    provenance = load_json(results / "provenance.json")
    config = load_settings(results / "config.yaml")
    written = datetime.fromtimestamp((results / "provenance.json").stat().st_mtime, UTC)
    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    crate.datePublished = f"{written:%Y-%m-%d}"
    crate.name = f"remibench results: {_grid(config)}"
    crate.description = (
        "Evaluation of machine unlearning guided by membership fingerprinting: metrics of every "
        "model, tables, figures, configuration and provenance. Checksums of all files are in "
        "manifest-sha256.txt."
    )
    licence = {  # RO-Crate demands a licence, and a workflow cannot know it
        "@type": "CreativeWork",
        "name": "None stated",
        "description": "Whoever publishes these results decides. remibench itself is MIT.",
    }
    crate.license = crate.add(ContextEntity(crate, "#license", licence))
    profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"}
    crate.root_dataset["conformsTo"] = crate.add(ContextEntity(crate, PROFILE, profile))

    parts = {}
    for name in digests:
        top, *below = name.split("/")
        described = {"name": top} | (
            {"description": DESCRIPTIONS[top]} if top in DESCRIPTIONS else {}
        )
        if not below:
            kind = mimetypes.guess_type(top)[0] or "application/octet-stream"
            described |= {"contentSize": str(sizes[name]), "sha256": digests[name]}
            parts[top] = crate.add_file(
                results / top, top, properties={**described, "encodingFormat": kind}
            )
        elif top not in parts:
            parts[top] = crate.add_dataset(results / top, top, properties=described)
    inputs = [parts["config.yaml"], *_datasets(crate, results)]
    commit = provenance["git_commit"] or "unknown"
    modified = ", modified" if provenance["git_modified"] else ""
    action = crate.add_action(
        _software(crate, provenance, f"commit {commit}{modified}"),
        identifier="#run",
        object=inputs,
        result=[part for name, part in parts.items() if name != "config.yaml"],
        properties={
            "name": "Run of the remibench workflow",
            "description": f"{_grid(config)}; on {provenance['cpu']}, {provenance['platform']}",
            "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
        },
    )
    crate.root_dataset["mentions"] = action
    content = crate.metadata.generate()
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _grid(config: Mapping) -> str:
    names = f"{', '.join(config['datasets'])} × {', '.join(config['architectures'])}"
    lengths = f"{len(config['forget_ratios'])} forget ratios, {len(config['methods'])} methods"
    return f"{names}, {count_seeds([len(config['seeds'])])}, {lengths}"


def _software(crate: ROCrate, provenance: Mapping, commit: str) -> Entity:
    """The workflow as an application, and what it needed."""
    from rocrate.model import ContextEntity

    versions = {"python": provenance["python"], **provenance["libraries"]}
    needed = [
        crate.add(
            ContextEntity(
                crate,
                f"pkg:{'generic' if name == 'python' else 'pypi'}/{name}@{version}",  # a purl
                {"@type": "SoftwareApplication", "name": name, "softwareVersion": version},
            )
        )
        for name, version in versions.items()
    ]
    software = ContextEntity(
        crate,
        "#remibench",
        {
            "@type": "SoftwareApplication",
            "name": "remibench",
            "softwareVersion": f"{provenance['remibench']}, {commit}",
        },
    )
    software["softwareRequirements"] = needed
    return crate.add(software)


def _datasets(crate: ROCrate, results: Path) -> list[Entity]:
    """Every dataset with the SHA-256 of its files, where the tree has them."""
    from rocrate.model import ContextEntity

    entities = []
    for row in load_table(results / "datasets.csv", TEXT).to_dict("records"):
        identifier = f"#dataset-{row['dataset']}"
        properties = {"@type": "CreativeWork", "name": f"{row['dataset']}: {row['provenance']}"}
        dataset = crate.add(ContextEntity(crate, identifier, properties))
        path = results / "data" / row["dataset"] / "metadata.json"
        if path.exists():
            record = load_json(path)
            files = {**record["sources"], "images as they are used": record["images_sha256"]}
            dataset["identifier"] = [
                crate.add(
                    ContextEntity(
                        crate,
                        f"{identifier}-{number}",
                        {
                            "@type": "PropertyValue",
                            "name": name,
                            "propertyID": "SHA-256",
                            "value": digest,
                        },
                    )
                )
                for number, (name, digest) in enumerate(files.items())
            ]
        entities.append(dataset)
    return entities
