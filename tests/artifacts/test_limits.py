"""Files that state more than they hold, nest without end or speak to the terminal."""

import io
import resource
import zipfile
import zlib

import numpy as np
import pytest
import torch
import yaml
from support.smoke import ROOT

from remibench.artifacts.io import (
    check_file,
    load_array,
    load_arrays,
    load_settings,
    load_yaml,
    save_array,
    save_arrays,
    save_tensors,
)
from remibench.cli import main
from remibench.config.audit import read_audit
from remibench.errors import RemibenchError
from remibench.planning.jobs import read_config


def sealed(header, body=b""):
    """An npy file of that header with the checksum that remibench looks for."""
    text = header.encode().ljust(118) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body
    return content + b"CRC-32: %08x" % zlib.crc32(content)


def shape(text, kind="<f8"):
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {text}, }}"


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize(
    "header",
    [
        shape("(10**15,)".replace("10**15", str(10**15))),
        shape(f"({2**62},)"),
        shape(f"({2**70},)"),
        shape("(-1,)"),
        shape("(1000000, 1000000, 1000)"),
        shape("(2,)", "|O"),
        "{'descr': '<f8', 'fortran_order': False, 'shape': (",
        "{'descr': '<f8'",
        "(" * 100,
        "'''",
        "{'descr': [('a', '<f8')] * 3}",
        "\\",
        "",
    ],
)
def test_an_absurd_header_with_a_valid_checksum_is_one_line_with_the_file(tmp_path, header, mmap):
    path = tmp_path / "a.npy"
    path.write_bytes(sealed(header))
    with pytest.raises(RemibenchError, match=r"^cannot read \S+a\.npy: not a whole npy file"):
        load_array(path, mmap)


def test_that_header_is_read_where_it_is_true(tmp_path):
    (tmp_path / "a.npy").write_bytes(sealed(shape("(2,)"), np.array([1.0, 2.0]).tobytes()))
    assert load_array(tmp_path / "a.npy").tolist() == [1, 2]


def bomb(path, names, size):
    """An npz of zeros that are compressed a thousand times."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(size, np.uint8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name in names:
            file.writestr(f"{name}.npy", buffer.getvalue())


def overlapping(path):
    """An npz whose directory lists one member several times."""
    np.savez(path, a=np.zeros(2**16, np.uint8))
    with zipfile.ZipFile(path, "a") as file:
        file.filelist *= 20
        file._didModify = True


def compressed(path):
    np.savez_compressed(path, train=np.zeros(10**6))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: bomb(path, "a", 2**24),
        lambda path: bomb(path, "abcdefgh", 2**22),
        overlapping,
        compressed,
    ],
    ids=["one member", "many members", "overlapping members", "compressed"],
)
def test_an_npz_that_unpacks_to_more_than_it_holds_is_refused(tmp_path, spoil):
    path = tmp_path / "splits.npz"
    spoil(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RemibenchError, match=r"splits\.npz: .*unpacks to more than it holds"):
        load_arrays(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**15  # KiB


YAML = {
    "deep list": "[" * 3000,
    "deep and whole": "a: " + "[" * 500 + "]" * 500,
    "deep blocks": "".join("  " * n + f"k{n}:\n" for n in range(200)),
    "recursive": "a: &a [*a]",
    "laughs": "a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]",
    "merge": "a: &a {x: 1}\nb:\n  <<: *a",
    "cut": "a: [1, 2",
    "tab": "a:\n\t- b",
    "object": "!!python/object/apply:os.system ['true']",
    "binary": "\x00\x01",
    "large": "a: " + "x" * 2**20,
}


@pytest.mark.parametrize("text", YAML.values(), ids=YAML)
def test_yaml_that_is_deep_recursive_or_broken_is_one_line_with_the_file(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(RemibenchError, match=r"^cannot read \S+config\.yaml: ") as caught:
        load_yaml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [lambda path: read_config([str(path)]), read_audit])
@pytest.mark.parametrize("name", ["deep list", "recursive", "cut", "object"])
def test_a_config_like_that_is_one_line_with_the_file(tmp_path, monkeypatch, name, read):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "mine.yaml"
    path.write_text(YAML[name])
    with pytest.raises(RemibenchError, match=r"mine\.yaml|^config: ") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "a: 1", "datasets: 3", "null", "seeds: [0]"])
def test_a_config_of_a_tree_that_is_none_is_named(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RemibenchError, match=r"config\.yaml: no config: it (lacks|holds no)"):
        load_settings(tmp_path / "config.yaml", "datasets", "seeds")


def test_a_config_that_a_run_wrote_is_read(tmp_path):
    axes = ("datasets", "architectures", "seeds", "forget_ratios", "methods")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({key: [1] for key in axes}))
    assert load_settings(tmp_path / "config.yaml", *axes)["seeds"] == [1]


ESCAPES = ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\x00b", "a\x08b", "\u202etxt", "\x9b2J"]


@pytest.mark.parametrize("text", ESCAPES)
def test_no_message_speaks_to_the_terminal(text):
    assert str(RemibenchError(f"cannot read {text}; fix it")).isprintable()


def test_what_a_message_says_in_any_language_stays():
    assert str(RemibenchError("± ≥ é 画像 `x`")) == "± ≥ é 画像 `x`"


@pytest.mark.parametrize("suffix", [".safetensors", ".npy", ".npz"])
def test_a_damaged_checkpoint_is_noticed_before_it_is_packed(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    numbers = np.arange(999.0)
    {
        ".safetensors": lambda: save_tensors(path, {"w": torch.from_numpy(numbers)}, {}),
        ".npy": lambda: save_array(path, numbers),
        ".npz": lambda: save_arrays(path, {"w": numbers}),
    }[suffix]()
    check_file(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(RemibenchError, match=rf"a\{suffix}"):
        check_file(path)


def test_comparing_trees_prints_no_escapes(tmp_path, monkeypatch, capsys):
    """What archives hold is written out, on as many lines."""

    class Comparison:
        differs = False

        def write(self, folder):
            pass

        def text(self):
            return "a\x1b[2Jb\nc"

    monkeypatch.setattr("remibench.sharing.compare.compare", lambda *_: Comparison())
    assert main(["compare", "a", "b", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith("a\\x1b[2Jb\nc\nPage: ")
