"""Classification accuracy on forget set, retain set and test images, with their sizes."""

from remibench.evaluation.metrics import Evaluation, Rows

NAMES = ("accuracy", "loss", "images")  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield ``accuracy`` (share in [0, 1]), ``loss`` (nats) and ``images`` of every subset."""
    correct = (evaluation.features.logits.argmax(1) == evaluation.labels).float()
    for subset, positions in evaluation.subsets.items():
        yield subset, "accuracy", correct[positions].mean().item()
        yield subset, "loss", evaluation.features.loss[positions].mean().item()
        yield subset, "images", float(len(positions))
