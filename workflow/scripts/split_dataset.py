"""Give every role its images."""

from remibench.checkpoints import load_json, save_arrays
from remibench.runtime import job
from remibench.splits import split_dataset

with job(snakemake):
    params, images = snakemake.params, load_json(snakemake.input.metadata)["images"]
    roles = split_dataset(images, params.split_seed, params.out_of_sample_fraction, params.halves)
    save_arrays(snakemake.output.splits, roles)
