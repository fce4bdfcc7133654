"""Fit one membership model and measure it on the target, on samples that it was not fitted on."""

from remibench.artifacts.tables import save_table
from remibench.attacks import check_saved, fit_attack, membership
from remibench.attacks.features import model_features
from remibench.data.prepared import PreparedDataset
from remibench.data.splits import FITTED_ON, JUDGED_ON
from remibench.evaluation.metrics.membership import attack_quality
from remibench.jobs.script import job, progress_checkpoint
from remibench.jobs.torch_setup import select_device
from remibench.models import load_model
from remibench.seeding import derive_seed

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    axes = (cell.dataset, cell.architecture, int(cell.seed), cell.adversary, cell.attack)
    device = select_device(params.device, snakemake.resources.vram_mb)
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    spec = dataset.spec(cell.architecture)
    fitted_on = load_model(given.fitted_on, spec, device)
    target = load_model(given.target, spec, device)

    def features(model, role):
        """Attack features of a role's images under a model."""
        return model_features(model, *dataset.role(role, device), params.precision)

    progress = progress_checkpoint(snakemake)
    attack = fit_attack(
        cell.attack,
        *(features(fitted_on, role) for role in FITTED_ON[cell.adversary]),
        label=f"{cell.adversary} {cell.attack}",
        seed=derive_seed(*axes),
        progress=progress,
        **params.fit,
    )
    members, nonmembers = (features(target, role) for role in JUDGED_ON[cell.adversary])
    quality = attack_quality(membership(attack, members), membership(attack, nonmembers))
    attack.save(snakemake.output.attack)
    check_saved(attack, snakemake.output.attack, nonmembers)
    save_table(snakemake.output.metrics, [quality])
    progress.delete()
