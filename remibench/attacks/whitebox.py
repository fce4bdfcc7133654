"""White-box membership model: the attack network of ML-Doctor (Liu et al., USENIX 2022).

By default the network sees what depends on the classifier's predictions alone: sorted
log-posteriors, and in place of hidden features their sorted contributions to the logits
(:mod:`remibench.attacks.features`). With ``outputs: logits`` it is the published attack: sorted
logits, and hidden features as they are.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional

from remibench.artifacts.io import fill_module, load_tensors, save_tensors
from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks.features import MembershipFeatures
from remibench.seeding import derive_seed
from remibench.training import History, fit

if TYPE_CHECKING:
    from remibench.components.bounds import Positive, PositiveFloat

ACCESS = "whitebox"
# What P(member) varies with although no prediction does, by parameter (see the package).
VARIES_WITH = {"outputs": {"logits": ("shift", "rescale_hidden", "permute_hidden")}}


class RankOneConvolution(nn.Conv2d):
    """A 1→1 convolution of the image ``error ⊗ hidden`` that never forms the image.

    With kernel K of size k and zero padding (k−1)/2, the outer product's convolution is
    out[c, j] = b + Σ_v (Σ_u error[c+u] · K[u, v]) · hidden[j+v]: a matrix product of k shifts of
    ``error`` with K, and one with k shifts of ``hidden``. The parameters are those of
    ``nn.Conv2d``.
    """

    def __init__(self, kernel_size: int) -> None:
        super().__init__(1, 1, kernel_size, padding=kernel_size // 2)

    def forward(self, error: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        """(N, C) and (N, H) → (N, 1, C, H)."""
        size, pad = self.kernel_size[0], self.padding[0]
        left, right = (
            functional.pad(factor, (pad, pad)).unfold(1, size, 1) for factor in (error, hidden)
        )  # (N, C, k), (N, H, k)
        return ((left @ self.weight[0, 0]) @ right.mT)[:, None] + self.bias


class WhiteBoxNetwork(nn.Module):
    """Four branches (outputs, loss, gradient, label) of 64 features each, and an encoder.

    ML-Doctor's network. In its code the first branch sees sorted logits and not posteriors: those
    of an overfitted model are all 1 and 0, and no gradient of the attack would reach its weights.
    Log-posteriors do not saturate either, and a constant added to all logits leaves them alone.
    There is one difference in the network: its dropout of single gradient entries does not
    factorise over a rank-one gradient, so the same drop rate is applied by dropping entries of the
    two factors, each with probability 1 − √(1 − .2).

    Args:
        classes, width: C and H of :class:`~remibench.attacks.features.MembershipFeatures`.
        outputs: ``log_posteriors``, with sorted contributions, or ``logits``, with hidden
            features as they are.
        dropout: Rate at which inputs are dropped in training.
    """

    def __init__(
        self, classes: int, width: int, outputs: str = "log_posteriors", dropout: float = 0.2
    ) -> None:
        super().__init__()
        self.published = outputs == "logits"

        def branch(inputs: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Dropout(dropout), nn.Linear(inputs, 128), nn.ReLU(), nn.Linear(128, 64)
            )

        self.outputs, self.loss, self.label = branch(classes), branch(1), branch(classes)
        self.factor_dropout = nn.Dropout(1 - (1 - dropout) ** 0.5)
        self.convolution = RankOneConvolution(5)
        self.gradient = nn.Sequential(
            nn.BatchNorm2d(1),
            nn.MaxPool2d(2),  # before the ReLU: the same function, of a quarter of the entries
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear((classes // 2) * (width // 2), 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 64),
        )
        self.encoder = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 2),
        )
        for module in self.modules():  # ML-Doctor's initialisation
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, features: MembershipFeatures) -> torch.Tensor:
        """Attack features of N samples → (N, 2) logits of (non-member, member)."""
        outputs, hidden = features.logits, features.hidden
        if not self.published:
            outputs, hidden = outputs.log_softmax(dim=1), features.contributions
        image = self.convolution(self.factor_dropout(features.error), self.factor_dropout(hidden))
        branches = (
            self.outputs(outputs.sort(dim=1, descending=True).values),
            self.loss(features.loss),
            self.gradient(image),
            self.label(features.label),
        )
        return self.encoder(torch.cat(branches, dim=1))


class WhiteBoxAttack(nn.Module):
    """A fitted white-box membership model: attack features → probability of membership."""

    def __init__(self, classes: int, width: int, outputs: str = "log_posteriors") -> None:
        super().__init__()
        self.settings = {"classes": classes, "width": width, "outputs": outputs}
        self.network = WhiteBoxNetwork(classes, width, outputs)

    def forward(self, features: MembershipFeatures) -> torch.Tensor:
        """Probability of membership (N,), differentiable in the features."""
        return self.network(features).softmax(dim=1)[:, 1]

    def save(self, path: str | Path) -> None:
        """Write the attack's checkpoint."""
        save_tensors(path, self.state_dict(), {"kind": "attack", "access": ACCESS, **self.settings})

    @classmethod
    def load(cls, path: str | Path) -> WhiteBoxAttack:
        """Read a checkpoint in evaluation mode; errors as in :mod:`remibench.artifacts.io`."""
        tensors, header = load_tensors(path, {"kind": "attack", "access": ACCESS})
        attack = cls(header["classes"], header["width"], header["outputs"])
        fill_module(attack, tensors, path)
        return attack.eval().requires_grad_(requires_grad=False)


def fit_attack(
    members: MembershipFeatures,
    nonmembers: MembershipFeatures,
    *,
    label: str,
    seed: int,
    outputs: Literal["log_posteriors", "logits"] = "log_posteriors",
    epochs: Positive = 50,
    learning_rate: PositiveFloat = 1e-5,
    batch_size: Positive = 64,
    progress: EpochCheckpoint | None = None,
) -> tuple[WhiteBoxAttack, History]:
    """Train the white-box membership model with Adam and cross-entropy.

    Args:
        members, nonmembers: Features of the two training populations.
        label, seed, progress: See :func:`remibench.training.fit`.
        outputs: log_posteriors, with sorted contributions of the hidden units: P(member) depends on
            predictions alone; logits, with hidden features as they are: the published attack.
        epochs: Passes over the attack's training features.
        learning_rate: Learning rate of Adam.
        batch_size: Samples per step.
    """
    features = MembershipFeatures.concatenate([members, nonmembers])
    device = features.loss.device
    membership = torch.zeros(len(features.loss), dtype=torch.int64, device=device)
    membership[: len(members.loss)] = 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "initialisation"))
        shape = features.label.shape[1], features.hidden.shape[1]
        attack = WhiteBoxAttack(*shape, outputs).to(device)

    def batch_loss(batch: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(attack.network(features.take(batch)), membership[batch])

    history = fit(
        attack,
        torch.optim.Adam(attack.parameters(), lr=learning_rate, fused=True),
        batch_loss,
        len(membership),
        label=label,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        progress=progress,
        capture=True,
    )
    return attack.requires_grad_(requires_grad=False), history


def build_attack(classes: int, width: int) -> WhiteBoxAttack:
    """Build an attack that is not fitted, on that many classes and penultimate features."""
    return WhiteBoxAttack(classes, width)


load_attack = WhiteBoxAttack.load
