"""Join the per-image scores of all models as curves, and the forget images of the first seed."""

from pathlib import Path

import pandas as pd

from remibench.analysis.curves import forget_images, gather_curves
from remibench.analysis.results import FORGET_IMAGES
from remibench.artifacts import paths
from remibench.artifacts.io import load_array, load_json
from remibench.artifacts.tables import write_csv
from remibench.evaluation.predictions import load_scores
from remibench.jobs.script import job

with job(snakemake):
    given = snakemake.input
    names = [load_json(path)["dataset"] for path in given.metadata]
    images, labels, metadata = (
        dict(zip(names, map(read, files), strict=True))
        for read, files in (
            (lambda path: load_array(path, mmap=True), given.images),
            (load_array, given.labels),
            (load_json, given.metadata),
        )
    )
    classes = {name: record["class_names"] for name, record in metadata.items()}
    write_csv(snakemake.output.curves, gather_curves(given.scores, labels, classes))
    rows = []
    for path in given.sheets:
        axes = paths.match(paths.ARTIFACTS["predictions"], path)
        retrained = str(Path(path).with_name("retrain.npz"))
        other = load_scores(retrained) if retrained in given.scores else None
        dataset = axes["dataset"]
        shown = (images[dataset], labels[dataset], classes[dataset])
        rows += [{**axes, **row} for row in forget_images(load_scores(path), other, *shown)]
    write_csv(snakemake.output.forget_images, pd.DataFrame(rows, columns=FORGET_IMAGES))
