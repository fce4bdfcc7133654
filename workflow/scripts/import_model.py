"""Bring in a trained classifier: validate its checkpoint, and measure it on its training images."""

from pathlib import Path

from remibench.artifacts.foreign import load_weights
from remibench.artifacts.tables import save_table
from remibench.data.prepared import PreparedDataset
from remibench.jobs.script import job
from remibench.jobs.torch_setup import select_device
from remibench.models import build_model, check_classifier, save_model
from remibench.training import measure_classifier

with job(snakemake):
    given, params, cell = snakemake.input, snakemake.params, snakemake.wildcards
    dataset = PreparedDataset.open(given.images, given.labels, given.metadata, given.splits)
    images, labels = dataset.role(f"{cell.role}_train", select_device("cpu", 0))
    spec = dataset.spec(cell.architecture)
    model = load_weights(Path(given.checkpoint), build_model(spec)).eval()
    label = f"{cell.role} of {given.checkpoint}"
    history = measure_classifier(model, images, labels, label=label, precision=params.precision)
    check_classifier(model, spec, images[:4])
    save_model(snakemake.output.model, model, spec)
    save_table(snakemake.output.history, history)
