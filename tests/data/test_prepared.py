"""A prepared dataset against plain indexing of its files."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from remibench.artifacts.io import save_array, save_arrays, save_json
from remibench.data.prepared import PreparedDataset
from remibench.errors import RemibenchError
from remibench.models import ModelSpec

CPU = torch.device("cpu")
METADATA = {
    "class_names": ["a", "b", "c"],
    "image_size": 5,
    "images": 9,
    "mean": [0.1, 0.2],
    "std": [0.3, 0.4],
}
ROLES = {"target_train": np.array([1, 4, 6]), "test": np.array([0, 3])}


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    save_array(tmp_path / "images.npy", rng.integers(0, 256, (9, 2, 5, 5), dtype=np.uint8))
    save_array(tmp_path / "labels.npy", rng.integers(0, 3, 9))
    save_json(tmp_path / "metadata.json", METADATA)
    save_arrays(tmp_path / "splits.npz", ROLES)
    return [tmp_path / name for name in ("images.npy", "labels.npy", "metadata.json", "splits.npz")]


def test_selections_are_rows_of_the_files_in_the_order_of_the_positions(paths):
    images, labels = np.load(paths[0]), np.load(paths[1])
    dataset = PreparedDataset.open(*paths)
    for got, at in (
        (dataset.role("target_train", CPU), [1, 4, 6]),
        (dataset.role("test", CPU), [0, 3]),
        (dataset.select(np.array([8, 2, 2]), CPU), [8, 2, 2]),
    ):
        assert [each.dtype for each in got] == [torch.uint8, torch.int64]
        assert np.array_equal(got[0].numpy(), images[at])
        assert np.array_equal(got[1].numpy(), labels[at])


def test_a_selection_is_a_copy(paths):
    dataset = PreparedDataset.open(*paths)
    dataset.role("test", CPU)[0].zero_()
    assert dataset.role("test", CPU)[0].any()


def test_roles_metadata_and_spec_are_those_of_the_files(paths):
    dataset = PreparedDataset.open(*paths)
    assert dataset.metadata == json.loads(paths[2].read_text())
    assert {name: at.tolist() for name, at in dataset.roles.items()} == {
        "target_train": [1, 4, 6],
        "test": [0, 3],
    }
    expected = ModelSpec(
        "cnn", channels=2, image_size=5, classes=3, mean=(0.1, 0.2), std=(0.3, 0.4)
    )
    assert dataset.spec("cnn") == expected


@pytest.mark.parametrize("damaged", [0, 1])
def test_a_damaged_file_is_named_when_it_is_read(paths, damaged):
    content = bytearray(paths[damaged].read_bytes())
    content[-12] ^= 1
    paths[damaged].write_bytes(content)
    dataset = PreparedDataset.open(*paths)
    with pytest.raises(RemibenchError, match=paths[damaged].name):
        dataset.role("test", CPU)


def test_opening_a_dataset_imports_no_torch(paths):
    code = """
import sys
from remibench.data.prepared import PreparedDataset
dataset = PreparedDataset.open(*sys.argv[1:])
print(len(dataset.roles), "torch" in sys.modules)
"""
    run = [sys.executable, "-c", code, *map(str, paths)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "False"]
