"""Make one target model forget one forget set by one method."""

import time

import numpy as np
import torch

from remibench.artifacts.io import load_array, load_arrays, load_images, load_json, save_json
from remibench.artifacts.tables import save_table
from remibench.attacks import load_attack
from remibench.components.registry import method_of
from remibench.data.splits import DEFENDER
from remibench.jobs.script import job, progress_checkpoint
from remibench.jobs.torch_setup import select_device
from remibench.models import ModelSpec, load_model, save_model
from remibench.seeding import derive_seed
from remibench.unlearning import UnlearningTask, run_method, unlearning_cost

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    started = time.perf_counter()  # not before: a job may wait for its GPU
    roles = load_arrays(given.splits)
    defender = np.concatenate([roles[role] for role in DEFENDER])
    training_images = len(roles["target_train"])
    images, labels = load_images(given.images, given.labels, defender, device)
    forget = load_array(given.forget)
    retain = np.setdiff1d(np.arange(training_images), forget)
    spec = ModelSpec.of(cell.architecture, load_json(given.metadata))
    axes = (cell.dataset, cell.architecture, int(cell.seed))
    progress = progress_checkpoint(snakemake)
    task = UnlearningTask(
        model=load_model(given.target, spec, device),
        spec=spec,
        images=images,
        labels=labels,
        forget=torch.from_numpy(forget).to(device),
        retain=torch.from_numpy(retain).to(device),
        out_of_sample=torch.arange(training_images, len(defender), device=device),
        guide=load_attack(given.guide).to(device) if given.guide else None,
        training=params.training,
        training_seed=derive_seed(*axes, "target"),
        seed=derive_seed(*axes, method_of(cell.method), cell.ratio),
        progress=progress,
    )
    loading_seconds = time.perf_counter() - started
    history = run_method(params.module, task, params.parameters, params.may_diverge)
    save_model(snakemake.output.model, task.model, spec)
    names = ("dataset", "architecture", "seed", "method")
    columns = {**{name: cell[name] for name in names}, "forget_ratio": cell.ratio}
    save_table(snakemake.output.history, [{**columns, **record} for record in history])
    save_json(snakemake.output.cost, unlearning_cost(history, loading_seconds))
    progress.delete()
