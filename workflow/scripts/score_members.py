"""White-box MF's membership probability of every training image."""

from remibench.artifacts.io import save_array
from remibench.attacks import load_attack
from remibench.attacks.features import model_features
from remibench.data.prepared import PreparedDataset
from remibench.jobs.script import job
from remibench.jobs.torch_setup import select_device
from remibench.models import load_model

with job(snakemake):
    given = snakemake.input
    device = select_device(snakemake.params.device, snakemake.resources.vram_mb)
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    spec = dataset.spec(snakemake.wildcards.architecture)
    target = load_model(given.target, spec, device)
    images, labels = dataset.role("target_train", device)
    features = model_features(target, images, labels, snakemake.params.precision)
    scores = load_attack(given.attack).to(device)(features)
    save_array(snakemake.output.scores, scores.cpu().numpy())
