"""Fit one membership model and measure it on the target, on samples that it was not fitted on."""

from importlib import import_module

from remibench.attacks import membership
from remibench.attacks.features import model_features, model_form
from remibench.checkpoints import load_arrays, load_images, load_json, save_table
from remibench.metrics.membership import attack_quality
from remibench.models import ModelSpec, load_model
from remibench.plugins import call
from remibench.runtime import job, progress_checkpoint, select_device
from remibench.seeding import derive_seed
from remibench.splits import FITTED_ON, JUDGED_ON, REFERENCE

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    device = select_device(params.device, snakemake.resources.vram_mb)
    roles = load_arrays(given.splits)
    spec = ModelSpec.of(cell.architecture, load_json(given.metadata))
    fitted_on = load_model(given.fitted_on, spec, device)
    target = load_model(given.target, spec, device)

    def load(role):
        """Images and labels of a role."""
        return load_images(given.images, given.labels, roles[role], device)

    def features(model, roles_of):
        """Attack features of the images of two roles under a model, in its canonical form."""
        form = model_form(model, load(REFERENCE[cell.attack])[0], params.precision)
        for role in roles_of[cell.attack]:
            yield model_features(model, *load(role), params.precision).in_form(form)

    progress = progress_checkpoint(snakemake)
    attack, _ = call(
        import_module(f"remibench.attacks.{cell.access}"),
        "fit_attack",
        tuple,
        *features(fitted_on, FITTED_ON),
        what=f"{cell.attack} {cell.access}",
        seed=derive_seed(cell.dataset, cell.architecture, int(cell.seed), cell.attack, cell.access),
        progress=progress,
        **params.fit,
    )
    members, nonmembers = (membership(attack, seen) for seen in features(target, JUDGED_ON))
    attack.save(snakemake.output.attack)
    save_table(snakemake.output.metrics, [attack_quality(members, nonmembers)])
    progress.delete()
