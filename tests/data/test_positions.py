"""Arrays of positions and scores: what is none is refused when it is read, with the file's name."""

import re

import numpy as np
import pytest

from remibench.artifacts.io import save_array, save_arrays, save_json
from remibench.data.forget_sets import read_forget_set, read_scores
from remibench.data.prepared import PreparedDataset
from remibench.errors import RemibenchError

IMAGES = 10
WRONG = {
    "empty": ([], "it is empty"),
    "negative": ([-1, 3], "position -1 is out of range 0…9"),
    "too large": ([3, 10], "position 10 is out of range 0…9"),
    "repeated": ([2, 3, 3], "position 3 is repeated, or not in ascending order"),
    "not in order": ([4, 2], "position 2 is repeated, or not in ascending order"),
    "floats": ([1.0, 2.0], "float64 of shape (2,), expected int64 of one dimension"),
    "flags": ([True, False], "bool of shape (2,), expected int64"),
    "another integer": (np.array([1, 2], np.int32), "int32 of shape (2,), expected int64"),
    "unsigned": (np.array([1, 2], np.uint64), "uint64 of shape (2,), expected int64"),
    "text": (["1", "2"], "<U1 of shape (2,), expected int64"),
    "two dimensions": ([[1, 2]], "int64 of shape (1, 2), expected int64"),
    "a number": (3, "int64 of shape (), expected int64"),
}


def array(values):
    return np.asarray(values) if np.size(values) else np.zeros(0, np.int64)


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_forget_set_is_refused(tmp_path, values, message):
    path = tmp_path / "0.1.npy"
    save_array(path, array(values))
    with pytest.raises(RemibenchError, match=rf"cannot read {path}: .*: {re.escape(message)}"):
        read_forget_set(path, IMAGES)


def test_a_forget_set_of_all_images_is_refused(tmp_path):
    save_array(tmp_path / "0.1.npy", np.arange(IMAGES))
    assert len(read_forget_set(tmp_path / "0.1.npy", IMAGES + 1)) == IMAGES
    with pytest.raises(RemibenchError, match="leaves none"):
        read_forget_set(tmp_path / "0.1.npy", IMAGES)


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG)
def test_what_is_no_role_is_refused(tmp_path, values, message):
    save_json(tmp_path / "metadata.json", {"images": IMAGES})
    save_arrays(tmp_path / "splits.npz", {"test": np.array([0, 9]), "target_train": array(values)})
    paths = [tmp_path / name for name in ("images.npy", "labels.npy", "metadata.json")]
    message = rf"cannot read \S+splits\.npz: role target_train of 10 images: {re.escape(message)}"
    with pytest.raises(RemibenchError, match=message):
        PreparedDataset.open(*paths, tmp_path / "splits.npz")


@pytest.mark.parametrize(
    "scores",
    [np.zeros(9), np.zeros(11), np.zeros((10, 1)), np.arange(10), np.full(10, np.nan), np.zeros(0)],
    ids=["too few", "too many", "two dimensions", "positions", "NaN", "empty"],
)
def test_what_is_no_score_of_every_image_is_refused(tmp_path, scores):
    path = tmp_path / "scores.npy"
    save_array(path, np.linspace(0, 1, 10, dtype=np.float32))
    assert read_scores(path, IMAGES).dtype == np.float32
    save_array(path, scores)
    with pytest.raises(RemibenchError, match=rf"cannot read {path}: .*expected finite floats"):
        read_scores(path, IMAGES)


@pytest.mark.parametrize(
    ("images", "labels", "named"),
    [
        (np.zeros((3, 1, 2, 2), np.uint8), np.zeros(4, np.int64), "images.npy"),
        (np.zeros((4, 1, 2, 2), np.float32), np.zeros(4, np.int64), "images.npy"),
        (np.zeros((4, 2, 2), np.uint8), np.zeros(4, np.int64), "images.npy"),
        (np.zeros((4, 1, 2, 2), np.uint8), np.zeros(4, np.uint8), "labels.npy"),
        (np.zeros((4, 1, 2, 2), np.uint8), np.zeros((4, 10), np.int64), "labels.npy"),
    ],
    ids=["fewer images", "other numbers", "no channels", "other labels", "one-hot labels"],
)
def test_images_and_labels_that_are_none_are_refused(tmp_path, images, labels, named):
    import torch

    save_array(tmp_path / "images.npy", images)
    save_array(tmp_path / "labels.npy", labels)
    dataset = PreparedDataset(tmp_path / "images.npy", tmp_path / "labels.npy", {}, {})
    with pytest.raises(RemibenchError, match=rf"cannot read \S+{named}: .*expected"):
        dataset.select(np.array([0]), torch.device("cpu"))
