"""Join the CSV files of all cells."""

from remibench.checkpoints import save_table
from remibench.reporting.gather import join_attacks, join_datasets, join_evaluations, join_histories
from remibench.runtime import job

with job(snakemake):
    given, output = snakemake.input, snakemake.output
    save_table(output.evaluation, join_evaluations(given.evaluation))
    save_table(output.attacks, join_attacks(given.attacks))
    save_table(output.histories, join_histories(given.histories))
    save_table(output.datasets, join_datasets(given.datasets, given.splits))
