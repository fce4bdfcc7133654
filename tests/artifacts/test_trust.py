"""What is never done with a file, whatever it holds: run it, follow it, fill the memory with it."""

import ast
import io
import os
import pickle
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from support import fuzz
from support.smoke import ROOT
from support.standins import balanced, write_archive, write_cifar10_folder

from remibench.artifacts.io import load_array, load_arrays, load_json, load_tensors
from remibench.artifacts.tables import load_table
from remibench.attacks import load_attack
from remibench.data import LoadOptions, load_dataset
from remibench.data._files import MAX_BYTES, MAX_UNPACKED, unpack
from remibench.data._idx import read_idx
from remibench.errors import RemibenchError

SOURCES = [*ROOT.glob("remibench/**/*.py"), *ROOT.glob("workflow/**/*.py")]
UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "torch.hub.load",
    "pd.read_pickle",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.unsafe_load",
    "os.system",
    "os.popen",
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_code_unpickles_or_evaluates(path):
    assert unsafe(path.read_text()) == (["import pickle"] if path.name == "cifar10.py" else [])


def unsafe(source):
    """What a module has that runs what a file holds."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None), *(alias.name for alias in node.names)]
            found += [f"import {name}" for name in names if name in UNSAFE_MODULES]
        elif isinstance(node, ast.Call):
            name, stated = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
            if name in UNSAFE_CALLS or "shell" in stated:
                found.append(name)
            if name in ("np.load", "numpy.load") and not is_(False, stated.get("allow_pickle")):
                found.append(name)
            if name == "torch.load" and not is_(True, stated.get("weights_only")):
                found.append(name)
    return found


def is_(value, node):
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "torch.load(p, weights_only=flag)",
        "np.load(p)",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=flag)",
        "yaml.load(p, yaml.Loader)",
        "eval(text)",
        "subprocess.run(text, shell=True)",
    ],
)
def test_that_search_finds_what_it_searches_for(source):
    assert unsafe(source)


def test_snakemakes_files_do_not_either():
    for path in [ROOT / "Snakefile", *ROOT.glob("workflow/rules/*.smk")]:
        words = path.read_text().replace("(", " ").split()
        assert not {*UNSAFE_MODULES, *UNSAFE_CALLS} & set(words), path


class Exploit:
    """What an untrusted pickle could do."""

    def __reduce__(self):
        return (exec, ("open('exploited', 'w')",))


def pickled():
    return pickle.dumps({"weight": Exploit()})


def object_array(save):
    buffer = io.BytesIO()
    save(buffer, np.array([Exploit()], object))
    return buffer.getvalue()


def torch_file(**options):
    buffer = io.BytesIO()
    torch.save({"weight": Exploit()}, buffer, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pickled(),
        object_array(np.save),
        object_array(np.savez),
        torch_file(),
        torch_file(_use_new_zipfile_serialization=False),
    ],
    ids=["pickle", "npy", "npz", "torch", "old torch"],
)
@pytest.mark.parametrize(
    "read",
    [
        lambda path: load_tensors(path, {}),
        load_attack,
        load_array,
        lambda path: load_array(path, mmap=True),
        load_arrays,
        load_json,
        load_table,
        lambda path: read_idx(path, 1),
    ],
    ids=["tensors", "attack", "array", "mapped", "arrays", "json", "table", "idx"],
)
def test_a_malicious_file_runs_nothing_whatever_its_name_says(tmp_path, monkeypatch, read, content):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RemibenchError, match=re.escape(str(path))):
        read(path)
    assert not Path("exploited").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("where", ["whole", "images", "labels", "key"])
def test_a_malicious_batch_of_cifar10_runs_nothing(tmp_path, monkeypatch, protocol, where):
    monkeypatch.chdir(tmp_path)
    batch = {
        "whole": Exploit(),
        "images": {b"data": Exploit(), b"labels": []},
        "labels": {b"data": np.zeros((1, 3072), np.uint8), b"labels": [Exploit()]},
        "key": {b"data": np.zeros((1, 3072), np.uint8), b"labels": [1], b"other": Exploit()},
    }[where]
    write_cifar10_folder(tmp_path, balanced(60))
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "data_batch_1").write_bytes(pickle.dumps(batch, protocol))
    with pytest.raises(RemibenchError, match=r"data_batch_1: .*the pickle asks for"):
        load_dataset("cifar10", LoadOptions([tmp_path], published_only=False))
    assert not Path("exploited").exists()


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    path = tmp_path / "evil.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("../../outside.jpg", f"{tmp_path}/absolute.jpg", "a/../../dots.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"evil"))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            link = tarfile.TarInfo(f"link{kind.decode()}.jpg")
            link.type, link.linkname = kind, "/etc/passwd"
            archive.addfile(link)
    unpack(path, tmp_path / "a" / "b" / "inside", lambda name: True)
    inside = tmp_path / "a" / "b" / "inside"
    assert {p.name for p in inside.iterdir()} == {"outside.jpg", "absolute.jpg", "dots.jpg"}
    assert [p for p in tmp_path.rglob("*.jpg") if p.parent != inside] == []


@pytest.mark.parametrize(
    ("dataset", "archive", "member", "size"),
    [
        ("stl10", "stl10_binary.tar.gz", "stl10_binary/train_X.bin", MAX_UNPACKED + 1),
        ("cifar10", "cifar-10-binary.tar.gz", "x/data_batch_1.bin", MAX_BYTES + 1),
        ("cifar10", "cifar-10-python.tar.gz", "x/data_batch_1", MAX_BYTES + 1),
    ],
)
def test_an_archive_of_more_than_was_published_is_refused(tmp_path, dataset, archive, member, size):
    """Its size is stated before its content, of which there is none here."""
    write_archive(tmp_path / archive, {})
    header = tarfile.TarInfo(member)
    header.size = size
    with tarfile.open(tmp_path / archive, "w:gz") as file:
        file.fileobj.write(header.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(RemibenchError, match=rf"{archive}.* more than .* fetch it again"):
        load_dataset(dataset, LoadOptions([tmp_path], published_only=False))


@pytest.mark.parametrize("form", sorted(fuzz.FORMS))
@pytest.mark.parametrize(
    "count", [200, pytest.param(5000, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_damaged_files_of_datasets_are_read_or_refused_in_little_memory(form, count):
    done = subprocess.run(
        [sys.executable, "-m", "support.fuzz", form, str(count)],
        cwd=ROOT / "tests",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    loaded, refused = (int(word) for word in done.stdout.split() if word.isdigit())
    assert loaded + refused == count
    assert refused > count / 10
