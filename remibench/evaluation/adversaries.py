"""Judgements of all adversaries on one model: defender, attacker, and calibrated attacker.

The calibrated attacker brings the model that it attacks to the confidence of its shadow model
before it attacks: it fits one temperature to each of the two
(:func:`remibench.evaluation.calibration.fit_temperature`) on non-members of both that it holds, and
multiplies the attacked model's logits by their ratio. A temperature that was given to the model to
look like an unlearned one is undone by it. Without a shadow model there is no such attacker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from remibench.attacks import membership
from remibench.attacks.features import MembershipFeatures
from remibench.evaluation.calibration import fit_temperature
from remibench.models import Classifier
from remibench.training import predict


@dataclass(frozen=True)
class Adversaries:
    """The fitted attacks of one target model, and the images that one of them calibrates with.

    Attributes:
        attacks: Attacks by name, ``mf_whitebox`` ….
        nonmembers: Images (uint8) and labels (int64) that the attacker holds, and that neither the
            attacked model nor the shadow model was trained on (``shadow_test``); None without a
            shadow model: then there is no calibrated attacker.
        shadow_temperature: Temperature of the shadow model on them.
        precision: See :func:`remibench.training.predict`.
    """

    attacks: Mapping[str, torch.nn.Module]
    nonmembers: tuple[torch.Tensor, torch.Tensor] | None
    shadow_temperature: float
    precision: str

    @classmethod
    def of_shadow(
        cls,
        shadow: Classifier,
        attacks: Mapping[str, torch.nn.Module],
        nonmembers: tuple[torch.Tensor, torch.Tensor],
        precision: str,
    ) -> Adversaries:
        """The adversaries of a target model whose shadow model is this."""
        images, labels = nonmembers
        temperature = fit_temperature(predict(shadow, images, precision)[0], labels)
        return cls(attacks, nonmembers, temperature, precision)

    @torch.no_grad()
    def judge(
        self, model: Classifier, features: Sequence[MembershipFeatures]
    ) -> tuple[list[dict[str, torch.Tensor]], dict[str, float]]:
        """Membership probabilities of sets of images under a model.

        Args:
            model: The attacked model.
            features: Features of each set under the model.

        Returns:
            For each set P(member) (N,) by attack, ``calibrated_<attack>`` after those of
            ``attacks``; and ``calibration_temperature``, the attacked model's, and
            ``calibration_factor``, by which the calibrated attacker multiplies its logits; neither
            without a shadow model.
        """
        if self.nonmembers is None:
            return [self._scores(each) for each in features], {}
        images, labels = self.nonmembers
        temperature = fit_temperature(predict(model, images, self.precision)[0], labels)
        factor = self.shadow_temperature / temperature
        record = {"calibration_temperature": temperature, "calibration_factor": factor}
        return [self._scores(each, factor) for each in features], record

    def _scores(
        self, features: MembershipFeatures, factor: float | None = None
    ) -> dict[str, torch.Tensor]:
        scores = {name: membership(attack, features) for name, attack in self.attacks.items()}
        if factor is None:
            return scores
        scaled = features.scaled(factor)
        for name, attack in self.attacks.items():
            holder, _, kind = name.partition("_")
            if holder == "mia":
                scores[f"calibrated_{kind}"] = membership(attack, scaled)
        return scores
