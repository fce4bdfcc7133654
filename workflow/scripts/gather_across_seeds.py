"""Join what was compared across seeds."""

from remibench.reporting.gather import join_evaluations, write_csv
from remibench.runtime import job

with job(snakemake):
    write_csv(snakemake.output[0], join_evaluations(snakemake.input))
