"""White-box MF's membership probability of every training image."""

from remibench.artifacts.io import load_arrays, load_images, load_json, save_array
from remibench.attacks import load_attack
from remibench.attacks.features import model_features
from remibench.jobs.script import job
from remibench.jobs.torch_setup import select_device
from remibench.models import ModelSpec, load_model

with job(snakemake):
    given = snakemake.input
    device = select_device(snakemake.params.device, snakemake.resources.vram_mb)
    spec = ModelSpec.of(snakemake.wildcards.architecture, load_json(given.metadata))
    target = load_model(given.target, spec, device)
    indices = load_arrays(given.splits)["target_train"]
    images, labels = load_images(given.images, given.labels, indices, device)
    features = model_features(target, images, labels, snakemake.params.precision)
    scores = load_attack(given.attack).to(device)(features)
    save_array(snakemake.output.scores, scores.cpu().numpy())
