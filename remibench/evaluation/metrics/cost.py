"""Cost of unlearning: seconds and epochs."""

from remibench.evaluation.metrics import Evaluation, Rows

NAMES = ("seconds", "seconds_attack_loss", "epochs")  # of its rows


def measure(evaluation: Evaluation) -> Rows:
    """Yield the run's ``seconds``, ``seconds_attack_loss`` and ``epochs``."""
    for metric, value in sorted(evaluation.cost.items()):
        yield "", metric, float(value)
