"""The training loop against a plain one, resumption, failures."""

import copy

import pytest
import torch
from torch import nn

from remibench.checkpoints import EpochCheckpoint
from remibench.errors import RemibenchError
from remibench.models import build_model
from remibench.seeding import derive_seed
from remibench.training import fit_classifier, predict

SETTINGS = {
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 10,
    "precision": "fp32",
}


def train(model, data, epochs=3, **changes):
    return fit_classifier(
        model, *data, what="target", seed=5, epochs=epochs, **{**SETTINGS, **changes}
    )


def states_equal(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_fit_equals_a_plain_pytorch_loop(model, data):
    images, labels = data
    plain = copy.deepcopy(model)
    history = train(model, data)
    optimizer = torch.optim.SGD(plain.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    losses = []
    for epoch in range(1, 4):
        torch.manual_seed(derive_seed(5, "epoch", epoch))
        order, total = torch.randperm(24), 0.0
        for start in range(0, 24, 10):
            batch = order[start : start + 10]
            normalised = (images[batch].float() / 255 - 0.13) / 0.31
            loss = nn.functional.cross_entropy(
                plain.head(plain.backbone(normalised)), labels[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        losses.append(total / 24)
    assert [record["loss"] for record in history] == pytest.approx(losses, rel=1e-4)
    for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    assert not model.training


def test_the_same_seed_gives_the_same_bits_whatever_the_global_generator(spec, data):
    torch.manual_seed(1)
    first = build_model(spec, seed=2)
    train(first, data)
    torch.manual_seed(99)
    second = build_model(spec, seed=2)
    train(second, data)
    assert states_equal(first, second)
    third = build_model(spec, seed=3)
    assert not states_equal(build_model(spec, seed=2), third)


def test_training_leaves_the_global_generator_alone(model, data):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    train(model, data)
    assert torch.equal(torch.rand(3), expected)


def test_a_resumed_run_equals_the_uninterrupted_one(spec, data, tmp_path):
    whole = build_model(spec, seed=2)
    expected = train(whole, data, epochs=4)

    class Interrupted(EpochCheckpoint):
        def save(self, model, optimizer, history):
            super().save(model, optimizer, history)
            if len(history) == 2:
                raise KeyboardInterrupt

    def checkpoint(kind):
        return kind(tmp_path, key={"seed": 5}, every_seconds=0)

    broken = build_model(spec, seed=2)
    with pytest.raises(KeyboardInterrupt):
        train(broken, data, epochs=4, progress=checkpoint(Interrupted))
    resumed = build_model(spec, seed=77)  # a new process: its initial weights do not matter
    progress = checkpoint(EpochCheckpoint)
    history = train(resumed, data, epochs=4, progress=progress)
    assert states_equal(whole, resumed)
    assert [r["loss"] for r in history] == [r["loss"] for r in expected]
    progress.delete()
    assert list(tmp_path.iterdir()) == []


def test_progress_of_another_job_or_a_damaged_file_is_not_used(model, data, tmp_path):
    saved = EpochCheckpoint(tmp_path, key="a", every_seconds=0)
    train(model, data, epochs=1, progress=saved)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = EpochCheckpoint(tmp_path, key="b")
    assert other.restore(model, optimizer) == []
    saved.path.write_bytes(saved.path.read_bytes()[:100])
    assert saved.restore(model, optimizer) == []
    assert not saved.path.exists()


def test_a_non_finite_loss_stops_with_epoch_rate_and_name(model, data):
    with pytest.raises(RemibenchError, match=r"target: the loss became .* in epoch \d at learning"):
        train(model, data, epochs=5, learning_rate=1e20)


def test_bf16_training_works_and_differs_only_by_rounding(spec, data):
    losses = {}
    for precision in ("fp32", "bf16"):
        model = build_model(spec, seed=2)
        losses[precision] = train(model, data, precision=precision)[0]["loss"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_predict_returns_the_head_of_its_features(model, data):
    logits, features = predict(model, data[0], batch_size=7)
    torch.testing.assert_close(model.head(features), logits)
    torch.testing.assert_close(model(data[0]), logits)
