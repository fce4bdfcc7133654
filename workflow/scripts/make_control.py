"""Make a control of one target model: altered models, one per forget ratio, that forget nothing."""

import time

from remibench.artifacts.io import save_json
from remibench.artifacts.tables import save_table
from remibench.attacks import load_attack
from remibench.controls import ControlTask, run_control
from remibench.data.forget_sets import read_forget_set
from remibench.data.prepared import PreparedDataset
from remibench.jobs.script import job
from remibench.jobs.torch_setup import select_device
from remibench.models import load_model, save_model
from remibench.unlearning import unlearning_cost

with job(snakemake):
    given, made = snakemake.input, snakemake.output
    params, cell = snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    started = time.perf_counter()  # not before: a job may wait for its GPU
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    spec = dataset.spec(cell.architecture)
    trained_on = dataset.roles["target_train"]
    attack = load_attack(given.attack).to(device) if given.attack else None
    published = params.published.get(dataset.metadata["paper_dataset"], {})
    for place, ratio in enumerate(params.ratios):
        forget = trained_on[read_forget_set(given.forget[place], len(trained_on))]
        images, labels = dataset.select(forget, device)
        task = ControlTask(
            model=load_model(given.target, spec, device),
            spec=spec,
            images=images,
            labels=labels,
            precision=params.precision,
            retrained=(
                load_model(given.retrained[place], spec, device) if given.retrained else None
            ),
            attack=attack,
            published=published.get(ratio),
        )
        loading_seconds = time.perf_counter() - started
        history = run_control(cell.method, task)
        save_model(made.models[place], task.model, spec)
        save_table(made.histories[place], history)
        save_json(made.costs[place], unlearning_cost(history, loading_seconds))
        started = time.perf_counter()
