"""Join what was compared across seeds."""

from remibench.analysis.gather import join
from remibench.artifacts.tables import write_csv
from remibench.jobs.script import job

with job(snakemake):
    write_csv(snakemake.output[0], join(snakemake.input))
