"""Retraining of the last layer; tests/components/test_contracts.py has every method's promise."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from support.tasks import make_task

from remibench.models import ModelSpec
from remibench.unlearning import head_retrain


@pytest.fixture
def task():
    """Sixteen random training images, the first four to be forgotten."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (24, 1, 24, 24), dtype=torch.uint8, generator=generator)
    labels = torch.randint(4, (24,), generator=generator)
    return make_task(ModelSpec("mlp", 1, 24, 4, (0.13,), (0.31,)), (images, labels))


def test_it_changes_the_last_layer_alone_and_lowers_the_retain_loss(task):
    model = task.model
    before = deepcopy(model.state_dict())
    history = head_retrain.unlearn(task, epochs=5, learning_rate=0.01)
    changed = {n for n, weight in model.state_dict().items() if not weight.equal(before[n])}
    assert changed == {"head.weight", "head.bias"}
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_forget_images_play_no_part(task):
    images = task.images.clone()
    images[task.forget] = 0
    other = replace(task, model=deepcopy(task.model), images=images)
    for each in (task, other):
        head_retrain.unlearn(each, epochs=2, learning_rate=0.01)
    assert task.model.head.weight.equal(other.model.head.weight)
