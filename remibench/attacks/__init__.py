"""Membership models, one access per module: what is seen of a sample, and how it is judged.

Each module has ``ACCESS``, its name, ``fit_attack(members, nonmembers, …) -> (attack, history)``
and ``load_attack(path)``; an attack has ``save(path)`` and maps
:class:`~remibench.attacks.features.MembershipFeatures` to membership probabilities. Membership
fingerprinting (the defender's) and membership inference (the attacker's) are the same model on
different data.

P(member) depends on the classifier's predictions alone. A module whose attack also varies with what
changes no prediction says so: ``VARIES_WITH``, names of such changes, or a dictionary of them by
the value of a parameter. The changes and the test are in ``tests/attacks/test_invariance.py``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from remibench.components.plugins import broken

if TYPE_CHECKING:
    import torch

    from remibench.attacks.features import MembershipFeatures


def load_attack(path: str | Path):
    """Read a fitted attack of either access, in evaluation mode, on the CPU."""
    from remibench.artifacts.io import load_tensors

    _, header = load_tensors(path, {"kind": "attack"})
    return import_module(f"remibench.attacks.{header['access']}").load_attack(path)


def membership(attack: torch.nn.Module, features: MembershipFeatures) -> torch.Tensor:
    """An attack's probabilities of membership (N,).

    Raises:
        RemibenchError: It returned something else; names the attack's file.
    """
    scores = attack(features)
    shape = tuple(getattr(scores, "shape", ()))
    if shape != (len(features.loss),) or not bool(((scores >= 0) & (scores <= 1)).all()):
        raise broken(
            type(attack).__module__,
            f"the attack returned {f'shape {shape}' if shape else scores!r:.60} for "
            f"{len(features.loss)} images; it returns a probability in [0, 1] for each",
        )
    return scores
