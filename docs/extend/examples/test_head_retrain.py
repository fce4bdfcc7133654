"""Retraining of the last layer; what every method promises is in test_unlearning.py."""

from copy import deepcopy
from dataclasses import replace

import torch

from remibench.unlearning import UnlearningTask, head_retrain


def make_task(model, spec, data):
    images, labels = data
    positions = torch.arange(24).split([4, 12, 8])
    training = {"batch_size": 8, "precision": "fp32"}
    return UnlearningTask(model, spec, images, labels, *positions, None, training, 1, 2)


def test_it_changes_the_last_layer_alone_and_lowers_the_retain_loss(model, spec, data):
    task = make_task(model, spec, data)
    before = deepcopy(model.state_dict())
    history = head_retrain.unlearn(task, epochs=5, learning_rate=0.01)
    changed = {n for n, weight in model.state_dict().items() if not weight.equal(before[n])}
    assert changed == {"head.weight", "head.bias"}
    assert history[-1]["loss"] < history[0]["loss"]


def test_the_forget_images_play_no_part(model, spec, data):
    task = make_task(deepcopy(model), spec, data)
    images = data[0].clone()
    images[:4] = 0
    other = replace(task, model=deepcopy(model), images=images)
    for each in (task, other):
        head_retrain.unlearn(each, epochs=2, learning_rate=0.01)
    assert task.model.head.weight.equal(other.model.head.weight)
