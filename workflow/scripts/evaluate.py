"""Measure one method's unlearned models, all forget ratios, on one target model."""

from functools import partial
from pathlib import Path

from remibench.artifacts.tables import save_table
from remibench.attacks import load_attack
from remibench.data.prepared import PreparedDataset
from remibench.evaluation.evaluate import evaluate_method, read_models
from remibench.evaluation.predictions import save_scores
from remibench.jobs.script import job
from remibench.jobs.torch_setup import select_device
from remibench.models import load_model
from remibench.seeding import derive_seed
from remibench.selections import read_images, unseen_alike

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    spec = dataset.spec(cell.architecture)
    images = len(dataset.roles["target_train"])
    unseen = read_images(dataset, "test", params.split_seed, given.attributes or None)
    rows, scores = evaluate_method(
        dataset,
        read_models(spec, device, images, params.ratios, given.forget, given.models, given.costs),
        target=partial(load_model, given.target, spec, device),
        shadow=partial(load_model, given.shadow, spec, device),
        attacks={Path(path).stem: load_attack(path).to(device) for path in given.attacks},
        metrics=params.metrics,
        training=params.training,
        seed=derive_seed(cell.dataset, cell.architecture, int(cell.seed), "evaluate"),
        device=device,
        published=params.published.get(dataset.metadata["paper_dataset"]),
        alike=unseen_alike(params.selection, unseen, params.parameters),
    )
    save_table(snakemake.output.table, rows)
    save_scores(snakemake.output.scores, scores)
