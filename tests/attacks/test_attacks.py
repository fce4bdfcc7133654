"""Attack features, the two membership models, and their checkpoints."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from remibench.attacks import blackbox, load_attack, whitebox
from remibench.attacks.features import MembershipFeatures, membership_features, model_features
from remibench.errors import RemibenchError
from remibench.evaluation.roc import area_under_roc


def random_features(count, classes=4, width=16, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(count, classes, generator=generator) * 2 + shift
    hidden = torch.randn(count, width, generator=generator).relu()
    labels = torch.randint(classes, (count,), generator=generator)
    return membership_features(logits, hidden, labels)


def test_closed_form_gradient_equals_autograd_per_sample(model, data):
    images, labels = data
    features = model_features(model, images, labels, "fp32")
    for sample in range(len(labels)):
        model.zero_grad()
        loss = functional.cross_entropy(model(images[sample : sample + 1]), labels[sample, None])
        loss.backward()
        product = torch.outer(features.error[sample], features.hidden[sample])
        torch.testing.assert_close(product, model.head.weight.grad, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(features.error[sample], model.head.bias.grad, atol=1e-6, rtol=0)
        torch.testing.assert_close(features.loss[sample, 0], loss.detach())


def test_features_are_differentiable_in_the_classifiers_weights(model, data):
    images, labels = data
    hidden = model.features(images)
    features = membership_features(model.head(hidden), hidden, labels)
    attack = whitebox.WhiteBoxAttack(4, 512).eval()
    attack(features).mean().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.backbone.parameters())


@pytest.mark.parametrize(("classes", "width"), [(10, 512), (4, 7), (3, 5)])
def test_rank_one_convolution_equals_conv2d_on_the_outer_product(classes, width):
    torch.manual_seed(0)
    ours = whitebox.RankOneConvolution(5)
    plain = nn.Conv2d(1, 1, 5, padding=2)
    plain.load_state_dict(ours.state_dict())
    error, hidden = torch.randn(6, classes), torch.randn(6, width)
    expected = plain((error[:, :, None] * hidden[:, None, :])[:, None])
    torch.testing.assert_close(ours(error, hidden), expected, rtol=1e-5, atol=1e-5)
    expected.square().mean().backward()
    ours(error, hidden).square().mean().backward()
    torch.testing.assert_close(ours.weight.grad, plain.weight.grad, rtol=1e-4, atol=1e-5)


def test_factor_dropout_keeps_gradient_entries_at_the_published_rate():
    network = whitebox.WhiteBoxNetwork(10, 16).train()
    seen = []
    network.convolution.register_forward_pre_hook(lambda _, factors: seen.append(factors))
    torch.manual_seed(0)
    ones = MembershipFeatures(*(torch.ones(2000, size) for size in (10, 1, 10, 16, 10, 16)))
    network(ones)
    error, hidden = seen[0]
    kept = error[:, :, None] * hidden[:, None, :]
    assert (kept > 0).float().mean().item() == pytest.approx(0.8, abs=0.01)
    assert kept.mean().item() == pytest.approx(1.0, abs=0.01)  # unbiased, as dropout is


def fit_whitebox(members, nonmembers, **changes):
    settings = {"seed": 1, "epochs": 5, "learning_rate": 1e-3, "batch_size": 32, **changes}
    return whitebox.fit_attack(members, nonmembers, what="mf whitebox", **settings)


def test_white_box_attack_learns_to_tell_populations_apart():
    populations = [random_features(300, seed=s).scaled(1 + 2 * s) for s in (0, 1)]
    held_out = [random_features(300, seed=s + 10).scaled(1 + 2 * s) for s in (0, 1)]
    attack, history = fit_whitebox(populations[1], populations[0], epochs=15)
    members, nonmembers = attack(held_out[1]).numpy(), attack(held_out[0]).numpy()
    assert area_under_roc(members, nonmembers) > 0.9
    assert history[-1]["loss"] < history[0]["loss"]
    assert not attack.training


def test_white_box_attack_sees_outputs_in_sorted_order():
    features = random_features(8)
    swapped = features._replace(logits=features.logits.flip(1))
    attack = whitebox.WhiteBoxAttack(4, 16).eval()
    torch.testing.assert_close(attack(swapped), attack(features))


@pytest.fixture(scope="module")
def art_pair():
    members, nonmembers = random_features(120, seed=1, shift=0.5), random_features(120, seed=2)
    settings = {"seed": 3, "epochs": 3, "learning_rate": 1e-3, "batch_size": 50}
    ours, _ = blackbox.fit_attack(members, nonmembers, what="mia blackbox", **settings)
    return ours, blackbox.fit_art_attack(members, nonmembers, **settings)


def test_black_box_attack_equals_arts_own_infer(art_pair):
    ours, art = art_pair
    features = random_features(50, seed=9)
    theirs = art.infer(
        x=None,
        y=features.label.numpy(),
        pred=features.posteriors.numpy(),
        probabilities=True,
    )
    np.testing.assert_allclose(ours(features).numpy(), theirs[:, 0], rtol=1e-5, atol=1e-6)


def test_black_box_attack_is_differentiable_in_the_outputs(art_pair):
    features = random_features(5)
    logits = features.logits.requires_grad_()
    art_pair[0](features._replace(logits=logits)).sum().backward()
    assert logits.grad.abs().sum() > 0


def test_black_box_attack_sees_neither_gradient_nor_loss(art_pair):
    features = random_features(5)
    changed = features._replace(loss=features.loss + 1, hidden=features.hidden * 0)
    assert torch.equal(art_pair[0](changed), art_pair[0](features))


def test_attacks_survive_a_round_trip_and_refuse_each_other(art_pair, tmp_path):
    features = random_features(5)
    white, _ = fit_whitebox(random_features(40, seed=1), random_features(40, seed=2), epochs=1)
    for attack in (white, art_pair[0]):
        attack.save(tmp_path / "attack.safetensors")
        loaded = load_attack(tmp_path / "attack.safetensors")
        assert torch.equal(loaded(features), attack(features))
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with pytest.raises(RemibenchError, match="holds access='blackbox', expected 'whitebox'"):
        whitebox.load_attack(tmp_path / "attack.safetensors")


def test_attack_fits_are_deterministic():
    populations = random_features(40, seed=1), random_features(40, seed=2)
    for fit in (whitebox.fit_attack, blackbox.fit_attack):
        states = []
        for noise in (1, 2):
            torch.manual_seed(noise)
            attack, _ = fit(
                *populations, what="x", seed=4, epochs=2, learning_rate=1e-3, batch_size=16
            )
            states.append(copy.deepcopy(attack.state_dict()))
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_attack_that_diverges_is_refused():
    populations = random_features(40, seed=1), random_features(40, seed=2)
    with pytest.raises(RemibenchError, match="mf whitebox: the loss became"):
        fit_whitebox(*populations, learning_rate=1e30)
    with pytest.raises(
        RemibenchError, match="mia blackbox: ART's training failed at learning rate"
    ):
        blackbox.fit_attack(
            *populations, what="mia blackbox", seed=1, epochs=2, learning_rate=1e30, batch_size=8
        )


def test_feature_sets_join_and_split():
    features = random_features(6)
    joined = MembershipFeatures.concatenate(
        [features.take(slice(0, 2)), features.take(slice(2, 6))]
    )
    assert all(torch.equal(a, b) for a, b in zip(joined, features, strict=True))
