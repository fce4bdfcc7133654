"""Join the CSV files of all cells, and list every cell's parameters."""

import pandas as pd

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
    given, output, params = snakemake.input, snakemake.output, snakemake.params
    write_csv(output.evaluation, join(given.evaluation, params.ratios))
    write_csv(output.attacks, join(given.attacks))
    histories = mark_unsearched(join_histories(given.histories), params.unsearched)
    write_csv(output.histories, histories)
    write_csv(output.training, join_training(given.training, histories))
    datasets = join_datasets(given.datasets, given.splits, params.selection, params.restricts)
    write_csv(output.datasets, datasets)
    columns = ["dataset", "architecture", "forget_ratio", "method", "parameter", "value"]
    write_csv(output.hyperparameters, pd.DataFrame(params.hyperparameters, columns=columns))
