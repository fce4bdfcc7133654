"""Write what every variant of a method stands for."""

from remibench.artifacts.tables import save_table
from remibench.jobs.script import job

with job(snakemake):
    save_table(snakemake.output[0], snakemake.params.variants)
