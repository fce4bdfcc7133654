"""A small unlearning task, for the tests of the methods."""

import copy
from dataclasses import replace

import torch

from remibench.config.model import config_model
from remibench.models import build_model
from remibench.training import fit_classifier
from remibench.unlearning import UnlearningTask

TRAINING = {
    "epochs": 2,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 8,
    "precision": "fp32",
}


class LossGuide(torch.nn.Module):
    """A transparent membership model of the outputs: certain of membership where they are right."""

    def forward(self, features):
        loss = -(features.logits.log_softmax(dim=1) * features.label).sum(dim=1)
        return torch.sigmoid(4 * (1.0 - loss))


def make_task(spec, data):
    """16 training images (4 to forget) and 8 out-of-sample images, target fitted to the former."""
    images, labels = data
    target = build_model(spec, seed=3)
    settings = {**TRAINING, "epochs": 25}
    fit_classifier(target, images[:16], labels[:16], what="target", seed=3, **settings)
    return UnlearningTask(
        model=target,
        spec=spec,
        images=images,
        labels=labels,
        forget=torch.arange(4),
        retain=torch.arange(4, 16),
        out_of_sample=torch.arange(16, 24),
        guide=LossGuide(),
        training=TRAINING,
        training_seed=11,
        seed=12,
    )


def duplicate(task, **changes):
    """The same task with a model of its own."""
    return replace(task, model=copy.deepcopy(task.model), **changes)


def weights(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def default_parameters(method):
    """A method's parameters where the config says nothing of it."""
    sections = config_model().model_fields["unlearning"].default
    return sections.parameters(method, "fmnist", "cnn", 0.1)
