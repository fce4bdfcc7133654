"""What all adversaries say of one model: defender, attacker, and the calibrated attacker.

The calibrated attacker brings the model that it attacks to the confidence of its shadow model
before it attacks: it fits one temperature to each of the two
(:func:`remibench.calibration.fit_temperature`) on non-members of both that it holds, and multiplies
the attacked model's logits by their ratio. A temperature that was given to the model to look like
an unlearned one is undone by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from remibench.attacks import membership
from remibench.attacks.features import MembershipFeatures, canonical_form, model_features
from remibench.calibration import fit_temperature
from remibench.models import Classifier
from remibench.splits import REFERENCE
from remibench.training import predict

CALIBRATED = "calibrated"


@dataclass(frozen=True)
class Adversaries:
    """The fitted attacks of one target model, and the images that they look at a model with.

    Attributes:
        attacks: By name, ``mf_whitebox`` ….
        references: By role of :data:`remibench.splits.REFERENCE`, uint8 images and int64 labels.
        shadow_temperature: Of the shadow model on its reference images.
        precision: See :func:`remibench.training.predict`.
    """

    attacks: Mapping[str, torch.nn.Module]
    references: Mapping[str, tuple[torch.Tensor, torch.Tensor]]
    shadow_temperature: float
    precision: str

    @classmethod
    def of_shadow(
        cls,
        shadow: Classifier,
        attacks: Mapping[str, torch.nn.Module],
        references: Mapping[str, tuple[torch.Tensor, torch.Tensor]],
        precision: str,
    ) -> Adversaries:
        """The adversaries of a target model whose shadow model is this."""
        images, labels = references[REFERENCE["mia"]]
        temperature = fit_temperature(predict(shadow, images, precision)[0], labels)
        return cls(attacks, references, temperature, precision)

    @torch.no_grad()
    def judge(
        self, model: Classifier, features: Sequence[MembershipFeatures]
    ) -> tuple[list[dict[str, torch.Tensor]], dict[str, float]]:
        """Membership probabilities of sets of images under a model.

        Args:
            model: The attacked model.
            features: Of each set under it.

        Returns:
            For each set P(member) (N,) by attack, ``calibrated_<access>`` after those of
            ``attacks``; and ``calibration_temperature``, the attacked model's, and
            ``calibration_factor``, by which the calibrated attacker multiplies its logits.
        """
        seen = {
            role: model_features(model, *images, self.precision)
            for role, images in self.references.items()
        }
        forms = {
            attack: canonical_form(seen[role].hidden, model.head.weight)
            for attack, role in REFERENCE.items()
        }
        own = REFERENCE["mia"]
        temperature = fit_temperature(seen[own].logits, self.references[own][1])
        factor = self.shadow_temperature / temperature
        return [self._scores(each, forms, factor) for each in features], {
            "calibration_temperature": temperature,
            "calibration_factor": factor,
        }

    def _scores(
        self, features: MembershipFeatures, forms: Mapping, factor: float
    ) -> dict[str, torch.Tensor]:
        views = {attack: features.in_form(form) for attack, form in forms.items()}
        views[CALIBRATED] = views["mia"].scaled(factor)
        scores = {}
        for view in views:
            for name, attack in self.attacks.items():
                holder, _, access = name.partition("_")
                if holder == ("mia" if view == CALIBRATED else view):
                    scores[f"{view}_{access}"] = membership(attack, views[view])
        return scores
