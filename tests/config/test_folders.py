"""Where results may go, and where a path of the config starts."""

import os
import subprocess
from pathlib import Path

import pytest
from support.configs import default
from support.smoke import ROOT

from remibench.config.folders import RESERVED, check_results, locate
from remibench.config.model import load_config
from remibench.errors import RemibenchError


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory in a home of its own: ``tmp_path/home/papers``."""
    work = tmp_path / "home" / "papers"
    work.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(work.parent))
    monkeypatch.chdir(work)
    return work


AROUND = "is the folder you run in, or a folder around it; choose a new or empty folder"
FOREIGN = "holds files that no run made, like .*; choose a new or empty folder"


@pytest.mark.parametrize(
    ("results", "message"),
    [
        (".", AROUND),
        ("./", AROUND),
        ("..", AROUND),
        ("../..", AROUND),
        ("/", AROUND),
        ("~", AROUND),
        ("new/../.", AROUND),
        ("here", AROUND),  # a link to the working directory
        (str(ROOT), "is the repository, or a folder around it"),
        (str(ROOT.parent), "is the repository, or a folder around it"),
        (f"{ROOT}/docs/results/default", "is in the repository's own folder docs"),
        (f"{ROOT}/config", "is in the repository's own folder config"),
        (f"{ROOT}/data/mine", "is in the repository's own folder data"),
        (f"{ROOT}/.snakemake", r"is in the repository's own folder \.snakemake"),
        ("/etc", FOREIGN),
        ("project", FOREIGN),
        ("~/papers/project", FOREIGN),
        ("note.txt", "is a file; move it or choose a folder"),
        ("to_note", "is a file; move it or choose a folder"),
    ],
)
def test_a_results_folder_that_is_not_a_runs_own_is_refused(home, results, message):
    (home / "project" / "data").mkdir(parents=True)
    (home / "project" / "config.yaml").write_text("theirs: 1\n")
    (home / "project" / "logs").mkdir()
    (home / "project" / "logs" / "server.log").write_text("theirs\n")
    (home / "note.txt").write_text("note\n")
    (home / "here").symlink_to(home)
    (home / "to_note").symlink_to("note.txt")
    config = load_config(default() | {"results": results, "unlearning": {}})
    with pytest.raises(RemibenchError, match=rf"^config: `results`: \S+ {message}"):
        check_results(config.results)


@pytest.mark.parametrize(
    "made",
    [
        None,
        "",
        ".lock",
        "data/fmnist/metadata.json",
        "logs/prepare_dataset/fmnist.log",
        "logs/train_model/fmnist/cnn/0/target.log",  # of a job whose results were removed
        "logs/gather.log",
        "provenance.json",
        "models/fmnist/cnn/0/target.safetensors",
    ],
)
def test_a_new_an_empty_and_a_runs_own_folder_are_taken(home, made):
    if made is not None:
        (home / "mine" / made).parent.mkdir(parents=True, exist_ok=True)
        (home / "mine").mkdir(exist_ok=True)
    if made:
        (home / "mine" / made).touch()
        (home / "mine" / "my_notes.txt").touch()
        if made == ".lock":
            (home / "mine" / "my_notes.txt").unlink()
    check_results("mine")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("x", "x"),
        ("x/", "x"),
        ("x//", "x"),
        ("./x", "x"),
        ("a//b/", "a/b"),
        ("a/../b", "b"),
        ("a/./b", "a/b"),
        ("~/x", "{home}/x"),
        ("~/x/", "{home}/x"),
        ("/usr/../x/", "/x"),
        ("a b", "a b"),
        ("it's", "it's"),
    ],
)
def test_a_results_folder_has_one_name(home, written, meant):
    config = load_config(default() | {"results": written, "unlearning": {}})
    assert config.results == meant.format(home=home.parent)


@pytest.mark.parametrize("key", ["results", "plugins", "search_path"])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("$HOME/x", "environment variables are not replaced"),
        ("${SCRATCH}", "environment variables are not replaced|should match pattern"),
        ("a\nb", "not printable"),
        ("a\x00b", "not printable"),
        ("a\x1b[31mb", "not printable"),
        ("", "at least 1 character"),
    ],
)
def test_a_path_that_would_become_another_folder_is_refused(key, path, message):
    change = {"data": {"search_path": [path]}} if key == "search_path" else {key: path}
    if key == "plugins":
        change = {key: [path]}
    with pytest.raises(RemibenchError, match="|".join([message, "is no folder"])):
        load_config(default() | {"unlearning": {}} | change)


def test_an_unknown_home_is_named():
    with pytest.raises(RemibenchError, match="`results`: '~nobody_of_this_name/x'"):
        load_config(default() | {"results": "~nobody_of_this_name/x"})


def test_a_relative_path_starts_where_one_runs_and_then_in_the_repository(home):
    shipped = "config/tuned/fmnist_embedded/fisher.csv"
    assert locate(shipped) == ROOT / shipped
    (home / shipped).parent.mkdir(parents=True)
    (home / shipped).touch()
    assert locate(shipped) == Path(shipped)
    assert locate("nowhere.csv") == Path("nowhere.csv")
    assert locate("~/x") == home.parent / "x"
    assert load_config(default()), "its own files are found from anywhere"


def test_the_folders_that_hold_no_results_are_those_of_the_repository():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    tracked = {name.partition(os.sep)[0] for name in listed if os.sep in name}
    assert tracked <= set(RESERVED)
