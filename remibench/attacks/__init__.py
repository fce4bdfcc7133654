"""Membership models, one access per module: what is seen of a sample, and how it is judged.

Each module has ``fit_attack(members, nonmembers, …) -> (attack, history)`` and
``load_attack(path)``; an attack has ``save(path)`` and maps
:class:`~remibench.attacks.features.MembershipFeatures` to membership probabilities. Membership
fingerprinting (the defender's) and membership inference (the attacker's) are the same model on
different data.
"""

from importlib import import_module
from pathlib import Path


def load_attack(path: str | Path):
    """Read a fitted attack of either access, in evaluation mode, on the CPU."""
    from remibench.checkpoints import load_tensors

    _, header = load_tensors(path, {"kind": "attack"})
    return import_module(f"remibench.attacks.{header['access']}").load_attack(path)
