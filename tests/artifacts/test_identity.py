"""Every artifact states which it is and what it was made from; every reader compares it."""

import csv
import json
from itertools import permutations
from pathlib import PurePath

import numpy as np
import pytest
import torch

from remibench.artifacts import identity, paths
from remibench.artifacts.identity import Origin, made_by, sha256
from remibench.artifacts.io import (
    load_array,
    load_arrays,
    load_json,
    load_tensors,
    save_array,
    save_arrays,
    save_json,
    save_tensors,
)
from remibench.artifacts.tables import TEXT, load_table, save_table
from remibench.errors import RemibenchError

AXES = {
    "dataset": "fmnist",
    "architecture": "cnn",
    "seed": "0",
    "role": "target",
    "adversary": "mf",
    "attack": "whitebox",
    "method": "remi_whitebox~3",
    "ratio": "0.25",
}
OTHER = {  # another value of every axis
    "dataset": "cifar10",
    "architecture": "vgg19",
    "seed": "10",
    "role": "shadow",
    "adversary": "mia",
    "attack": "blackbox",
    "method": "remi_whitebox",
    "ratio": "0.2",
}
FORMATS = {
    ".safetensors": (
        lambda path: save_tensors(path, {"weight": torch.ones(3)}, {"kind": "any"}),
        lambda path: load_tensors(path, {"kind": "any"}),
    ),
    ".npy": (lambda path: save_array(path, np.arange(3)), load_array),
    ".npz": (lambda path: save_arrays(path, {"test": np.arange(3)}), load_arrays),
    ".json": (lambda path: save_json(path, {"seconds": 1.5}), load_json),
    ".csv": (
        lambda path: save_table(path, [{"epoch": 1, "loss": 0.5}, {"epoch": 2}]),
        lambda path: load_table(path, TEXT),
    ),
}


def place(tree, name, **axes):
    return tree / paths.IDENTIFIED[name].format(**{**AXES, **axes})


def written(path):
    FORMATS[path.suffix][0](path)
    return path


def read(path):
    return FORMATS[path.suffix][1](path)


def moved(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    return source.replace(target)


SWAPS = [
    (name, axis)
    for name, pattern in paths.IDENTIFIED.items()
    for axis in AXES
    if f"{{{axis}}}" in pattern
]


@pytest.mark.parametrize("name", paths.IDENTIFIED)
def test_an_artifact_is_read_from_its_own_place(tmp_path, name):
    read(written(place(tmp_path, name)))


@pytest.mark.parametrize(("name", "axis"), SWAPS)
def test_an_artifact_of_another_cell_is_refused_in_one_line(tmp_path, name, axis):
    path = place(tmp_path, name)
    moved(written(place(tmp_path, name, **{axis: OTHER[axis]})), path)
    with pytest.raises(RemibenchError) as error:
        read(path)
    message = str(error.value)
    _, found = paths.identify(place(tmp_path, name, **{axis: OTHER[axis]}))
    _, expected = paths.identify(path)
    assert message.startswith(f"cannot read {path}: it ")
    assert f"{name} {' '.join(found.values())}, expected {name} {' '.join(expected.values())}" in (
        message
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        (first, second)
        for first, second in permutations(paths.IDENTIFIED, 2)
        if PurePath(paths.IDENTIFIED[first]).suffix == PurePath(paths.IDENTIFIED[second]).suffix
    ],
)
def test_an_artifact_of_another_kind_is_refused(tmp_path, name, instead):
    path = place(tmp_path, name)
    moved(written(place(tmp_path, instead)), path)
    with pytest.raises(RemibenchError, match=rf"it (is|has) .*, expected {name}"):
        read(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_outside_a_tree_says_nothing_and_is_read(tmp_path, suffix):
    path = written(tmp_path / f"any{suffix}")
    assert b"identity" not in path.read_bytes()
    read(moved(path, tmp_path / f"other{suffix}"))


@pytest.fixture
def made(tmp_path):
    """A target, and what a job made of it at one place for each format."""
    with made_by(Origin([], {})):
        target = written(place(tmp_path, "model"))
    names = ("unlearned", "forget_set", "predictions", "cost", "unlearning_history")
    with made_by(Origin([str(target)], {"epochs": 3})):
        return target, {name: written(place(tmp_path, name)) for name in names}


def test_an_artifact_states_axes_settings_and_the_digests_of_what_it_was_made_from(made):
    target, files = made
    _, header = load_tensors(files["unlearned"], {})
    stated = {
        "artifact": "unlearned",
        **{axis: AXES[axis] for axis in ("dataset", "architecture", "seed", "method", "ratio")},
        "inputs": {"models/fmnist/cnn/0/target.safetensors": sha256(target)},
    }
    config = header["identity"].pop("config")
    assert header["identity"] == stated
    with files["unlearning_history"].open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:5] == ["dataset", "architecture", "seed", "method", "forget_ratio"]
    digest = identity.fingerprint(stated | {"config": config})
    assert {row["identity"] for row in rows} == {f"unlearning_history {digest} rows=2"}
    assert json.loads(files["cost"].read_text())["identity"]["config"] == config
    assert load_json(files["cost"]) == {"seconds": 1.5}
    assert np.load(files["forget_set"]).tolist() == [0, 1, 2]
    assert json.loads(str(np.load(files["predictions"])["identity"]))["config"] == config
    assert list(load_arrays(files["predictions"])) == ["test"]
    assert "identity" not in read(files["unlearning_history"])


@pytest.mark.parametrize("name", ["unlearned", "forget_set", "predictions", "cost"])
def test_a_job_refuses_what_was_made_from_another_file_than_it_has(made, name):
    target, files = made
    with made_by(Origin([str(target), str(files[name])], {})):
        read(files[name])
    with made_by(Origin([], {})):
        save_tensors(target, {"weight": torch.zeros(3)}, {"kind": "any"})
    read(files[name])  # no job: nothing to compare with
    message = r"made from another models/fmnist/cnn/0/target\.safetensors: SHA-256 \w{64}, expected"
    with (
        made_by(Origin([str(target), str(files[name])], {})),
        pytest.raises(RemibenchError, match=message),
    ):
        read(files[name])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_job_refuses_an_artifact_that_states_nothing(tmp_path, suffix):
    name = next(name for name, pattern in paths.IDENTIFIED.items() if pattern.endswith(suffix))
    path = place(tmp_path, name)
    moved(written(tmp_path / f"any{suffix}"), path)
    with made_by(Origin([], {})), pytest.raises(RemibenchError, match=f"expected {name} fmnist"):
        read(path)


@pytest.mark.parametrize("name", paths.IDENTIFIED)
def test_a_job_refuses_an_artifact_that_does_not_state_what_it_was_made_from(tmp_path, name):
    """No job wrote it, so that it cannot be compared with what this job has."""
    path = written(place(tmp_path, name))
    read(path)
    with made_by(Origin([], {})):
        with pytest.raises(RemibenchError, match=f"made from, expected {name} fmnist"):
            read(path)
        read(written(path))


def test_a_table_of_rows_of_two_jobs_is_refused(tmp_path):
    path = place(tmp_path, "metrics")
    texts = []
    for epochs in (3, 4):
        with made_by(Origin([], {"epochs": epochs})):
            texts.append(written(path).read_text().splitlines(keepends=True))
    path.write_text("".join([*texts[0][:2], texts[1][2]]))
    with pytest.raises(RemibenchError, match="it has rows of 2 jobs, expected metrics fmnist"):
        read(path)


def test_other_settings_and_inputs_give_other_digests(tmp_path):
    target = written(place(tmp_path, "model"))
    stated = [Origin([str(target)], {"epochs": epochs}).record for epochs in (3, 4)]
    save_tensors(target, {"weight": torch.zeros(3)}, {"kind": "any"})
    stated.append(Origin([str(target)], {"epochs": 3}).record)
    assert len({identity.fingerprint(each) for each in stated}) == 3


def test_seconds_and_folders_are_in_no_digest(tmp_path):
    records = []
    for folder, seconds in (("a", 1.5), ("b", 2.5)):
        inputs = [written(place(tmp_path / folder, name)) for name in ("model", "forget_set")]
        inputs.append(place(tmp_path / folder, "cost"))
        save_json(inputs[-1], {"seconds": seconds})
        records.append(Origin(map(str, inputs), {}).record)
    assert records[0] == records[1]


@pytest.mark.parametrize("name", ["unlearned", "forget_set", "predictions", "cost"])
def test_a_damaged_input_is_named_and_not_what_was_made_from_it(made, name):
    target, files = made
    content = bytearray(target.read_bytes())
    content[-1] ^= 1
    target.write_bytes(content)
    with (
        made_by(Origin([str(target), str(files[name])], {})),
        pytest.raises(RemibenchError, match=rf"cannot read {target}: damaged"),
    ):
        read(files[name])


def test_a_model_brought_in_from_the_same_place_of_another_tree_is_read(tmp_path):
    source, path = (place(tmp_path / tree, "model") for tree in ("theirs", "mine"))
    save_tensors(source, {"weight": torch.zeros(3)}, {"kind": "any"})
    with made_by(Origin([str(source)], {})):
        written(path)
    with made_by(Origin([str(path)], {})):
        assert read(path)[0]["weight"].tolist() == [1, 1, 1]
