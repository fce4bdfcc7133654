"""Reading and preparing images: real files in their real format, and what is refused."""

import io
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
import torchvision.datasets
from PIL import Image
from support import standins

from remibench.data import (
    DatasetInfo,
    LoadOptions,
    RawDataset,
    dataset_info,
    fmnist,
    load_dataset,
    utkface,
)
from remibench.data._files import download, find, unpack
from remibench.data._idx import read_idx, write_idx
from remibench.data.forget_sets import forget_count
from remibench.data.preparation import prepare_dataset
from remibench.data.splits import split_dataset
from remibench.errors import RemibenchError

EMBEDDED = Path(__file__).parents[2] / "data" / "embedded"


def prepare(raw, folder, size=32, limit=None):
    paths = [
        folder / name for name in ("images.npy", "labels.npy", "metadata.json", "attributes.npz")
    ]
    prepare_dataset("mine", raw, size, limit, *paths)
    return np.load(paths[0]), np.load(paths[1]), json.loads(paths[2].read_text())


@pytest.fixture
def raw():
    images = np.random.default_rng(0).integers(0, 256, (6, 28, 28), dtype=np.uint8)
    info = DatasetInfo("test", 6, ("a", "b", "c"), (0.5,), (0.5,), "fmnist")
    return RawDataset(info, images, np.arange(6) % 3, {})


def load(name, folder, **options):
    """Load stand-ins, which are not the published files."""
    return load_dataset(name, LoadOptions([folder], published_only=False, **options))


def test_embedded_images_are_class_balanced_and_match_their_manifest():
    raw = load_dataset("fmnist_embedded", LoadOptions([]))
    assert raw.images.shape == (4000, 28, 28)
    assert np.bincount(raw.labels).tolist() == [400] * 10
    manifest = json.loads((EMBEDDED / "manifest.json").read_text())
    assert raw.sources == manifest["result"]
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 3e6


@pytest.mark.skipif(not fmnist.DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist not installed")
def test_embedded_images_are_the_first_of_the_original_files():
    embedded, original = (
        load_dataset("fmnist_embedded", LoadOptions([])),
        load_dataset("fmnist", LoadOptions([])),
    )
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
    info = replace(raw.info, mean=(0.5,) * 3, std=(0.5,) * 3)
    images, _, _ = prepare(replace(raw, images=colour, info=info), tmp_path)
    assert np.array_equal(images, colour.transpose(0, 3, 1, 2))


def test_limit_keeps_the_first_images_of_a_stream(tmp_path, raw):
    stream = replace(raw, images=iter(raw.images))
    images, _, metadata = prepare(stream, tmp_path, size=28, limit=4)
    assert np.array_equal(images[:, 0], raw.images[:4])
    assert metadata["provenance"] == "test, first 4 images"


def test_what_is_amiss_with_the_images_is_in_their_provenance(tmp_path, raw):
    _, _, metadata = prepare(raw, tmp_path)
    assert (metadata["provenance"], metadata["paper_dataset"]) == ("test, 6 images", "fmnist")
    odd = replace(raw, published=False, skipped={"race 4": ["a.jpg"], "unreadable": ["b.jpg"]})
    _, _, metadata = prepare(odd, tmp_path)
    assert metadata["provenance"] == "test, 6 images (2 left out), NOT THE PUBLISHED FILES"
    assert metadata["paper_dataset"] is None  # no published number is put beside these
    assert metadata["skipped"] == {"race 4": ["a.jpg"], "unreadable": ["b.jpg"]}


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
    assert np.array_equal(read_idx(tmp_path / "a.gz", 3)[0], array)


@pytest.mark.parametrize("name", ["fmnist", "utkface", "stl10", "cifar10"])
def test_quarters_have_the_sizes_of_the_papers_table_1(name):
    table = pd.read_csv(Path(__file__).parents[2] / "paper/table1_dataset_statistics.csv")
    row = table.set_index("dataset").loc[name]
    roles = split_dataset(dataset_info(name).images, 0, 0.5)
    assert len(roles["target_train"]) == row["train"]
    assert len(roles["target_test"]) == row["test"]


@pytest.mark.slow
@pytest.mark.skipif(not fmnist.DEBIAN_FOLDER.is_dir(), reason="dataset-fashion-mnist not installed")
def test_real_fashion_mnist_gives_table_1(tmp_path):
    images, labels, metadata = prepare(load_dataset("fmnist", LoadOptions([])), tmp_path, size=64)
    assert images.shape == (70_000, 1, 64, 64)
    assert metadata["provenance"] == "Fashion-MNIST, 70,000 images"
    roles = split_dataset(len(labels), 0, 0.5)
    quarters = [
        roles[name] for name in ("target_train", "target_test", "shadow_train", "shadow_test")
    ]
    assert [len(quarter) for quarter in quarters] == [17_500] * 4
    assert len(np.unique(np.concatenate(quarters))) == 70_000
    table = pd.read_csv(Path(__file__).parents[2] / "paper/table1_dataset_statistics.csv")
    published = table.set_index("dataset").loc["fmnist"]
    per_class = np.bincount(labels[roles["target_train"]])
    for ratio in (0.01, 0.1, 0.25, 0.5):
        ours = sum(forget_count(count, ratio) for count in per_class)
        assert abs(ours - published[f"forget_{ratio}"]) <= len(per_class), ratio


CIFAR10 = [
    standins.write_cifar10_folder,
    standins.write_cifar10_python,
    standins.write_cifar10_binary,
]


@pytest.mark.parametrize("write", CIFAR10)
@pytest.mark.parametrize("place", [".", "cifar10"])
def test_cifar10_is_read_from_each_of_its_forms(tmp_path, write, place):
    labels = standins.balanced(60)
    write(tmp_path / place, labels)
    raw = load("cifar10", tmp_path)
    assert np.array_equal(list(raw.images), standins.pictures(labels, 32))
    assert np.array_equal(raw.labels, labels)
    assert not raw.published
    name, digest = next(iter(raw.sources.items()))  # of these files, not the published ones'
    assert digest == f"md5:{md5(next(tmp_path.rglob(Path(name).name)))}"


def test_torchvision_reads_the_same_from_the_same_files(tmp_path, monkeypatch):
    standins.write_cifar10_folder(tmp_path, standins.balanced(60))
    standins.write_stl10_folder(tmp_path, standins.balanced(26))
    for dataset in (torchvision.datasets.CIFAR10, torchvision.datasets.STL10):
        monkeypatch.setattr(dataset, "_check_integrity", lambda _: True)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_load_meta", lambda _: None)
    ours = load("cifar10", tmp_path)
    theirs = [torchvision.datasets.CIFAR10(tmp_path, train) for train in (True, False)]
    assert np.array_equal(list(ours.images), np.concatenate([part.data for part in theirs]))
    assert np.array_equal(ours.labels, np.concatenate([part.targets for part in theirs]))
    ours = load("stl10", tmp_path)
    theirs = [torchvision.datasets.STL10(tmp_path, part) for part in ("train", "test")]
    planes = np.concatenate([part.data for part in theirs])
    assert np.array_equal(list(ours.images), planes.transpose(0, 2, 3, 1))
    assert np.array_equal(ours.labels, np.concatenate([part.labels for part in theirs]))


@pytest.mark.parametrize("write", CIFAR10)
def test_cifar10_that_is_not_the_published_one_is_refused(tmp_path, write):
    write(tmp_path, standins.balanced(60))
    with pytest.raises(RemibenchError, match=r"cifar-10.*not the published file.*published_only"):
        load_dataset("cifar10", LoadOptions([tmp_path]))


def test_stl10_is_read_column_by_column_and_its_labels_start_at_zero(tmp_path):
    labels = standins.balanced(26)
    standins.write_stl10_folder(tmp_path, labels)
    raw = load("stl10", tmp_path)
    assert np.array_equal(list(raw.images), standins.pictures(labels, 96))
    assert np.array_equal(raw.labels, labels)


def test_stl10s_labelled_files_alone_are_unpacked(tmp_path):
    labels = standins.balanced(26)
    downloads, work = tmp_path / "downloads", tmp_path / "work"
    standins.write_stl10_archive(downloads, labels)
    options = LoadOptions([work, downloads], published_only=False)
    raw = load_dataset("stl10", options)
    assert np.array_equal(list(raw.images), standins.pictures(labels, 96))
    unpacked = work / "stl10" / "stl10_binary"
    assert {path.name for path in unpacked.iterdir()} == {
        "train_X.bin",
        "train_y.bin",
        "test_X.bin",
        "test_y.bin",
    }
    stamp = unpacked.stat().st_mtime_ns
    load_dataset("stl10", options)
    assert unpacked.stat().st_mtime_ns == stamp  # found the second time, not unpacked again


def test_stl10_with_missing_images_or_foreign_files_is_refused(tmp_path):
    standins.write_stl10_folder(tmp_path, standins.balanced(26))
    with pytest.raises(RemibenchError, match=r"train_X.bin: not the published file"):
        load_dataset("stl10", LoadOptions([tmp_path]))
    path = tmp_path / "stl10_binary" / "test_X.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RemibenchError, match=r"test_X.bin: 442367 bytes, but test_y.bin has 16"):
        load("stl10", tmp_path)


@pytest.mark.parametrize("write", [standins.write_utkface_folder, standins.write_utkface_archive])
def test_utkface_is_read_in_the_order_of_its_names(tmp_path, write):
    races = standins.balanced(30, 4)
    write(tmp_path, races)
    raw = load("utkface", tmp_path)
    images = list(raw.images)
    names = standins.utkface_files(races)
    assert raw.labels.tolist() == [int(name.split("_")[2]) for name in sorted(names)]
    for image, name in zip(images, sorted(names), strict=True):
        assert np.array_equal(image, np.asarray(Image.open(io.BytesIO(names[name]))))
    assert not raw.published


@pytest.fixture
def faces(tmp_path):
    """Twelve good faces, and every kind that cannot be used."""
    names = standins.write_utkface_folder(tmp_path, standins.balanced(15, 5))
    folder = tmp_path / "UTKFace"
    good = next(name for name in names if "_0_20" in name)
    content = (folder / good).read_bytes()
    for name in ("61_1_20170109142408075.jpg.chip.jpg", "53__0_20170116184028385.jpg", "notes.txt"):
        (folder / name).write_bytes(content)
    (folder / "9_0_1_20170110000000000.jpg").write_bytes(content[: len(content) // 2])
    (folder / "9_0_1_20170110000000001.jpg").write_bytes(b"")
    (folder / ".DS_Store").write_bytes(b"")
    # Names of the published archive: the label is whole.
    (folder / "24_0_1_20170116220224657 .jpg.chip.jpg").write_bytes(content)
    (folder / "55_0_0_20170116232725357jpg.chip.jpg").write_bytes(content)
    return tmp_path


def test_faces_that_cannot_be_used_stop_the_run_in_one_line(faces):
    with pytest.raises(RemibenchError) as caught:
        load("utkface", faces)
    message = str(caught.value)
    assert "\n" not in message
    assert "3 with malformed name (53__0_20170116184028385.jpg, 61_1_2017" in message
    assert "3 with race 4 (" in message
    assert "2 with unreadable file (9_0_1_20170110000000000.jpg, 9_0_1" in message
    assert "data.skip_unusable" in message


def of_format(kind):
    def spoil(path):
        Image.new("RGB", (200, 200)).save(path, kind)

    return spoil


def of_many_pixels(path):
    """A JPEG whose header states 65,000 lines of 65,000 pixels."""
    Image.new("RGB", (200, 200)).save(path, "JPEG")
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = (65_000).to_bytes(2) * 2
    path.write_bytes(content)


def of_many_bytes(path):
    Image.new("RGB", (200, 200)).save(path, "JPEG")
    with path.open("ab") as file:
        file.truncate(2**24 + 1)


SPOILT = {
    **{kind: of_format(kind) for kind in ("PNG", "GIF", "BMP", "TIFF", "WEBP", "EPS", "PPM")},
    "many pixels": of_many_pixels,
    "many bytes": of_many_bytes,
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 9),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_face_that_is_no_jpeg_or_too_large_is_not_decoded(tmp_path, spoil):
    """Whatever its name says: some of Pillow's decoders run other programs."""
    names = standins.write_utkface_folder(tmp_path, standins.balanced(8, 4))
    path = tmp_path / "UTKFace" / sorted(names)[0]
    assert len(load("utkface", tmp_path, skip_unusable=True).labels) == 8
    spoil(path)
    with pytest.raises(RemibenchError, match=rf"1 with unreadable file \({path.name}\)"):
        load("utkface", tmp_path)


def test_faces_that_cannot_be_used_are_left_out_on_request_and_listed(faces, tmp_path):
    raw = load("utkface", faces, skip_unusable=True)
    assert len(raw.labels) == 12 + 2
    counts = {reason: len(names) for reason, names in raw.skipped.items()}
    assert counts == {"malformed name": 3, "race 4": 3, "unreadable file": 2}
    _, labels, metadata = prepare(raw, tmp_path)
    assert Counter(labels) == {0: 4, 1: 4, 2: 3, 3: 3}
    expected = (
        "UTKFace (it has no published checksum), 14 images (8 left out), NOT THE PUBLISHED FILES"
    )
    assert metadata["provenance"] == expected
    assert metadata["skipped"]["malformed name"][-1] == "notes.txt"


def test_another_number_of_faces_than_published_is_refused(tmp_path):
    standins.write_utkface_folder(tmp_path, standins.balanced(8, 4))
    with pytest.raises(RemibenchError, match=r"8 usable images; the published archive has 22,013"):
        load_dataset("utkface", LoadOptions([tmp_path]))


def test_missing_utkface_says_which_archive_and_where_to_put_it(tmp_path):
    with pytest.raises(RemibenchError) as caught:
        load_dataset("utkface", LoadOptions([tmp_path]))
    for phrase in ("UTKFace.tar.gz", "susanqq.github.io/UTKFace", str(tmp_path), "search_path"):
        assert phrase in str(caught.value)


def test_fashion_mnist_is_read_train_part_first(tmp_path):
    labels = standins.balanced(28)
    images = standins.write_fmnist(tmp_path / "fmnist", labels)
    raw = load("fmnist", tmp_path)
    assert np.array_equal(raw.images, images)
    assert np.array_equal(raw.labels, labels)
    assert not raw.published


@pytest.fixture
def server(tmp_path):
    """An HTTP server of the folder ``web`` on this machine."""
    web = tmp_path / "web"
    web.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=web)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield web, f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()


def test_missing_datasets_are_downloaded(tmp_path, server, monkeypatch):
    web, address = server
    folder = tmp_path / "data"
    monkeypatch.setattr(fmnist, "DEBIAN_FOLDER", tmp_path / "none")
    standins.write_fmnist(web / "fmnist", standins.balanced(28))
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [f"{address}fmnist/"])
    digests = [(name, md5(web / "fmnist" / name)) for name in fmnist.FILES]
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "resources", digests)
    assert len(load("fmnist", folder).labels) == 28
    standins.write_cifar10_python(web, standins.balanced(60))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{address}cifar-10-python.tar.gz")
    archives = {"cifar-10-python.tar.gz": md5(web / "cifar-10-python.tar.gz")}
    monkeypatch.setattr("remibench.data.cifar10.ARCHIVES", archives)
    raw = load("cifar10", folder)
    assert raw.published
    assert raw.sources == {name: f"md5:{digest}" for name, digest in archives.items()}
    standins.write_stl10_archive(web, standins.balanced(26))
    monkeypatch.setattr(torchvision.datasets.STL10, "url", f"{address}stl10_binary.tar.gz")
    monkeypatch.setattr("remibench.data.stl10.ARCHIVE_MD5", md5(web / "stl10_binary.tar.gz"))
    assert len(load("stl10", folder).labels) == 26
    assert not list(folder.rglob(".*"))  # nothing temporary is left


def md5(path):
    return torchvision.datasets.utils.calculate_md5(path)


@pytest.mark.parametrize("name", ["cifar10", "stl10", "fmnist"])
def test_a_download_that_fails_is_one_line_and_leaves_no_file(tmp_path, server, monkeypatch, name):
    _, address = server
    monkeypatch.setattr(fmnist, "DEBIAN_FOLDER", tmp_path / "none")
    monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [address])
    for dataset in (torchvision.datasets.CIFAR10, torchvision.datasets.STL10):
        monkeypatch.setattr(dataset, "url", f"{address}nothing.tar.gz")
    message = r"was not found in `data\.search_path` and cannot be downloaded \(HTTP Error 404"
    with pytest.raises(RemibenchError, match=message):
        load_dataset(name, LoadOptions([tmp_path / "data"]))
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


def test_a_download_of_another_file_is_refused(tmp_path, server):
    web, address = server
    (web / "file").write_bytes(b"something else")
    with pytest.raises(RemibenchError, match="corrupted"):
        download(f"{address}file", "0" * 32, tmp_path / "data" / "file", "test")
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("damage", ["truncated", "one byte"])
def test_a_damaged_archive_leaves_no_folder(tmp_path, damage):
    standins.write_utkface_archive(tmp_path, standins.balanced(20, 4))
    path = tmp_path / "UTKFace.tar.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1  # only the archive's checksum can tell
    path.write_bytes(content if damage == "one byte" else content[:-1000])
    with pytest.raises(RemibenchError, match=r"UTKFace.tar.gz: cannot be read as a tar.gz archive"):
        load("utkface", tmp_path)
    assert find(["UTKFace"], "utkface", [tmp_path]) is None
    assert list((tmp_path / "utkface").iterdir()) == []


def test_faces_of_another_size_or_unreadable_ones_are_not_the_published(tmp_path, monkeypatch):
    monkeypatch.setattr(utkface, "QUARTER", 3)
    options = LoadOptions([tmp_path], skip_unusable=True)
    names = standins.write_utkface_folder(tmp_path, standins.balanced(12, 4))
    assert load_dataset("utkface", options).published
    spare = tmp_path / "UTKFace" / "9_0_1_20170110000000001.jpg"
    spare.write_bytes(b"")
    with pytest.raises(RemibenchError, match=r"12 usable images: 1 with unreadable file \(9_0_1"):
        load_dataset("utkface", options)
    spare.unlink()
    Image.new("RGB", (64, 64)).save(tmp_path / "UTKFace" / names[0])
    with pytest.raises(RemibenchError, match="all whole and of 200×200 pixels"):
        load_dataset("utkface", options)


def test_an_incomplete_folder_is_named_before_anything_is_downloaded(tmp_path):
    (tmp_path / "stl10" / "stl10_binary").mkdir(parents=True)
    with pytest.raises(RemibenchError, match=r"stl10_binary lacks some of train_X.bin"):
        load("stl10", tmp_path)
    standins.write_stl10_archive(tmp_path, standins.balanced(26))
    with pytest.raises(RemibenchError, match=r"stl10_binary is there but not complete; remove it"):
        load("stl10", tmp_path)


def test_an_archive_without_a_file_leaves_no_folder(tmp_path):
    standins.write_archive(tmp_path / "stl10_binary.tar.gz", {"stl10_binary/train_X.bin": b"x"})
    for _ in range(2):
        with pytest.raises(RemibenchError, match=r"tar.gz: train_y.bin is missing; fetch it again"):
            load("stl10", tmp_path)


def test_a_folder_that_another_run_made_meanwhile_is_used(tmp_path):
    path, folder = tmp_path / "a.tar.gz", tmp_path / "folder"
    standins.write_archive(path, {"x/file": b"1"})

    def wanted(name):
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"of the other")
        return True

    unpack(path, folder, wanted)
    assert (folder / "file").read_bytes() == b"of the other"
    assert not list(tmp_path.glob(".folder*"))


def test_a_full_disk_while_unpacking_names_the_disk_and_not_the_archive(tmp_path, small_disk):
    standins.write_stl10_archive(tmp_path, standins.balanced(26))
    options = LoadOptions([small_disk, tmp_path], published_only=False)
    with pytest.raises(RemibenchError, match=r"cannot write .*No space left.*search_path"):
        load_dataset("stl10", options)
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["stl10", "utkface"])
def test_large_datasets_are_streamed(tmp_path, name):
    """Ten times as many images take no more memory (of 96×96×3 or 200×200×3 bytes each)."""
    write = {"stl10": standins.write_stl10_folder, "utkface": standins.write_utkface_folder}[name]
    peaks = []
    for count in (100, 1000):
        folder = tmp_path / str(count)
        write(folder, standins.balanced(count, 4))
        done = subprocess.run(
            # Through a shell: a process directly started counts its parent's memory as its own.
            ["sh", "-c", '"$@"; exit $?', "sh", sys.executable, "-c", PREPARE, name, str(folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    images = (96 if name == "stl10" else 200) ** 2 * 3
    assert peaks[1] - peaks[0] < 900 * images / 4


PREPARE = """
import sys
from pathlib import Path
from remibench.data import LoadOptions, load_dataset
from remibench.data.preparation import prepare_dataset
from remibench.jobs.script import peak_memory
folder = Path(sys.argv[2])
raw = load_dataset(sys.argv[1], LoadOptions([folder], published_only=False))
names = ("images.npy", "labels.npy", "metadata.json", "attributes.npz")
paths = [folder / name for name in names]
prepare_dataset("mine", raw, 32, None, *paths)
print(peak_memory())
"""
