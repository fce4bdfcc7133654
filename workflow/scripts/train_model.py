"""Train one classifier: the target on target_train, or the shadow on shadow_train."""

from remibench.artifacts.tables import save_table
from remibench.data.prepared import PreparedDataset
from remibench.jobs.script import job, progress_checkpoint
from remibench.jobs.torch_setup import select_device
from remibench.models import build_model, check_classifier, save_model
from remibench.seeding import derive_seed
from remibench.training import fit_classifier

HELD_OUT = 500  # images at most, whose accuracy the training curves show

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    images, labels = dataset.role(f"{cell.role}_train", device)
    spec = dataset.spec(cell.architecture)
    seed = derive_seed(cell.dataset, cell.architecture, int(cell.seed), cell.role)
    model = build_model(spec, seed).to(device)
    progress = progress_checkpoint(snakemake)
    held_out = dataset.roles[f"{cell.role}_test"]
    unseen = dataset.select(held_out[:: -(-len(held_out) // HELD_OUT)], device)
    history = fit_classifier(
        model,
        images,
        labels,
        label=cell.role,
        seed=seed,
        progress=progress,
        held_out=unseen,
        **params.training,
    )
    check_classifier(model, spec, images[:4])
    save_model(snakemake.output.model, model, spec)
    save_table(snakemake.output.history, history)
    progress.delete()
