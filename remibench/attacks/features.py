"""What a membership model sees of a sample: I(w) = {outputs, loss, gradient, label}.

The gradient of the cross-entropy with respect to the last linear layer's weight is rank one,
(p − e_y) ⊗ h with softmax output p, one-hot label e_y and penultimate features h. It therefore
needs no backward pass, and only its two factors are stored. Everything is differentiable in the
classifier's weights with ordinary first-order autograd, which is what ReMI's loss needs.

The penultimate features h are no part of a prediction: a network whose hidden units are permuted,
or scaled while their outgoing weights are divided by the same factors, predicts the same. An attack
that is to depend on predictions alone therefore sees them in canonical form
(:class:`CanonicalForm`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch.nn import functional

from remibench.models import Classifier
from remibench.training import predict


class MembershipFeatures(NamedTuple):
    """Attack features of N samples, float32, on the classifier's device.

    Attributes:
        logits: (N, C) outputs in the order of the classes.
        loss: (N, 1) cross-entropy in nats.
        error: (N, C) p − e_y, the row factor of the last layer's gradient.
        hidden: (N, H) penultimate features, its column factor.
        label: (N, C) one-hot label.
        canonical: (N, H) the penultimate features in the classifier's canonical form; as they are
            until :meth:`in_form` is told the form.
    """

    logits: torch.Tensor
    loss: torch.Tensor
    error: torch.Tensor
    hidden: torch.Tensor
    label: torch.Tensor
    canonical: torch.Tensor

    def in_form(self, form: CanonicalForm) -> MembershipFeatures:
        """The same samples, their penultimate features in the canonical form ``form``."""
        return self._replace(canonical=form(self.hidden))

    def scaled(self, factor: float) -> MembershipFeatures:
        """The same samples under a classifier whose logits are ``factor`` times as large."""
        logits, labels = self.logits * factor, self.label.argmax(dim=1)
        return membership_features(logits, self.hidden, labels)._replace(canonical=self.canonical)

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


class CanonicalForm(NamedTuple):
    """How the hidden units of one classifier are scaled and ordered, whatever its weights are.

    Every unit is divided by its root mean square over reference images. The units are then put in
    descending order of their mean over these images, plus their share in what all units contribute
    to the differences between logits. A unit's contribution is its root mean square times the norm
    of its outgoing weights, from which their mean over the classes is subtracted. The mean decides
    alone almost everywhere; the share, of the order of 1 / H, tells units apart that are active on
    a single reference image each, whose means are all equal.

    Two classifiers that differ by a permutation of their units, by a positive factor for each unit,
    or by a term that is added to all logits have the same canonical features. A unit that is zero
    on all reference images is zero and comes last. Units that tie to rounding can change places.

    Attributes:
        scale: (H,) float32 inverse root mean squares, 0 where a unit is zero on all reference
            images.
        order: (H,) int64 units in their canonical order.
    """

    scale: torch.Tensor
    order: torch.Tensor

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Penultimate features (N, H) in canonical form, differentiable in them."""
        return (hidden * self.scale)[:, self.order]


@torch.no_grad()
def canonical_form(hidden: torch.Tensor, weight: torch.Tensor) -> CanonicalForm:
    """The canonical form of a classifier's hidden units; it is a constant of its gradients.

    Args:
        hidden: (N, H) penultimate features of reference images: images that whoever attacks holds,
            and that no classifier that is measured with them was trained on.
        weight: (C, H) weight of the last layer.
    """
    seen = hidden.double()
    rms = seen.square().mean(dim=0).sqrt()
    scale = torch.where(rms > 0, 1 / rms, 0)
    outgoing = weight.double() - weight.double().mean(dim=0)
    contribution = rms * outgoing.norm(dim=0)
    share = contribution / contribution.sum().clamp_min(torch.finfo(torch.float64).tiny)
    order = (seen.mean(dim=0) * scale + share).argsort(descending=True, stable=True)
    return CanonicalForm(scale.to(hidden.dtype), order)


def model_form(model: Classifier, images: torch.Tensor, precision: str) -> CanonicalForm:
    """The canonical form of a model's hidden units from uint8 reference images (N, C, S, S)."""
    return canonical_form(predict(model, images, precision)[1], model.head.weight)


def membership_features(
    logits: torch.Tensor, hidden: torch.Tensor, labels: torch.Tensor
) -> MembershipFeatures:
    """Compute the attack features from one forward pass.

    Args:
        logits: (N, C) outputs of the last linear layer.
        hidden: (N, H) its inputs.
        labels: (N,) int64 true labels.
    """
    logits, hidden = logits.float(), hidden.float()
    label = functional.one_hot(labels, logits.shape[1]).float()
    loss = functional.cross_entropy(logits, labels, reduction="none")
    error = logits.softmax(dim=1) - label
    return MembershipFeatures(logits, loss[:, None], error, hidden, label, hidden)


def model_features(
    model: Classifier, images: torch.Tensor, labels: torch.Tensor, precision: str
) -> MembershipFeatures:
    """Attack features of uint8 images (N, C, S, S) under a model, without gradients.

    For ``precision`` see :func:`remibench.training.predict`.
    """
    return membership_features(*predict(model, images, precision), labels)
