"""Reading and preparing images: real files in their real format, and what is refused."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from remibench.data import RawDataset, fmnist, load_dataset
from remibench.data._idx import read_idx, write_idx
from remibench.errors import RemibenchError
from remibench.preprocessing import prepare_dataset

EMBEDDED = Path(__file__).parents[1] / "data" / "embedded"


def prepare(raw, folder, size=32, limit=None):
    paths = [folder / name for name in ("images.npy", "labels.npy", "metadata.json")]
    prepare_dataset(raw, size, limit, *paths)
    return np.load(paths[0]), np.load(paths[1]), json.loads(paths[2].read_text())


@pytest.fixture
def raw():
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    return RawDataset(images, np.arange(6) % 3, ("a", "b", "c"), (0.5,), (0.5,), {}, "test", None)


def test_embedded_images_are_class_balanced_and_match_their_manifest():
    raw = load_dataset("fmnist_embedded", [])
    assert raw.images.shape == (4000, 28, 28)
    assert np.bincount(raw.labels).tolist() == [400] * 10
    manifest = json.loads((EMBEDDED / "manifest.json").read_text())
    assert raw.sources == manifest["result"]
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 3e6


@pytest.mark.skipif(not fmnist.DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist not installed")
def test_embedded_images_are_the_first_of_the_original_files():
    embedded, original = load_dataset("fmnist_embedded", []), load_dataset("fmnist", [])
    assert original.images.shape == (70_000, 28, 28)
    for label in range(10):
        ours = embedded.images[embedded.labels == label]
        assert np.array_equal(ours, original.images[original.labels == label][:400])


def test_prepared_images_equal_pillows_bilinear_resize(tmp_path, raw):
    images, labels, metadata = prepare(raw, tmp_path, size=32)
    assert images.shape == (6, 1, 32, 32)
    assert images.dtype == np.uint8
    assert labels.tolist() == raw.labels.tolist()
    for image, original in zip(images, raw.images, strict=True):
        expected = Image.fromarray(original).resize((32, 32), Image.Resampling.BILINEAR)
        assert np.array_equal(image[0], np.asarray(expected))
    assert metadata["class_names"] == ["a", "b", "c"]


def test_colour_images_become_channels_first(tmp_path, raw):
    colour = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    images, _, _ = prepare(replace(raw, images=colour, mean=(0.5,) * 3, std=(0.5,) * 3), tmp_path)
    assert np.array_equal(images, colour.transpose(0, 3, 1, 2))


def test_limit_keeps_the_first_images_of_a_stream(tmp_path, raw):
    stream = replace(raw, images=iter(raw.images))
    images, _, metadata = prepare(stream, tmp_path, size=28, limit=4)
    assert np.array_equal(images[:, 0], raw.images[:4])
    assert metadata["provenance"] == "test, first 4 images"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 1, 2, 3, 0, 1])}, "label 3 of image 3 is out of range 0…2"),
        ({"labels": np.array([0, -1, 2, 0, 0, 1])}, "label -1 of image 1 is out of range"),
        ({"images": [np.zeros((28, 28), np.float32)] * 6}, "image 0 is float32 of shape"),
        ({"images": [np.zeros((28, 28, 3), np.uint8)] * 6}, "expected uint8 of shape"),
        ({"images": np.zeros((5, 28, 28), np.uint8)}, "5 images but 6 labels"),
        ({"images": np.zeros((7, 28, 28), np.uint8)}, "more than 6 images but 6 labels"),
    ],
)
def test_bad_images_and_labels_are_refused_and_leave_no_file(tmp_path, raw, change, message):
    with pytest.raises(RemibenchError, match=message):
        prepare(replace(raw, **change), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_image_is_not_mistaken_for_a_full_disk(tmp_path, raw):
    def stream():
        yield raw.images[0]
        Image.open(tmp_path / "missing.jpg")

    with pytest.raises(RemibenchError, match=r"image of the dataset cannot be read.*missing\.jpg"):
        prepare(replace(raw, images=stream()), tmp_path)


def test_a_full_disk_during_preparation_is_one_clear_error(small_disk, raw):
    with pytest.raises(RemibenchError, match=r"cannot write .*images\.npy: No space left"):
        prepare(raw, small_disk, size=512)
    assert list(small_disk.iterdir()) == []


def test_idx_round_trip(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)
    write_idx(tmp_path / "a.gz", array)
    assert np.array_equal(read_idx(tmp_path / "a.gz", 3), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"not gzip", "cannot be read as gzip"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abcde")[:-9], "cannot be read as gzip"),
        (gzip.compress(b""), "not an idx file"),
        (gzip.compress(b"\x00\x00\x0d\x01\x00\x00\x00\x01a"), "not an idx file"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x05abc"), "the file has only 3"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x02abc"), "the file has more"),
    ],
)
def test_damaged_idx_files_are_refused_by_name(tmp_path, content, message):
    path = tmp_path / "labels.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RemibenchError, match=message) as caught:
        read_idx(path, 1)
    assert str(path) in str(caught.value)


def test_an_idx_file_that_is_not_the_published_one_is_refused(tmp_path):
    write_idx(tmp_path / "a.gz", np.zeros(3, np.uint8))
    with pytest.raises(RemibenchError, match="not the published file"):
        read_idx(tmp_path / "a.gz", 1, checksum="0" * 64)


def test_missing_fashion_mnist_says_where_to_put_it(tmp_path, monkeypatch):
    monkeypatch.setattr(fmnist, "DEBIAN_FOLDER", tmp_path / "none")
    with pytest.raises(RemibenchError, match=r"put train-images-idx3-ubyte.gz.*data\.search_path"):
        fmnist.load([tmp_path])
