"""What a GPU computes against the CPU, and captured steps against plain ones: on a real GPU.

``pytest -m gpu tests/jobs/test_gpu.py``; with ``--device cpu`` the CPU stands in for the GPU, which
rehearses the tests themselves.
"""

import copy
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from support.own_models import SmallNet, images_of
from support.tasks import duplicate
from torch import nn

import remibench
from remibench import graphs
from remibench.attacks import whitebox
from remibench.attacks.features import membership_features, model_features
from remibench.components.declarations import constant
from remibench.components.registry import components
from remibench.evaluation import metrics
from remibench.evaluation.metrics import Evaluation
from remibench.jobs import devices
from remibench.jobs.torch_setup import select_device
from remibench.models import ModelSpec, build_model
from remibench.per_sample import second_moments, squared_norms
from remibench.training import fit_classifier, predict
from remibench.unlearning import remi

pytestmark = pytest.mark.gpu

ARCHITECTURES = ("cnn", "resnet18", "xception", "vgg19")
RATES = {"cnn": 1e-2, "resnet18": 1e-4, "xception": 1e-4, "vgg19": 1e-3}
RESOURCES = {name: constant(file, "RESOURCES") for name, file in components("models").items()}
CONTEXT_MB = 600  # of the GPU's memory, what CUDA and its libraries take of it in every process
HOLD = """
import tempfile
from pathlib import Path
from remibench.jobs.devices import assign_gpu
assign_gpu(1000)
import torch
places = list(Path(tempfile.gettempdir()).glob("remibench-gpus-*/*/1000.*"))
print(torch.cuda.device_count(), torch.zeros(1, device="cuda").item(), len(places))
"""


@pytest.fixture(scope="module")
def gpu(request):
    """The device that is compared with the CPU, set up as in a job."""
    if request.config.getoption("device") == "cpu":
        graphs.GRAPHS["cpu"] = _Again
        yield torch.device("cpu")
        del graphs.GRAPHS["cpu"]
        return
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is visible")
    yield select_device("cuda")
    torch.use_deterministic_algorithms(mode=False)


@pytest.fixture
def cuda(gpu):
    """A device that is no stand-in."""
    if gpu.type == "cpu":
        pytest.skip("a rehearsal on the CPU")
    return gpu


class _Again:
    """Stands in for a CUDA graph."""

    pool = None

    def __init__(self, pool):
        pass

    def record(self, function):
        self.replay = function


def random_data(count, size=64, channels=1, classes=10):
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, size, size)
    images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
    return images, torch.randint(classes, (count,), generator=generator)


def wide_spec(architecture, size=64, channels=1):
    constants = ((0.13,) * channels, (0.31,) * channels)
    return ModelSpec(architecture, channels, size, 10, *constants)


def moved(model, before):
    """How far the parameters went, as one float64 vector on the CPU."""
    pairs = zip(model.parameters(), before.parameters(), strict=True)
    return torch.cat([(a.detach().cpu().double() - b.detach()).flatten() for a, b in pairs])


def relative(ours, expected):
    """‖ours − expected‖ / ‖expected‖; not a number never passes a comparison with it."""
    ours, expected = ours.detach().cpu().double(), expected.detach().cpu().double()
    return ((ours - expected).norm() / expected.norm()).item()


def train(model, images, labels, **changes):
    settings = {
        "learning_rate": 1e-2,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 16,
        "precision": "fp32",
        "epochs": 3,
    }
    return fit_classifier(model, images, labels, label="x", seed=5, **{**settings, **changes})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_on_the_gpu_is_that_on_the_cpu_to_rounding(gpu, architecture):
    size = 32 if architecture == "vgg19" else 64  # batch-norm of few positions amplifies rounding
    initial = build_model(wide_spec(architecture, size), seed=0)
    images, labels = random_data(24, size)
    ends, losses = [], []
    for device in (torch.device("cpu"), gpu):
        model = copy.deepcopy(initial).to(device)
        settings = {"learning_rate": RATES[architecture], "batch_size": 8, "epochs": 1}
        history = train(model, images.to(device), labels.to(device), **settings)
        ends.append(moved(model, initial))
        losses.append(history[0]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert ends[0].norm() > 0
    assert relative(ends[1], ends[0]) < 0.05


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_captured_steps_give_the_bytes_of_plain_ones_every_time(gpu, architecture, precision):
    initial = build_model(wide_spec(architecture), seed=0).to(gpu)
    images, labels = (tensor.to(gpu) for tensor in random_data(88))  # five of 16, and one of eight
    states, losses = [], []
    for capture in (False, True, True):
        model = copy.deepcopy(initial)
        settings = {"learning_rate": RATES[architecture], "precision": precision}
        history = train(model, images, labels, capture=capture, **settings)
        states.append(model.state_dict())
        losses.append([record["loss"] for record in history])
    assert losses[1] == losses[2] == losses[0]
    torch.testing.assert_close(states[2], states[1], rtol=0, atol=0)
    torch.testing.assert_close(states[1], states[0], rtol=0, atol=0)


def test_bf16_differs_from_fp32_by_rounding(gpu):
    images, labels = (tensor.to(gpu) for tensor in random_data(64, 32))
    losses = {}
    for precision in ("fp32", "bf16"):
        model = build_model(wide_spec("cnn", 32), seed=2).to(gpu)
        losses[precision] = train(model, images, labels, precision=precision)[0]["loss"]
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 1e-4), ("bf16", 0.03)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_predictions_are_those_of_the_cpu(gpu, architecture, precision, bound):
    model = build_model(wide_spec(architecture, 32), seed=0).eval()
    images, _ = random_data(8, 32)
    expected = predict(model, images, "fp32")
    ours = predict(copy.deepcopy(model).to(gpu), images.to(gpu), precision)
    for found, wanted in zip(ours, expected, strict=True):
        assert found.dtype == torch.float32
        assert relative(found, wanted) < bound


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_per_sample_gradients_are_those_of_the_cpu(gpu, architecture):
    model = build_model(wide_spec(architecture, 32), seed=0).eval()
    data = random_data(4, 32)
    other, there = copy.deepcopy(model).to(gpu), [tensor.to(gpu) for tensor in data]
    assert relative(squared_norms(other, *there), squared_norms(model, *data)) < 1e-3
    found, wanted = second_moments(other, *there), second_moments(model, *data)
    for name, sums in wanted.items():
        assert relative(found[name], sums) < 1e-3 or sums.norm() < 1e-9, name


def attack_features(count=44):
    generator = torch.Generator().manual_seed(0)
    logits, hidden = (torch.randn(count, size, generator=generator) for size in (10, 64))
    return membership_features(logits, hidden.relu(), torch.arange(count) % 10)


def fit_attack(features, epochs=3):
    halves = features.take(slice(0, 20)), features.take(slice(20, None))
    settings = {"learning_rate": 1e-3, "batch_size": 8, "epochs": epochs}
    return whitebox.fit_attack(*halves, label="x", seed=1, **settings)


def test_an_attack_without_dropout_is_that_of_the_cpu_to_rounding(gpu, monkeypatch):
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, inputs: inputs)
    features = attack_features()
    expected, history = fit_attack(features, epochs=2)
    there = type(features)(*(tensor.to(gpu) for tensor in features))
    attack, found = fit_attack(there, epochs=2)
    losses, wanted = ([record["loss"] for record in records] for records in (found, history))
    assert losses == pytest.approx(wanted, rel=1e-2)
    torch.testing.assert_close(attack(there).cpu(), expected(features), rtol=0.05, atol=0.01)


def test_captured_dropout_draws_what_plain_dropout_does(gpu, monkeypatch):
    features = attack_features()
    there = type(features)(*(tensor.to(gpu) for tensor in features))
    captured, history = fit_attack(there)
    monkeypatch.setattr(graphs, "GRAPHS", {})
    plain, expected = fit_attack(there)
    assert [r["loss"] for r in history] == [r["loss"] for r in expected]
    torch.testing.assert_close(captured.state_dict(), plain.state_dict(), rtol=0, atol=0)


def test_an_epoch_of_remi_is_that_of_the_cpu_to_rounding(gpu, task):
    guide = whitebox.WhiteBoxAttack(4, 512).eval().requires_grad_(requires_grad=False)
    ends = []
    for device in (torch.device("cpu"), gpu):
        own = duplicate(task, guide=copy.deepcopy(guide).to(device))
        names = ("model", "images", "labels", "forget", "retain", "out_of_sample")
        own = replace(own, **{name: getattr(own, name).to(device) for name in names})
        settings = {"max_epochs": 1, "stop": "never", "learning_rate": 1e-3}
        remi.unlearn(own, batch_size=2, classification_batch_size=8, **settings)
        ends.append(moved(own.model, task.model))
    assert ends[0].norm() > 0
    assert relative(ends[1], ends[0]) < 0.05


@pytest.mark.parametrize("metric", components("metrics"))
def test_metrics_are_those_of_the_cpu(gpu, spec, metric):
    model, (images, labels) = build_model(spec, seed=1).eval(), random_data(24, 24, classes=4)
    rows = []
    for device in (torch.device("cpu"), gpu):
        own, pictures, classes = (
            copy.deepcopy(model).to(device),
            images.to(device),
            labels.to(device),
        )
        features = model_features(own, pictures, classes, "fp32")
        scores = torch.linspace(0, 1, 24, device=device)
        subsets = {"forget": (0, 6), "retain": (6, 16), "test": (16, 24)}
        evaluation = Evaluation(
            model=own,
            images=pictures,
            labels=classes,
            subsets={n: torch.arange(*ends, device=device) for n, ends in subsets.items()},
            features=features,
            scores={
                f"{role}_{a}": scores
                for role in ("mia", "mf", "calibrated")
                for a in components("attacks")
            },
            cost={"seconds": 1.5, "epochs": 3},
            before=lambda features=features: features,
            training={
                "batch_size": 4,
                "learning_rate": 0.01,
                "momentum": 0.9,
                "weight_decay": 0.0,
                "precision": "fp32",
            },
            seed=7,
            published=0.365,
        )
        measured = metrics.measure(metric, evaluation)
        rows.append({(subset, name): value for subset, name, value in measured})
    assert rows[1].keys() == rows[0].keys()
    for key, value in rows[0].items():
        if "seconds" not in key[1]:
            assert rows[1][key] == pytest.approx(value, rel=1e-3, abs=1e-3, nan_ok=True), key


def test_a_job_takes_a_place_on_a_gpu_that_nvidia_smi_lists(cuda, tmp_path):
    gpus = devices.list_gpus(None)
    assert gpus
    assert min(gpu.memory_mb for gpu in gpus) > 1_000
    environment = {k: v for k, v in os.environ.items() if k != devices.VISIBLE}
    done = subprocess.run(
        [sys.executable, "-c", HOLD],
        env=environment | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["1", "0.0", "1"], done.stderr


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_training_fits_into_the_memory_that_its_job_asks_for(cuda, architecture, record_property):
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    model = build_model(wide_spec(architecture, channels=3), seed=0).to(cuda)
    images, labels = (tensor.to(cuda) for tensor in random_data(200, channels=3))
    train(model, images, labels, batch_size=64, precision="bf16")
    peak = (torch.cuda.max_memory_reserved() - before) / 1e6
    record_property("peak_mb", round(peak))
    dataset = 17_500 * 3 * 64 * 64 / 1e6
    assert peak + dataset + CONTEXT_MB <= RESOURCES[architecture]["train_model"][0]


@pytest.mark.parametrize("method", ["retrain", "bad_teacher", "scrub", "ssd", "remi_whitebox"])
def test_a_model_of_a_user_unlearns_where_it_lies(gpu, method):
    data = remibench.Data(images_of(48, 0), images_of(40, 1))
    model = SmallNet().to(gpu)
    parameters = {"remi_whitebox": {"max_epochs": 1}}.get(method, {})
    training = {"epochs": 2, "batch_size": 16}
    after = remibench.unlearn(model, data, range(12), method, training=training, **parameters)
    assert {value.device.type for value in after.state_dict().values()} == {gpu.type}
    assert all(value.isfinite().all() for value in after.parameters())


def test_an_audit_is_made_where_the_model_before_lies(gpu):
    parts = {"shadow_train": images_of(48, 2), "shadow_test": images_of(40, 3)}
    data = remibench.Data(images_of(48, 0), images_of(40, 1), **parts)
    model, training = SmallNet(), {"epochs": 1, "batch_size": 16}
    settings = {"retrained": SmallNet(), "attacks": {"whitebox": {"epochs": 1}}}
    settings |= {"shadow": SmallNet().to(gpu), "training": training}
    ours, others = (
        remibench.audit(before, model, data, range(12), **settings)
        for before in (copy.deepcopy(model).to(gpu), model)
    )
    keys = ["method", "metric", "subset"]
    rows = ours.evaluation.merge(others.evaluation, on=keys, validate="one_to_one")
    rows = rows[rows["metric"].isin(["accuracy", "loss"])]
    assert len(rows) > 12
    assert rows["value_x"].to_numpy() == pytest.approx(rows["value_y"].to_numpy(), abs=0.05)
