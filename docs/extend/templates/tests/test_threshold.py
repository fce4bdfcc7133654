"""The attack by loss threshold."""

import torch

from remibench.attacks import load_attack
from remibench.attacks.features import membership_features
from remibench.attacks.threshold import fit_attack


def features_with(loss):
    """Attack features of two classes with these values of the cross-entropy."""
    wrong = (torch.as_tensor(loss).exp() - 1).log()
    logits = torch.stack((torch.zeros_like(wrong), wrong), dim=1)
    labels = torch.zeros(len(wrong), dtype=torch.int64)
    return membership_features(logits, torch.ones(len(wrong), 4), labels)


MEMBERS = features_with(torch.linspace(0.1, 1.0, 10))
OTHERS = features_with(torch.linspace(1.2, 3.0, 10))


def fitted():
    return fit_attack(MEMBERS, OTHERS, label="test", seed=0)[0]


def test_separable_populations_are_separated():
    attack = fitted()
    assert (attack(MEMBERS) > 0.5).all()
    assert (attack(OTHERS) < 0.5).all()


def test_it_is_differentiable_and_survives_a_round_trip(tmp_path):
    attack = fitted()
    attack.save(tmp_path / "a.safetensors")
    loaded = load_attack(tmp_path / "a.safetensors")
    assert torch.equal(loaded(MEMBERS), attack(MEMBERS))
    logits = torch.zeros(3, 2, requires_grad=True)
    labels = torch.zeros(3, dtype=torch.int64)
    loaded(membership_features(logits, torch.ones(3, 4), labels)).sum().backward()
    assert logits.grad.abs().min() > 0
