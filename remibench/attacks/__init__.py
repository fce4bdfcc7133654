"""Membership models, one attack per module: what is seen of a sample, and how it is judged.

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
from typing import TYPE_CHECKING, Any

from remibench.components.guards import guarded, is_plugin
from remibench.components.plugins import broken, call
from remibench.errors import DivergedError

if TYPE_CHECKING:
    import torch

    from remibench.attacks.features import MembershipFeatures


def load_attack(path: str | Path):
    """Read a fitted attack of any module, in evaluation mode, on the CPU."""
    from remibench.artifacts.io import load_tensors

    _, header = load_tensors(path, {"kind": "attack"})
    return import_module(f"remibench.attacks.{header['access']}").load_attack(path)


def fit_attack(
    name: str, members: MembershipFeatures, nonmembers: MembershipFeatures, **options: Any
) -> torch.nn.Module:
    """Fit the attack of a module.

    Args:
        name: Name of the module.
        members, nonmembers: Features of the two training populations.
        options: ``label``, ``seed``, ``progress``, and the attack's section of the config.

    Raises:
        RemibenchError: It returned something else, left the attack in training mode, changed the
            features or used a global random generator; names the attack's file.
    """
    module = f"remibench.attacks.{name}"
    features = {
        f"{role}.{field}": tensor
        for role, each in (("members", members), ("nonmembers", nonmembers))
        for field, tensor in (each._asdict().items() if is_plugin(module) else ())
    }
    with guarded(module, "fit_attack", unchanged=features):
        fitted = call(import_module(module), "fit_attack", tuple, members, nonmembers, **options)
    if is_plugin(module) and (len(fitted) != 2 or getattr(fitted[0], "training", True)):
        raise broken(
            module, "`fit_attack` returns (attack, history), the attack in evaluation mode: .eval()"
        )
    return fitted[0]


def check_saved(attack: torch.nn.Module, path: str | Path, features: MembershipFeatures) -> None:
    """Read a plug-in's attack back from its file, and see that it judges as it did.

    Raises:
        RemibenchError: It gives other probabilities than before; names the attack's file.
    """
    module = type(attack).__module__
    if is_plugin(module):
        loaded = membership(load_attack(path).to(features.loss.device), features)
        if not loaded.equal(membership(attack, features)):
            raise broken(
                module,
                "`load_attack` reads another attack than `save` wrote: P(member) differs; save all "
                "that it computes with",
            )


def membership(attack: torch.nn.Module, features: MembershipFeatures) -> torch.Tensor:
    """An attack's probabilities of membership (N,).

    Raises:
        DivergedError: The attacked model's outputs are not finite.
        RemibenchError: It returned something else; names the attack's file.
    """
    scores = attack(features)
    shape = tuple(getattr(scores, "shape", ()))
    if shape == (len(features.loss),) and bool(scores.isnan().any()):
        if not bool(features.logits.isfinite().all()):
            raise DivergedError(
                "outputs of the attacked model are not finite: its training or unlearning "
                "diverged; lower the learning rate there"
            )
        raise broken(
            type(attack).__module__,
            f"the attack returned NaN for {int(scores.isnan().sum())} of {len(scores)} images; it "
            "returns a probability in [0, 1] for each",
        )
    if shape != (len(features.loss),) or not bool(((scores >= 0) & (scores <= 1)).all()):
        raise broken(
            type(attack).__module__,
            f"the attack returned {f'shape {shape}' if shape else scores!r:.60} for "
            f"{len(features.loss)} images; it returns a probability in [0, 1] for each",
        )
    return scores
