"""Load a raw dataset and store it resized."""

from pathlib import Path

from remibench.data import LoadOptions, load_dataset
from remibench.preprocessing import prepare_dataset
from remibench.runtime import job

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    options = LoadOptions(
        [Path(folder) for folder in params.search_path], params.published_only, params.skip_unusable
    )
    prepare_dataset(
        load_dataset(snakemake.wildcards.dataset, options),
        image_size=params.image_size,
        limit=params.limit,
        images_path=output.images,
        labels_path=output.labels,
        metadata_path=output.metadata,
    )
