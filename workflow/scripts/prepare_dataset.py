"""Load a raw dataset and store it resized."""

from pathlib import Path

from remibench.data import LoadOptions, load_dataset
from remibench.data.preparation import prepare_dataset
from remibench.jobs.script import job

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    # Not a parameter: where files lie is no reason to prepare them, and train all, anew.
    folders = [Path(folder) for folder in snakemake.config["data"]["search_path"]]
    options = LoadOptions(folders, params.published_only, params.skip_unusable)
    prepare_dataset(
        snakemake.wildcards.dataset,
        load_dataset(snakemake.wildcards.dataset, options),
        image_size=params.image_size,
        limit=params.limit,
        images_path=output.images,
        labels_path=output.labels,
        metadata_path=output.metadata,
        attributes_path=output.attributes,
    )
