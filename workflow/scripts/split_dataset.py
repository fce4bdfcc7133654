"""Give every role its images."""

from remibench.artifacts.io import load_array, load_json, save_arrays
from remibench.data.forget_sets import count_forgotten
from remibench.data.splits import split_dataset
from remibench.jobs.script import job

with job(snakemake):
    params, images = snakemake.params, load_json(snakemake.input.metadata)["images"]
    roles = split_dataset(images, params.split_seed, params.out_of_sample_fraction, params.swap)
    # Not parameters: they change no split. What no forget set can be made of is told before models
    # are trained.
    for ratio in snakemake.config["ratios_of_classes"]:
        count_forgotten(load_array(snakemake.input.labels)[roles["target_train"]], ratio)
    save_arrays(snakemake.output.splits, roles)
