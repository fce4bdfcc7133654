"""Choose the forget set of one ratio: positions in the target's training set."""

from remibench.artifacts.io import load_array, load_arrays, save_array
from remibench.data.forget_sets import (
    mean_scores,
    random_scores,
    read_scores,
    select_forget_set,
)
from remibench.jobs.script import job

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    labels = load_array(given.labels)[load_arrays(given.splits)["target_train"]]
    if params.selection == "random":
        scores = random_scores(len(labels), cell.dataset, params.split_seed)
    else:
        scores = mean_scores([read_scores(path, len(labels)) for path in given.scores])
    save_array(snakemake.output.forget, select_forget_set(labels, float(cell.ratio), scores))
