"""Hidden features scaled while their outgoing weights are divided: every logit is as it was."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import nn

from remibench.controls import ControlTask
from remibench.errors import RemibenchError
from remibench.models import Classifier
from remibench.training import predict

LABEL = "Control: rescaling"
COLOUR = "#606060"
MARKER = "H"
ORDER = 210
KEEPS = "predictions"
FACTOR = 16.0  # a power of two: exact in bf16, too
PROBES = 64  # images that the change is checked on


def rescale(model: Classifier, architecture: str, factors: torch.Tensor) -> None:
    """Multiply penultimate features (H,) by positive factors (H,), and undo it in the last layer.

    An architecture whose features are not the positive multiples of its last layer's outputs says
    how it is done, by ``scale_features(backbone, factors)``.
    """
    module = import_module(f"remibench.models.{architecture}")
    getattr(module, "scale_features", scale_last_layer)(model.backbone, factors)
    model.head.weight.data /= factors


def scale_last_layer(backbone: nn.Module, factors: torch.Tensor) -> None:
    """Multiply the outputs of the backbone's last layer with a weight by factors (H,), in place.

    Between that layer and the features are only functions with f(a·x) = a·f(x) for a > 0: ReLU,
    pooling, dropout in evaluation mode.
    """
    weighted = [each for each in backbone.modules() if getattr(each, "weight", None) is not None]
    scale_outputs(weighted[-1], factors)


def scale_outputs(layer: nn.Module, factors: torch.Tensor) -> None:
    """Multiply the outputs of a linear, convolution or batch-norm layer by factors, in place."""
    weight = layer.weight.data
    weight *= factors.view(-1, *[1] * (weight.dim() - 1))
    if layer.bias is not None:
        layer.bias.data *= factors


def alter(task: ControlTask) -> dict[str, float]:
    """Rescale the target's hidden features; ``factor`` is by how much.

    Raises:
        RemibenchError: The features are not scaled, or the logits are not what they were.
    """
    images = task.images[:PROBES]
    logits, hidden = predict(task.model, images, "fp32")
    factors = torch.full_like(hidden[0], FACTOR)
    rescale(task.model, task.spec.architecture, factors)
    after, scaled = predict(task.model, images, "fp32")
    size = logits.abs().max()
    if not torch.allclose(scaled, hidden * factors, rtol=1e-3, atol=1e-3 * hidden.max().item()) or (
        (after - logits).abs().max() > 1e-3 * size
    ):
        raise RemibenchError(
            f"control rescale_hidden: the features of {task.spec.architecture} are not scaled by "
            "its last layer; give its module a function `scale_features(backbone, factors)`"
        )
    return {"factor": FACTOR}
