"""Features of a sample that a membership model sees: I(w) = {outputs, loss, gradient, label}.

The gradient of the cross-entropy with respect to the last linear layer's weight is rank one,
(p − e_y) ⊗ h with softmax output p, one-hot label e_y and penultimate features h. It therefore
needs no backward pass, and only its two factors are stored. Everything is differentiable in the
classifier's weights with ordinary first-order autograd, which is what ReMI's loss needs.

The penultimate features h are no part of a prediction: a network whose hidden units are permuted,
or scaled while their outgoing weights are divided by the same factors, predicts the same. What a
unit contributes to the differences between logits does not change: its activation times the norm of
its outgoing weights, from which their mean over the classes is subtracted. An attack that is to
depend on predictions alone sees a sample's contributions in descending order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch.nn import functional

from remibench.models import Classifier
from remibench.training import predict

BLOCK = 1024  # samples whose contributions are sorted at once: the order takes twice their memory


class MembershipFeatures(NamedTuple):
    """Attack features of N samples, float32, on the classifier's device.

    Attributes:
        logits: (N, C) outputs in the order of the classes.
        loss: (N, 1) cross-entropy in nats.
        error: (N, C) p − e_y, the row factor of the last layer's gradient.
        hidden: (N, H) penultimate features, its column factor.
        label: (N, C) one-hot label.
        contributions: (N, H) hidden features times the norms of their centred outgoing weights,
            each sample's in descending order. The norms are constants of the gradient.
    """

    logits: torch.Tensor
    loss: torch.Tensor
    error: torch.Tensor
    hidden: torch.Tensor
    label: torch.Tensor
    contributions: torch.Tensor

    def scaled(self, factor: float) -> MembershipFeatures:
        """The same samples under a classifier whose last layer is ``factor`` > 0 times as large."""
        logits, targets = self.logits * factor, self.label.argmax(dim=1)
        return self._replace(
            logits=logits,
            loss=functional.cross_entropy(logits, targets, reduction="none")[:, None],
            error=logits.softmax(dim=1) - self.label,
            contributions=self.contributions * factor,
        )

    def take(self, samples: torch.Tensor | slice) -> MembershipFeatures:
        """Select samples by position."""
        return MembershipFeatures(*(tensor[samples] for tensor in self))

    @property
    def posteriors(self) -> torch.Tensor:
        """(N, C) softmax outputs in the order of the classes."""
        return self.logits.softmax(dim=1)

    @classmethod
    def concatenate(cls, parts: Iterable[MembershipFeatures]) -> MembershipFeatures:
        """Join the samples of several feature sets."""
        return cls(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def membership_features(
    logits: torch.Tensor,
    hidden: torch.Tensor,
    labels: torch.Tensor,
    weight: torch.Tensor | None = None,
) -> MembershipFeatures:
    """Compute the attack features from one forward pass.

    Args:
        logits: (N, C) outputs of the last linear layer.
        hidden: (N, H) its inputs.
        labels: (N,) int64 true labels.
        weight: (C, H) its weight; None stands for outgoing weights of norm 1.
    """
    logits, hidden = logits.float(), hidden.float()
    label = functional.one_hot(labels, logits.shape[1]).float()
    loss = functional.cross_entropy(logits, labels, reduction="none")
    norms = 1.0 if weight is None else outgoing_norms(weight)
    contributions = [
        (part * norms).sort(dim=1, descending=True).values for part in hidden.split(BLOCK)
    ]
    return MembershipFeatures(
        logits,
        loss[:, None],
        logits.softmax(dim=1) - label,
        hidden,
        label,
        torch.cat(contributions),
    )


@torch.no_grad()
def outgoing_norms(weight: torch.Tensor) -> torch.Tensor:
    """Norms (H,) over classes of a last layer's weight (C, H), its mean over classes subtracted."""
    return (weight - weight.mean(dim=0)).norm(dim=0)


def model_features(
    model: Classifier, images: torch.Tensor, labels: torch.Tensor, precision: str
) -> MembershipFeatures:
    """Attack features of uint8 images (N, C, S, S) under a model, without gradients.

    For ``precision`` see :func:`remibench.training.predict`.
    """
    return membership_features(*predict(model, images, precision), labels, model.head.weight)
