"""The training loop against a plain one, resumption, failures."""

import copy
import math

import pytest
import torch
from torch import nn

from remibench.artifacts.progress import EpochCheckpoint
from remibench.errors import RemibenchError, TerminatedError
from remibench.models import build_model
from remibench.seeding import derive_seed
from remibench.training import (
    fit,
    fit_classifier,
    label_entropy,
    measure_classifier,
    predict,
)

SETTINGS = {
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 10,
    "precision": "fp32",
}


def train(model, data, epochs=3, **changes):
    return fit_classifier(
        model, *data, label="target", seed=5, epochs=epochs, **{**SETTINGS, **changes}
    )


def states_equal(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_accuracy_on_held_out_images_is_measured_after_every_epoch_and_changes_nothing(model, data):
    images, labels = data
    plain, watched = copy.deepcopy(model), copy.deepcopy(model)
    history = train(plain, data)
    unseen = (images.flip(-1), labels)
    measured = train(watched, data, held_out=unseen)
    assert states_equal(plain, watched)
    assert [record["loss"] for record in measured] == [record["loss"] for record in history]
    right = predict(watched, unseen[0], "fp32")[0].argmax(1) == labels
    assert measured[-1]["held_out_accuracy"] == pytest.approx(right.float().mean().item())
    one = copy.deepcopy(model)
    assert (
        train(one, data, epochs=1, held_out=unseen)[0]["held_out_accuracy"]
        == (measured[0]["held_out_accuracy"])
    )
    assert not any("held_out_accuracy" in record for record in history)


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


def test_a_terminated_run_saves_its_epoch_and_equals_the_uninterrupted_one(spec, data, tmp_path):
    whole = build_model(spec, seed=2)
    train(whole, data, epochs=4)
    progress = EpochCheckpoint(tmp_path, key={"seed": 5}, every_seconds=3600)
    with pytest.raises(TerminatedError, match="stopped by a signal; run"):
        progress.terminate()  # no epoch has begun

    class Signal(EpochCheckpoint):
        def save(self, model, optimizer, history):
            if len(history) == 2:
                self.terminate()
            super().save(model, optimizer, history)

    with pytest.raises(TerminatedError, match="after epoch 2, which is saved; run the same"):
        train(build_model(spec, seed=2), data, epochs=4, progress=Signal(tmp_path, "key", 3600))
    resumed = build_model(spec, seed=77)
    train(resumed, data, epochs=4, progress=EpochCheckpoint(tmp_path, "key", 3600))
    assert states_equal(whole, resumed)


def test_progress_of_another_job_or_a_damaged_file_is_not_used(model, data, tmp_path):
    saved = EpochCheckpoint(tmp_path, key="a", every_seconds=0)
    train(model, data, epochs=1, progress=saved)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = EpochCheckpoint(tmp_path, key="b", every_seconds=0)
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
    logits, features = predict(model, data[0], "fp32", batch_size=7)
    torch.testing.assert_close(model.head(features), logits)
    torch.testing.assert_close(model(data[0]), logits)


@pytest.mark.parametrize(
    ("samples", "batch_size", "expected"),
    [
        (24, 10, [10, 10, 4]),
        (21, 10, [10, 11]),  # batch-norm cannot normalise a single value
        (11, 10, [11]),
        (20, 10, [10, 10]),
        (1, 10, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
def test_a_single_sample_left_over_joins_the_batch_before_it(samples, batch_size, expected):
    module, batches = nn.Linear(1, 1), []

    def batch_loss(batch):
        batches.append(batch)
        return module(batch[:, None].float()).mean()

    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    settings = {"label": "x", "epochs": 1, "batch_size": batch_size, "seed": 3}
    fit(module, optimizer, batch_loss, samples, **settings)
    assert [len(batch) for batch in batches] == expected
    torch.manual_seed(derive_seed(3, "epoch", 1))
    assert torch.equal(torch.cat(batches), torch.randperm(samples))


def test_a_batch_norm_network_trains_with_one_image_left_over(data):
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 24), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 4)
    network = nn.Sequential(*layers)
    network.forward = lambda images: nn.Sequential.forward(network, images.float() / 255)
    images, labels = data[0][:21], data[1][:21]
    assert math.isfinite(train(network, (images, labels))[-1]["loss"])


def test_a_training_that_learns_nothing_says_so(model, data, caplog):
    history = train(model, data, learning_rate=1e-9)
    assert history[-1]["stalled"] == 1
    assert "target: the loss ended at 1." in caplog.text
    assert f"reaches {label_entropy(data[1]):.4f}" in caplog.text


def test_a_training_that_learns_does_not(model, data, caplog):
    images, labels = data
    brighter = images // 8 + (labels * 70).to(torch.uint8)[:, None, None, None]
    history = train(model, (brighter, labels), epochs=10)
    assert history[-1]["stalled"] == 0
    assert caplog.text == ""


def test_a_constant_output_reaches_the_entropy_of_the_labels():
    skewed = torch.tensor([0] * 9 + [7])
    expected = torch.distributions.Categorical(skewed.bincount().float()).entropy().item()
    assert label_entropy(skewed) == pytest.approx(expected)
    assert label_entropy(torch.arange(10)) == pytest.approx(math.log(10))


def test_a_classifier_of_elsewhere_is_measured_in_the_form_of_a_history(model, data):
    images, labels = data
    given = {"label": "target of a.pt", "precision": "fp32"}
    [record] = measure_classifier(model, images, labels, **given)
    logits = model(images)
    expected = nn.functional.cross_entropy(logits, labels).item()
    assert record["loss"] == pytest.approx(expected, rel=1e-5)
    assert (record["epoch"], record["seconds"]) == (0, 0.0)
    assert record["stalled"] == int(expected >= 0.99 * label_entropy(labels))
    model.head.weight.data.zero_()
    model.head.bias.data.zero_()  # ln 4, as good as ignoring the images
    assert measure_classifier(model, images, labels, **given)[0]["stalled"] == 1
    model.head.bias.data.fill_(float("nan"))
    with pytest.raises(RemibenchError, match=r"target of a\.pt: the loss on its training"):
        measure_classifier(model, images, labels, **given)
