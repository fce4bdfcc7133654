"""Artifacts: round trips, atomic writes, and one clear error for every kind of bad file."""

import errno
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from remibench import checkpoints
from remibench.checkpoints import (
    atomic_path,
    load_array,
    load_arrays,
    load_json,
    load_tensors,
    save_array,
    save_arrays,
    save_table,
    save_tensors,
)
from remibench.errors import RemibenchError
from remibench.models import ModelSpec, build_model, load_model, save_model

CPU = torch.device("cpu")


@pytest.fixture
def saved(model, spec, tmp_path):
    path = tmp_path / "target.safetensors"
    save_model(path, model, spec)
    return path


def test_a_model_survives_a_round_trip_bit_for_bit(model, spec, data, saved):
    loaded = load_model(saved, spec, CPU)
    assert torch.equal(loaded(data[0]), model(data[0]))
    assert not loaded.training


def test_equal_models_give_equal_files(model, spec, saved, tmp_path):
    again = tmp_path / "again.safetensors"
    save_model(again, build_model(spec, seed=1), spec)
    assert again.read_bytes() == saved.read_bytes()


def test_bad_checkpoints_are_refused_in_one_line_that_names_them(spec, saved, tmp_path):
    whole = saved.read_bytes()
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    unpickled = tmp_path / "trap"
    trap = pickle.dumps({"x": _Trap(str(unpickled))})
    cases = {
        b"": "not a whole safetensors file",
        whole[:-1]: "not a whole safetensors file",
        whole[:50]: "not a whole safetensors file",
        b"\xff" * 200: "not a whole safetensors file",
        trap: "not a whole safetensors file",
        foreign.read_bytes(): "was not written by remibench",
    }
    for content, message in cases.items():
        saved.write_bytes(content)
        with pytest.raises(RemibenchError, match=message) as caught:
            load_model(saved, spec, CPU)
        assert str(saved) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not unpickled.exists()
    saved.unlink()
    with pytest.raises(RemibenchError, match="no such file"):
        load_model(saved, spec, CPU)


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path(self.path).touch, ())


def test_a_checkpoint_of_another_shape_names_what_differs(saved, spec):
    other = ModelSpec("cnn", 1, 32, 4, spec.mean, spec.std)
    with pytest.raises(RemibenchError, match="holds image_size=24, expected 32"):
        load_model(saved, other, CPU)


def test_wrong_tensors_under_the_right_header_are_refused(saved, spec):
    tensors, header = load_tensors(saved, {})
    tensors["head.bias"] = torch.zeros(5)
    save_tensors(saved, tensors, header)
    with pytest.raises(RemibenchError, match=r"'head.bias' has shape \(5,\), expected \(4,\)"):
        load_model(saved, spec, CPU)
    del tensors["head.bias"]
    save_tensors(saved, tensors, header)
    with pytest.raises(RemibenchError, match=r"'head\.bias' has shape missing"):
        load_model(saved, spec, CPU)


def test_a_diverged_model_is_not_written(model, spec, tmp_path):
    with torch.no_grad():
        model.head.bias[0] = float("nan")
    with pytest.raises(RemibenchError, match=r"tensor 'head\.bias' is not finite"):
        save_model(tmp_path / "target.safetensors", model, spec)
    assert list(tmp_path.iterdir()) == []


def test_arrays_survive_and_pickled_ones_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    array = np.arange(6).reshape(2, 3)
    save_array(path, array)
    assert np.array_equal(load_array(path), array)
    assert isinstance(load_array(path, mmap=True), np.memmap)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(RemibenchError, match="cannot read array"):
        load_array(path)
    path.write_bytes(b"\x93NUMPY")
    with pytest.raises(RemibenchError, match="cannot read array"):
        load_array(path)


def test_named_arrays_survive_and_damage_is_named(tmp_path):
    path = tmp_path / "a.npz"
    save_arrays(path, {"train": np.arange(3), "test": np.arange(2)})
    assert load_arrays(path)["train"].tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RemibenchError, match=r"cannot read arrays .*a\.npz"):
        load_arrays(path)


def test_tables_keep_every_digit(tmp_path):
    path = tmp_path / "a.csv"
    save_table(path, [{"epoch": 0}, {"epoch": 1, "loss": 0.1 + 0.2}])
    assert path.read_text() == f"epoch,loss\n0,\n1,{0.1 + 0.2!r}\n"


def test_json_that_is_not_json_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("{")
    with pytest.raises(RemibenchError, match=r"cannot read .*a\.json"):
        load_json(path)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps("old"))

    def fail_halfway():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_halfway()
    assert load_json(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_clear_error(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints.os, "fsync", full)
    with pytest.raises(
        RemibenchError, match=r"cannot write .*a\.npy: No space left on device; free"
    ):
        save_array(tmp_path / "a.npy", np.zeros(3))
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_is_the_same_error(small_disk):
    with pytest.raises(RemibenchError, match=r"cannot write .*a\.npy: .*; free space"):
        save_array(small_disk / "a.npy", np.zeros(100_000))
    assert list(small_disk.iterdir()) == []


def test_an_unwritable_folder_is_one_clear_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RemibenchError, match="cannot write"):
        save_array(blocked / "a.npy", np.zeros(3))


def test_no_reader_in_the_project_unpickles():
    root = Path(__file__).parents[1]
    for path in [*root.glob("remibench/**/*.py"), *root.glob("workflow/**/*.py")]:
        text = path.read_text()
        for word in ("pickle.load", "torch.load(", "joblib", "allow_pickle=True"):
            assert word not in text, f"{path} contains {word!r}"
        # CIFAR-10's published pickles are read by an unpickler that makes nothing but arrays.
        assert "import pickle" not in text or path.name == "cifar10.py"


def test_reading_artifacts_does_not_import_torch():
    code = "import sys, remibench.checkpoints as c; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
