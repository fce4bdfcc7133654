"""Load a raw dataset and store it resized."""

from remibench.data import load_dataset
from remibench.preprocessing import prepare_dataset
from remibench.runtime import job

with job(snakemake):
    params, output = snakemake.params, snakemake.output
    prepare_dataset(
        load_dataset(snakemake.wildcards.dataset, params.search_path),
        image_size=params.image_size,
        limit=params.limit,
        images_path=output.images,
        labels_path=output.labels,
        metadata_path=output.metadata,
    )
