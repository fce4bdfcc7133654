"""The evaluation of a method against a plain loop over its models, ratio by ratio."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from support.tasks import LossGuide

from remibench.artifacts.io import save_array, save_arrays, save_json
from remibench.attacks.features import model_features
from remibench.data.prepared import PreparedDataset
from remibench.errors import RemibenchError
from remibench.evaluation import evaluate
from remibench.evaluation.adversaries import Adversaries
from remibench.evaluation.evaluate import UnlearnedModel, evaluate_method, read_models
from remibench.evaluation.metrics import Evaluation, measure
from remibench.evaluation.predictions import SUBSETS, margins
from remibench.models import build_model, save_model

CPU = torch.device("cpu")
TRAINING = {
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "batch_size": 4,
    "precision": "fp32",
}
ROLES = {  # not in the order of the file, so that mixing up positions shows
    "target_train": np.array([0, 2, 4, 6, 8, 10, 12, 14]),
    "test": np.array([1, 3, 5, 7]),
    "out_of_sample": np.array([9, 11, 13]),
    "shadow_test": np.arange(15, 24),
}
FORGET = {0.25: np.array([1, 5]), 0.5: np.array([0, 1, 5, 7])}
METRICS = ["accuracy", "membership", "two_models", "matched_points", "cost"]
PUBLISHED = {0.5: 0.4}
COSTS = {0.25: {"seconds": 1.5, "epochs": 3}, 0.5: {"seconds": 2.5, "epochs": 4}}


@pytest.fixture
def dataset(data, tmp_path):
    save_array(tmp_path / "images.npy", data[0].numpy())
    save_array(tmp_path / "labels.npy", data[1].numpy())
    save_json(tmp_path / "metadata.json", {"images": len(data[0])})
    save_arrays(tmp_path / "splits.npz", ROLES)
    names = ("images.npy", "labels.npy", "metadata.json", "splits.npz")
    return PreparedDataset.open(*(tmp_path / name for name in names))


@pytest.fixture
def classifiers(spec):
    """Target, shadow and two unlearned models, confident enough to differ."""
    made = [build_model(spec, seed=seed).eval() for seed in range(4)]
    for model in made:
        model.head.weight.data *= 20
    return dict(zip(("target", "shadow", 0.25, 0.5), made, strict=True))


@pytest.fixture
def attacks():
    return {"mf_whitebox": LossGuide(), "mia_whitebox": LossGuide()}


@pytest.fixture
def run(dataset, classifiers, attacks):
    """Evaluate models; other arguments as in the tests' grid unless changed."""

    def evaluated(models, **changes):
        given = {
            "target": lambda: classifiers["target"],
            "shadow": lambda: classifiers["shadow"],
            "attacks": attacks,
            "metrics": METRICS,
            "training": TRAINING,
            "seed": 3,
            "device": CPU,
            "published": PUBLISHED,
        }
        return evaluate_method(dataset, models, **{**given, **changes})

    return evaluated


def one_per_ratio(classifiers):
    return [
        UnlearnedModel(ratio, FORGET[ratio], classifiers[ratio], COSTS[ratio]) for ratio in FORGET
    ]


def one_for_all(classifiers):
    return [UnlearnedModel(ratio, FORGET[ratio], classifiers["target"], {}) for ratio in FORGET]


def reference(data, classifiers, attacks, unlearned):
    """Rows and per-image outputs of one ratio, all images of each subset by plain indexing."""
    ratio, forget, model, cost = unlearned
    images, labels = data
    pool = [*ROLES["target_train"], *ROLES["test"]]
    held = images[15:], labels[15:]
    judges = Adversaries.of_shadow(classifiers["shadow"], attacks, held, "fp32")
    features = model_features(model, images[pool], labels[pool], "fp32")
    (scores,), calibration = judges.judge(model, [features])
    before = model_features(classifiers["target"], images[pool], labels[pool], "fp32")
    subsets = {
        "forget": torch.from_numpy(forget),
        "retain": torch.tensor([at for at in range(8) if at not in forget]),
        "test": torch.arange(8, 12),
    }
    evaluation = Evaluation(
        model, images[pool], labels[pool], subsets, features, scores, cost, lambda: before,
        TRAINING, 3, calibration, PUBLISHED.get(ratio),
    )  # fmt: skip
    rows = [(ratio, *row) for metric in METRICS for row in measure(metric, evaluation)]
    everything = model_features(model, images, labels, "fp32")
    return (
        rows,
        margins(everything.logits.numpy(), labels.numpy()),
        attacks["mf_whitebox"](everything),
    )


@pytest.mark.parametrize("make", [one_per_ratio, one_for_all])
def test_rows_and_outputs_are_those_of_a_plain_loop(run, data, classifiers, attacks, make):
    models = make(classifiers)
    rows, scores = run(iter(models))
    expected = [reference(data, classifiers, attacks, unlearned) for unlearned in models]
    columns = ["forget_ratio", "subset", "metric", "value"]
    assert all(list(row) == columns for row in rows)
    wanted = [row for each in expected for row in each[0]]
    assert [tuple(row.values())[:3] for row in rows] == [row[:3] for row in wanted]
    np.testing.assert_array_equal([row["value"] for row in rows], [row[3] for row in wanted])
    assert {row[2] for row in wanted} >= {
        "accuracy",
        "mia_whitebox_rate",
        "calibrated_whitebox_rate",
    }

    order = np.concatenate([ROLES[role] for role in ("target_train", "test", "out_of_sample")])
    assert np.array_equal(scores.images, order)
    assert scores.ratios.tolist() == list(FORGET)
    assert len(scores.margins) == len({id(each.model) for each in models})
    for place, (ratio, forget) in enumerate(FORGET.items()):
        names = [SUBSETS[number] for number in scores.subset[place]]
        trained = ["forget" if at in forget else "retain" for at in range(8)]
        assert names == [*trained, *["test"] * 4, *["out_of_sample"] * 3], ratio
        _, of_all, members = expected[place]
        near = {"rtol": 1e-5, "atol": 1e-5}  # batches of other images
        np.testing.assert_allclose(scores.at(place, scores.margins), of_all[order], **near)
        found = scores.at(place, scores.members["mf_whitebox"])
        np.testing.assert_allclose(found, members[order].numpy(), **near)


def test_a_forgotten_kind_is_compared_with_unseen_images_of_that_kind(run, data, classifiers):
    """AUC against scikit-learn's, accuracy by plain indexing."""
    alike, others = np.array([0, 2]), np.array([1, 3])  # among the test images
    models = [UnlearnedModel(1.0, FORGET[0.25], classifiers[0.25], {})]
    rows, scores = run(iter(models), alike=alike, published={})
    found = {(row["subset"], row["metric"]): row["value"] for row in rows}
    images, labels = data
    features = model_features(classifiers[0.25], images, labels, "fp32")
    member = LossGuide()(features).numpy()
    right = (features.logits.argmax(1) == labels).numpy()
    test, train = ROLES["test"], ROLES["target_train"]
    for subset, at in (("test_forget", alike), ("test_retain", others)):
        assert found[subset, "accuracy"] == pytest.approx(right[test[at]].mean())
        assert found[subset, "images"] == 2
        rate = (member[test[at]] > 0.5).mean()
        assert found[subset, "mia_whitebox_rate"] == pytest.approx(rate)
    compared = [*train[FORGET[0.25]], *test[alike]]
    expected = roc_auc_score([1, 1, 0, 0], member[compared])
    assert found["forget", "mia_whitebox_auc"] == pytest.approx(expected)
    assert np.isnan(found["forget", "two_models_distance_vs_retain_auc"])
    assert not np.isnan(found["forget", "two_models_distance_vs_test_auc"])
    assert scores.images[scores.alike].tolist() == test[alike].tolist()
    plain, again = run(iter(models), published={})
    assert again.alike is None
    assert np.array_equal(scores.subset, again.subset)
    assert {row["subset"] for row in plain} == {"forget", "retain", "test", ""}


@pytest.mark.parametrize(
    ("metrics", "loads"), [(["accuracy", "cost"], 0), (["two_models", "accuracy"], 1)]
)
def test_the_target_is_loaded_once_and_only_for_metrics_that_ask(run, classifiers, metrics, loads):
    loaded = []

    def target():
        loaded.append("target")
        return classifiers["target"]

    run(one_per_ratio(classifiers), target=target, metrics=metrics)
    assert len(loaded) == loads


def test_a_model_that_serves_all_ratios_is_passed_through_once(run, classifiers, monkeypatch):
    seen = []

    def counted(model, *rest):
        seen.append(model)
        return model_features(model, *rest)

    monkeypatch.setattr(evaluate, "model_features", counted)
    run(one_for_all(classifiers), metrics=["accuracy"])
    assert len(seen) == 2  # the pool and the out-of-sample images
    seen.clear()
    run(one_per_ratio(classifiers), metrics=["accuracy"])
    assert len(seen) == 4


@pytest.mark.parametrize("places", [[0, 0, 1], [0, 1, 1]])
def test_models_that_serve_some_ratios_are_an_error(run, classifiers, places):
    models = [
        UnlearnedModel(ratio, FORGET[0.25], list(classifiers.values())[place], {})
        for ratio, place in zip((0.1, 0.25, 0.5), places, strict=True)
    ]
    with pytest.raises(RemibenchError, match="models: 2 for 3 forget ratios; give 1 or 3"):
        run(models)


@pytest.fixture
def files(tmp_path, spec, classifiers):
    """Files of forget sets, models and costs of both ratios."""
    made = {"forget": [], "models": [], "costs": []}
    for ratio, forget in FORGET.items():
        for paths, suffix in zip(made.values(), ("npy", "safetensors", "json"), strict=True):
            paths.append(str(tmp_path / f"{ratio}.{suffix}"))
        save_array(made["forget"][-1], forget)
        save_model(made["models"][-1], classifiers[ratio], spec)
        save_json(made["costs"][-1], COSTS[ratio])
    return made


@pytest.fixture
def loads(monkeypatch):
    """The paths of which models are read."""
    paths, load_model = [], evaluate.load_model

    def load(path, spec, device):
        paths.append(path)
        return load_model(path, spec, device)

    monkeypatch.setattr(evaluate, "load_model", load)
    return paths


def test_files_are_read_one_at_a_time(spec, classifiers, files, loads):
    for place, (read, ratio) in enumerate(
        zip(read_models(spec, CPU, 8, list(FORGET), **files), FORGET, strict=True)
    ):
        assert loads == files["models"][: place + 1]
        assert read.ratio == ratio
        assert np.array_equal(read.forget, FORGET[ratio])
        assert torch.equal(read.model.head.weight, classifiers[ratio].head.weight)
        assert not read.model.training
        assert read.cost == COSTS[ratio]


def test_one_file_for_all_ratios_is_read_once(spec, files, loads):
    only = files["models"][:1]
    first, second = read_models(spec, CPU, 8, list(FORGET), files["forget"], only)
    assert loads == only
    assert first.model is second.model
    assert first.cost == second.cost == {}


@pytest.mark.parametrize(
    ("name", "count", "allowed"), [("models", 0, "1 or 2"), ("costs", 1, "0 or 2")]
)
def test_a_wrong_number_of_files_is_an_error_before_any_is_read(
    spec, files, loads, name, count, allowed
):
    files[name] = files[name][:count]
    with pytest.raises(
        RemibenchError, match=f"^{name}: {count} for 2 forget ratios; give {allowed}$"
    ):
        read_models(spec, CPU, 8, list(FORGET), **files)
    assert loads == []
    with pytest.raises(RemibenchError, match=r"^forget sets: 1 for 2 forget ratios; give 2$"):
        read_models(spec, CPU, 8, list(FORGET), files["forget"][:1], files["models"])
