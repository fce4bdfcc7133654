"""Artifacts: round trips, atomic writes, and one clear error for every kind of bad file."""

import errno
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from remibench.artifacts import io
from remibench.artifacts.io import (
    atomic_path,
    load_array,
    load_arrays,
    load_json,
    remove_leftovers,
    save_array,
    save_arrays,
)
from remibench.artifacts.tables import load_table, save_table
from remibench.errors import RemibenchError
from remibench.models import build_model, load_model, save_model

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


@pytest.mark.parametrize(
    ("stated", "instead"),
    [(b'"dtype":"F32"', b'"dtype":"I32"'), (b"[128,64,3,3]", b"[64,128,3,3]")],
)
def test_a_header_that_states_another_type_or_shape_is_refused(saved, spec, stated, instead):
    content = saved.read_bytes()
    assert stated in content
    saved.write_bytes(content.replace(stated, instead, 1))
    with pytest.raises(RemibenchError, match=r"damaged \(CRC-32"):
        load_model(saved, spec, CPU)


def test_a_diverged_model_is_not_written(model, spec, tmp_path):
    with torch.no_grad():
        model.head.bias[0] = float("nan")
    with pytest.raises(RemibenchError, match=r"tensor 'head\.bias' is not finite"):
        save_model(tmp_path / "target.safetensors", model, spec)
    assert list(tmp_path.iterdir()) == []


def test_arrays_survive_and_any_program_can_read_them(tmp_path):
    path, array = tmp_path / "a.npy", np.arange(6).reshape(2, 3)
    save_array(path, array)
    mapped = load_array(path, mmap=True)
    assert isinstance(mapped, np.memmap)
    for read in (load_array(path), mapped, np.load(path), np.load(path, mmap_mode="r")):
        assert np.array_equal(read, array)
    save_arrays(tmp_path / "a.npz", {"train": np.arange(3), "test": np.arange(2)})
    assert load_arrays(tmp_path / "a.npz")["train"].tolist() == [0, 1, 2]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    names = [".0.1.abcd1234.npy", ".0.1.abcd1234.json", ".0.15.abcd1234.npy", "0.1.npy"]
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "0.1.npy")
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.csv"
    rows = [{"name": "a, b", "loss": 0.1 + 0.2}, {"name": "c", "loss": None}]
    save_table(path, rows)
    table = load_table(path, {"name"})
    assert table["name"].tolist() == ["a, b", "c"]
    assert table["loss"][0] == 0.1 + 0.2
    assert math.isnan(table["loss"][1])


def test_tables_keep_every_digit(tmp_path):
    path = tmp_path / "a.csv"
    save_table(path, [{"epoch": 0}, {"epoch": 1, "loss": 0.1 + 0.2}])
    assert path.read_text() == f"epoch,loss\n0,\n1,{0.1 + 0.2!r}\n"


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

    monkeypatch.setattr(io.os, "fsync", full)
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


def test_reading_artifacts_does_not_import_torch():
    code = "import sys, remibench.artifacts.io as c; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
