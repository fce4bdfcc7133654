"""Choose the forget set of one ratio: positions in the target's training set."""

from dataclasses import replace

from remibench.artifacts.io import save_array
from remibench.data.forget_sets import mean_scores, read_scores
from remibench.data.prepared import PreparedDataset
from remibench.jobs.script import job
from remibench.selections import forget_set, read_images, unseen_alike

with job(snakemake):
    given, params = snakemake.input, snakemake.params
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    training, unseen = (
        read_images(dataset, role, params.split_seed, given.attributes or None)
        for role in ("target_train", "test")
    )
    count = len(training.labels)
    training = replace(
        training,
        membership=read_scores(given.membership, count) if given.membership else None,
        losses=mean_scores([read_scores(path, count) for path in given.losses])
        if given.losses
        else None,
    )
    selection, ratio = params.selection, float(snakemake.wildcards.ratio)
    chosen = forget_set(selection, training, ratio, params.parameters)
    unseen_alike(selection, unseen, params.parameters)  # evaluation asks for it: fail now
    save_array(snakemake.output.forget, chosen)
