"""White-box MF's membership probability of every training image."""

from remibench.attacks import load_attack
from remibench.attacks.features import model_features, model_form
from remibench.checkpoints import load_arrays, load_images, load_json, save_array
from remibench.models import ModelSpec, load_model
from remibench.runtime import job, select_device
from remibench.splits import REFERENCE

with job(snakemake):
    given = snakemake.input
    device = select_device(snakemake.params.device, snakemake.resources.vram_mb)
    spec = ModelSpec.of(snakemake.wildcards.architecture, load_json(given.metadata))
    target = load_model(given.target, spec, device)
    roles, precision = load_arrays(given.splits), snakemake.params.precision
    images, labels = load_images(given.images, given.labels, roles["target_train"], device)
    reference, _ = load_images(given.images, given.labels, roles[REFERENCE["mf"]], device)
    form = model_form(target, reference, precision)
    features = model_features(target, images, labels, precision).in_form(form)
    scores = load_attack(given.attack).to(device)(features)
    save_array(snakemake.output.scores, scores.cpu().numpy())
