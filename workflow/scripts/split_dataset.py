"""Give every role its images."""

from remibench.checkpoints import load_json, save_arrays
from remibench.runtime import job
from remibench.splits import split_dataset

with job(snakemake):
    images = load_json(snakemake.input.metadata)["images"]
    roles = split_dataset(
        images, snakemake.params.split_seed, snakemake.params.out_of_sample_fraction
    )
    save_arrays(snakemake.output.splits, roles)
