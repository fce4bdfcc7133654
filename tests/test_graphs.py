"""Steps of training as graphs, with a stand-in for CUDA's that calls what was recorded.

What a real graph computes is tested in tests/jobs/test_gpu.py.
"""

import pytest
import torch
from support.tasks import duplicate, weights
from torch import nn
from torch.nn import functional

from remibench import graphs
from remibench.artifacts.progress import EpochCheckpoint
from remibench.attacks import whitebox
from remibench.attacks.features import membership_features
from remibench.errors import RemibenchError
from remibench.models import build_model
from remibench.training import fit, fit_classifier
from remibench.unlearning import random_labels, salun

SETTINGS = {
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "batch_size": 10,
    "precision": "fp32",
}


class StandIn:
    """Keeps a function, and calls it again; recording computes nothing, as with a CUDA graph."""

    made = ()

    def __init__(self, pool):
        self.given, self.pool, self.replays = pool, "pool", 0
        StandIn.made = (*StandIn.made, self)

    def record(self, function):
        self.function = function

    def replay(self):
        self.replays += 1
        self.function()


@pytest.fixture
def stand_in(monkeypatch):
    """The CPU as a device that has graphs."""
    monkeypatch.setattr(StandIn, "made", ())
    monkeypatch.setitem(graphs.GRAPHS, "cpu", StandIn)
    return StandIn


def train(model, data, epochs=4, **changes):
    settings = {**SETTINGS, **changes}
    return fit_classifier(model, *data, label="target", seed=5, epochs=epochs, **settings)


def losses(history):
    return [record["loss"] for record in history]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_captured_training_equals_the_plain_one_to_the_bit(spec, data, stand_in, momentum):
    plain, ours = build_model(spec, seed=2), build_model(spec, seed=2)
    expected = train(plain, data, capture=False, momentum=momentum)
    assert stand_in.made == ()
    history = train(ours, data, momentum=momentum)
    assert losses(history) == losses(expected)
    assert torch.equal(weights(ours), weights(plain))
    # 24 images: two batches of ten and one of four in each of four epochs, two of either as usual.
    assert [graph.replays for graph in stand_in.made] == [6, 2]
    assert [graph.given for graph in stand_in.made] == [None, "pool"], "they share their memory"


def test_batch_norm_statistics_count_every_batch_once(data, stand_in):
    networks = []
    for capture in (False, True):
        torch.manual_seed(0)
        layers = nn.Conv2d(1, 4, 24), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 4)
        network = nn.Sequential(*layers)
        network.forward = lambda images, n=network: nn.Sequential.forward(n, images.float() / 255)
        train(network, data, epochs=3, capture=capture)
        networks.append(network)
    torch.testing.assert_close(networks[1].state_dict(), networks[0].state_dict(), rtol=0, atol=0)
    assert networks[1][1].num_batches_tracked == 9


def test_an_attack_with_dropout_and_adam_is_the_same(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    logits, hidden = (torch.randn(30, size, generator=generator) for size in (4, 16))
    features = membership_features(logits, hidden.relu(), torch.arange(30) % 4)
    halves = features.take(slice(0, 14)), features.take(slice(14, 30))
    settings = {"label": "mf", "seed": 3, "epochs": 3, "learning_rate": 1e-3, "batch_size": 8}
    plain, expected = whitebox.fit_attack(*halves, **settings)
    monkeypatch.setattr(StandIn, "made", ())
    monkeypatch.setitem(graphs.GRAPHS, "cpu", StandIn)
    ours, history = whitebox.fit_attack(*halves, **settings)
    assert losses(history) == losses(expected)
    assert torch.equal(weights(ours), weights(plain))
    assert StandIn.made


def test_a_resumed_run_equals_the_uninterrupted_one(spec, data, stand_in, tmp_path):
    whole = build_model(spec, seed=2)
    train(whole, data)

    class Interrupted(EpochCheckpoint):
        def save(self, model, optimizer, history):
            super().save(model, optimizer, history)
            if len(history) == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(build_model(spec, seed=2), data, progress=Interrupted(tmp_path, "key", 0))
    resumed = build_model(spec, seed=77)
    train(resumed, data, progress=EpochCheckpoint(tmp_path, "key", 3600))
    assert torch.equal(weights(whole), weights(resumed))


@pytest.mark.parametrize("method", [salun, random_labels])
def test_methods_that_are_captured_are_the_same(task, monkeypatch, method):
    plain, ours = duplicate(task), duplicate(task)
    method.unlearn(plain, learning_rate=0.01, epochs=3)
    monkeypatch.setattr(StandIn, "made", ())
    monkeypatch.setitem(graphs.GRAPHS, "cpu", StandIn)
    method.unlearn(ours, learning_rate=0.01, epochs=3)
    assert StandIn.made
    assert torch.equal(weights(ours.model), weights(plain.model))


def test_recorded_steps_read_the_batch_from_the_same_memory(stand_in):
    module, seen = nn.Linear(1, 1), []
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

    def batch_loss(batch):
        seen.append((batch.data_ptr(), batch.clone()))
        return module(batch[:, None].float()).mean()

    fit(module, optimizer, batch_loss, 12, label="x", epochs=1, batch_size=2, seed=3, capture=True)
    assert len({pointer for pointer, _ in seen[graphs.WARM_UP :]}) == 1
    assert sorted(torch.cat([batch for _, batch in seen]).tolist()) == list(range(12))


def test_nothing_is_captured_unless_asked_for(stand_in):
    module = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

    def batch_loss(batch):
        return module(torch.rand(len(batch), 1)).mean()

    fit(module, optimizer, batch_loss, 12, label="x", epochs=1, batch_size=2, seed=3)
    assert stand_in.made == ()


def test_a_module_can_decline_to_be_captured(stand_in):
    module = nn.Linear(1, 1)
    module.capture = False
    minimise(module, torch.optim.SGD(module.parameters(), lr=0.1, fused=True))
    assert stand_in.made == ()


def minimise(module, optimizer):
    def batch_loss(batch):
        return functional.mse_loss(module(batch[:, None].float()), batch[:, None].float())

    return fit(
        module, optimizer, batch_loss, 12, label="x", epochs=1, batch_size=2, seed=3, capture=True
    )


def test_adam_is_told_that_it_is_recorded_and_only_then(stand_in, monkeypatch):
    module, told = nn.Linear(1, 1), []
    optimizer = torch.optim.Adam(module.parameters(), fused=True)

    def record(graph, function):
        told.append(optimizer.param_groups[0]["capturable"])
        graph.function = function

    monkeypatch.setattr(StandIn, "record", record)
    minimise(module, optimizer)
    assert told == [True]
    assert optimizer.param_groups[0]["capturable"] is False


def test_an_optimiser_that_counts_on_the_cpu_is_one_clear_error(stand_in):
    module = nn.Linear(1, 1)
    with pytest.raises(RemibenchError, match=r"x: Adam with fused=None counts .* capture=False"):
        minimise(module, torch.optim.Adam(module.parameters()))


def test_a_step_that_cannot_be_captured_is_one_clear_error(stand_in, monkeypatch):
    def record(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(StandIn, "record", record)
    module = nn.Linear(1, 1)
    with pytest.raises(RemibenchError, match=r"graph \(operation not .*ing\); pass capture=False"):
        minimise(module, torch.optim.SGD(module.parameters(), lr=0.1))
