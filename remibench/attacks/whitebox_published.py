"""White-box membership model as published: it sees logits, and hidden features as they are.

The attack of :mod:`remibench.attacks.whitebox` with the inputs of ML-Doctor's code. What it says of
an image changes where no prediction does: with a constant added to all logits, and with hidden
units that are rescaled or permuted. It is here to reproduce what was published with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks import whitebox
from remibench.attacks.features import MembershipFeatures
from remibench.training import History

if TYPE_CHECKING:
    from remibench.components.bounds import Positive, PositiveFloat

ACCESS = "whitebox_published"
VARIES_WITH = ("shift", "rescale_hidden", "permute_hidden")


def fit_attack(
    members: MembershipFeatures,
    nonmembers: MembershipFeatures,
    *,
    label: str,
    seed: int,
    epochs: Positive = 50,
    learning_rate: PositiveFloat = 1e-5,
    batch_size: Positive = 64,
    progress: EpochCheckpoint | None = None,
) -> tuple[whitebox.WhiteBoxAttack, History]:
    """Train the white-box membership model on the published inputs, with Adam and cross-entropy.

    Args:
        members, nonmembers: Features of the two training populations.
        label, seed, progress: See :func:`remibench.training.fit`.
        epochs: Passes over the attack's training features.
        learning_rate: Rate of Adam.
        batch_size: Samples per step.
    """
    return whitebox.fit_attack(
        members,
        nonmembers,
        label=label,
        seed=seed,
        outputs="logits",
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        progress=progress,
    )


build_attack, load_attack = whitebox.build_attack, whitebox.load_attack
