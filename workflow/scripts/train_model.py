"""Train one classifier: the target on target_train, or the shadow on shadow_train."""

from remibench.artifacts.io import load_arrays, load_images, load_json
from remibench.artifacts.tables import save_table
from remibench.jobs.script import job, progress_checkpoint
from remibench.jobs.torch_setup import select_device
from remibench.models import ModelSpec, build_model, save_model
from remibench.seeding import derive_seed
from remibench.training import fit_classifier

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    indices = load_arrays(given.splits)[f"{cell.role}_train"]
    images, labels = load_images(given.images, given.labels, indices, device)
    spec = ModelSpec.of(cell.architecture, load_json(given.metadata))
    seed = derive_seed(cell.dataset, cell.architecture, int(cell.seed), cell.role)
    model = build_model(spec, seed).to(device)
    progress = progress_checkpoint(snakemake)
    history = fit_classifier(
        model, images, labels, what=cell.role, seed=seed, progress=progress, **params.training
    )
    save_model(snakemake.output.model, model, spec)
    axes = {"dataset": cell.dataset, "architecture": cell.architecture, "seed": cell.seed}
    save_table(
        snakemake.output.history, [{**axes, "model": cell.role, **record} for record in history]
    )
    progress.delete()
