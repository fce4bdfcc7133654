"""Give every role its images."""

from remibench.artifacts.io import load_json, save_arrays
from remibench.data.splits import split_dataset
from remibench.jobs.script import job

with job(snakemake):
    params, images = snakemake.params, load_json(snakemake.input.metadata)["images"]
    roles = split_dataset(images, params.split_seed, params.out_of_sample_fraction, params.swap)
    save_arrays(snakemake.output.splits, roles)
