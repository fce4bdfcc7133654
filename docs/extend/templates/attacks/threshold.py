"""Membership by the loss alone (Yeom et al. 2018): what was learned has a small loss."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from remibench.artifacts.io import fill_module, load_tensors, save_tensors
from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks.features import MembershipFeatures
from remibench.training import History

ACCESS = "threshold"  # the file's name


class ThresholdAttack(nn.Module):
    """P(member) = σ((threshold − loss) / scale): above .5 where the loss is below threshold."""

    def __init__(self, threshold: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("threshold", torch.tensor(threshold))
        self.register_buffer("scale", torch.tensor(scale))

    def forward(self, features: MembershipFeatures) -> torch.Tensor:
        """Probability of membership (N,), differentiable in the features: it can guide ReMI."""
        return torch.sigmoid((self.threshold - features.loss[:, 0]) / self.scale)

    def save(self, path: str | Path) -> None:
        """Write the attack's checkpoint."""
        save_tensors(path, self.state_dict(), {"kind": "attack", "access": ACCESS})

    @classmethod
    def load(cls, path: str | Path) -> ThresholdAttack:
        """Read a checkpoint in evaluation mode; errors as in :mod:`remibench.artifacts.io`."""
        tensors, _ = load_tensors(path, {"kind": "attack", "access": ACCESS})
        attack = cls()
        fill_module(attack, tensors, path)
        return attack.eval()


# Parameters of its own would stand among these, with type and default, and be its section of the
# config, `attacks: {mf: {threshold: {…}}}`.
def fit_attack(
    members: MembershipFeatures,
    nonmembers: MembershipFeatures,
    *,
    what: str,
    seed: int,
    progress: EpochCheckpoint | None = None,
) -> tuple[ThresholdAttack, History]:
    """Choose the threshold of the greatest balanced accuracy; nothing is drawn or resumed.

    Args:
        members, nonmembers: Features of the two training populations.
        what, seed, progress: Play no part here.
    """
    inside, outside = (f.loss[:, 0].sort().values for f in (members, nonmembers))
    levels = torch.cat((inside, outside)).sort().values
    between = (levels[1:] + levels[:-1]) / 2
    rates = [torch.searchsorted(losses, between) / len(losses) for losses in (inside, outside)]
    best = (rates[0] - rates[1]).argmax()
    attack = ThresholdAttack(between[best].item(), max(levels.std().item(), 1e-6))
    return attack.to(members.loss.device).eval(), []


load_attack = ThresholdAttack.load
