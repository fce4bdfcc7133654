"""Join the CSV files of all cells."""

from remibench.analysis.gather import (
    join,
    join_datasets,
    join_histories,
    join_training,
    mark_unsearched,
)
from remibench.artifacts.tables import write_csv
from remibench.jobs.script import job

with job(snakemake):
    given, output = snakemake.input, snakemake.output
    write_csv(output.evaluation, join(given.evaluation, snakemake.params.ratios))
    write_csv(output.attacks, join(given.attacks))
    histories = mark_unsearched(join_histories(given.histories), snakemake.params.unsearched)
    write_csv(output.histories, histories)
    write_csv(output.training, join_training(given.training, histories))
    write_csv(
        output.datasets, join_datasets(given.datasets, given.splits, snakemake.params.selection)
    )
