"""Make one target model forget one forget set by one method."""

import time

from remibench.artifacts.io import save_json
from remibench.artifacts.tables import save_table
from remibench.config.variants import method_of
from remibench.data.prepared import PreparedDataset
from remibench.jobs.script import job, progress_checkpoint
from remibench.jobs.torch_setup import select_device
from remibench.models import save_model
from remibench.seeding import derive_seed
from remibench.unlearning import open_task, run_method, unlearning_cost

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    started = time.perf_counter()  # not before: a job may wait for its GPU
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    trained = (cell.dataset, cell.architecture, int(cell.seed))
    progress = progress_checkpoint(snakemake)
    task = open_task(
        dataset,
        dataset.spec(cell.architecture),
        target=given.target,
        forget=given.forget,
        guide=given.guide or None,
        training=params.training,
        training_seed=derive_seed(*trained, "target"),
        seed=derive_seed(*trained, method_of(cell.method), cell.ratio),
        device=device,
        progress=progress,
    )
    loading_seconds = time.perf_counter() - started
    history = run_method(params.module, task, params.parameters, params.may_diverge)
    save_model(snakemake.output.model, task.model, task.spec)
    save_table(snakemake.output.history, history)
    save_json(snakemake.output.cost, unlearning_cost(history, loading_seconds))
    progress.delete()
