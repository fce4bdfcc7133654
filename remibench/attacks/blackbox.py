"""Black-box membership model: the Adversarial Robustness Toolbox's (ART's).

ART's ``MembershipInferenceBlackBox`` is fitted. What it fitted, the scaler and the network, is kept
as a differentiable function of the classifier's posteriors, so that ReMI can be guided by it and
evaluation need not import ART.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from remibench.artifacts.io import fill_module, load_tensors, save_tensors
from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks.features import MembershipFeatures
from remibench.errors import RemibenchError
from remibench.seeding import derive_seed
from remibench.training import History

if TYPE_CHECKING:
    from remibench.components.bounds import Positive, PositiveFloat

ACCESS = "blackbox"


class BlackBoxAttack(nn.Module):
    """ART's fitted scaler and network: attack features → probability of membership.

    The layers and their names are those of ART 1.20's network for predictions with labels; a test
    compares the output with ART's ``infer``.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("mean", torch.zeros(classes))
        self.register_buffer("scale", torch.ones(classes))
        self.features = nn.Sequential(
            nn.Linear(classes, 512),
            nn.ReLU(),
            nn.Linear(512, 100),
            nn.ReLU(),
            nn.Linear(100, 64),
            nn.ReLU(),
        )
        self.labels = nn.Sequential(
            nn.Linear(classes, 256), nn.ReLU(), nn.Linear(256, 64), nn.ReLU()
        )
        self.combine = nn.Sequential(nn.Linear(128, 1))

    def forward(self, features: MembershipFeatures) -> torch.Tensor:
        """Probability of membership (N,), differentiable in ``features.posteriors``."""
        scaled = (features.posteriors - self.mean) / self.scale
        joint = torch.cat((self.features(scaled), self.labels(features.label)), dim=1)
        return self.combine(joint).squeeze(1).sigmoid()

    def save(self, path: str | Path) -> None:
        """Write the attack's checkpoint."""
        header = {"kind": "attack", "access": ACCESS, "classes": self.classes}
        save_tensors(path, self.state_dict(), header)

    @classmethod
    def load(cls, path: str | Path) -> BlackBoxAttack:
        """Read a checkpoint in evaluation mode; errors as in :mod:`remibench.artifacts.io`."""
        tensors, header = load_tensors(path, {"kind": "attack", "access": ACCESS})
        attack = cls(header["classes"])
        fill_module(attack, tensors, path)
        return attack.eval().requires_grad_(requires_grad=False)


def fit_attack(
    members: MembershipFeatures,
    nonmembers: MembershipFeatures,
    *,
    label: str,
    seed: int,
    epochs: Positive = 100,
    learning_rate: PositiveFloat = 1e-4,
    batch_size: Positive = 100,
    progress: EpochCheckpoint | None = None,
) -> tuple[BlackBoxAttack, History]:
    """Fit ART's attack on cached posteriors and labels (its network and scaler: "nn", "standard").

    ART runs the whole training in one call: it is not resumed, and there is no history. The
    defaults are ART's.

    Args:
        members, nonmembers: Features of the two training populations.
        label: Name for the error message.
        seed: Seed of initialisation and shuffling.
        epochs: ART's nn_model_epochs.
        learning_rate: ART's nn_model_learning_rate.
        batch_size: ART's nn_model_batch_size.
        progress: Not used.

    Raises:
        RemibenchError: ART's training diverged.
    """
    try:
        fitted = fit_art_attack(members, nonmembers, seed, epochs, learning_rate, batch_size)
    except RuntimeError as error:
        raise RemibenchError(
            f"{label}: ART's training failed at learning rate {learning_rate} ({error}); "
            "lower the learning rate"
        ) from error
    attack = BlackBoxAttack(members.label.shape[1])
    attack.load_state_dict(
        {
            "mean": torch.as_tensor(fitted.scaler.mean_, dtype=torch.float32),
            "scale": torch.as_tensor(fitted.scaler.scale_, dtype=torch.float32),
            **fitted.attack_model.cpu().state_dict(),
        }
    )
    return attack.to(members.loss.device).eval().requires_grad_(requires_grad=False), []


def fit_art_attack(
    members: MembershipFeatures,
    nonmembers: MembershipFeatures,
    seed: int,
    epochs: int,
    learning_rate: float,
    batch_size: int,
):
    """Return ART's fitted ``MembershipInferenceBlackBox``."""
    from art.attacks.inference.membership_inference import MembershipInferenceBlackBox
    from art.estimators.classification import BlackBoxClassifier

    estimator = BlackBoxClassifier(
        lambda _: None, input_shape=(1,), nb_classes=members.label.shape[1]
    )  # never asked: the predictions are cached
    attack = MembershipInferenceBlackBox(
        estimator,
        nn_model_epochs=epochs,
        nn_model_learning_rate=learning_rate,
        nn_model_batch_size=batch_size,
    )
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, "art"))
        attack.fit(
            pred=members.posteriors.cpu().numpy(),
            y=members.label.cpu().numpy(),
            test_pred=nonmembers.posteriors.cpu().numpy(),
            test_y=nonmembers.label.cpu().numpy(),
        )
    return attack


def build_attack(classes: int, width: int) -> BlackBoxAttack:
    """Build an attack that is not fitted, on that many classes; it sees no penultimate features."""
    return BlackBoxAttack(classes)


load_attack = BlackBoxAttack.load
