"""What only benchmarks use is held to what the workflow does."""

from dataclasses import replace

import pytest
import torch

from benchmarks.hot_paths import SPEC, random_images
from benchmarks.seeds_together import train_together
from remibench.models import build_model
from remibench.training import fit_classifier

SETTINGS = {"momentum": 0.9, "weight_decay": 5e-4, "batch_size": 16, "epochs": 2}


@pytest.mark.parametrize(("architecture", "rate"), [("cnn", 1e-2), ("resnet18", 1e-4)])
def test_seeds_trained_together_equal_seeds_trained_in_turn_to_rounding(architecture, rate):
    """At a small rate for batch-norm, which amplifies rounding at every step."""
    spec = replace(SPEC, architecture=architecture, image_size=32)
    images, labels = random_images(40, 32)
    together, in_turn = ([build_model(spec, seed) for seed in (0, 1)] for _ in range(2))
    settings = {**SETTINGS, "learning_rate": rate}
    train_together(together, images, labels, seeds=(5, 6), **settings)
    for seed, model, other in zip((5, 6), in_turn, together, strict=True):
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        fit_classifier(model, images, labels, what="", seed=seed, precision="fp32", **settings)
        torch.testing.assert_close(other.state_dict(), model.state_dict(), rtol=1e-3, atol=1e-3)
        moved = max(
            (tensor - before[name]).abs().max() for name, tensor in model.state_dict().items()
        )
        assert moved > 0.01, "nothing was trained: nothing was compared"
        assert not other.training
