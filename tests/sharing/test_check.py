"""`remibench check` on a tree made by the writers of artifacts, and on that of the smoke grid."""

import json
import os
import shutil
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from support.smoke import results

from remibench.analysis.gather import join, join_histories
from remibench.artifacts import paths
from remibench.artifacts.identity import Origin, made_by, sha256
from remibench.artifacts.io import load_json, save_array, save_arrays, save_json, save_tensors
from remibench.artifacts.tables import save_table, write_csv
from remibench.cli import main
from remibench.errors import RemibenchError
from remibench.jobs.script import settings_of
from remibench.sharing.check import check

CONFIG = {
    "datasets": ["fmnist"],
    "architectures": ["cnn"],
    "seeds": [0, 1],
    "forget_ratios": [0.1],
    "attacks": ["whitebox"],
    "methods": ["original", "fisher"],
}
AXES = {"dataset": "fmnist", "architecture": "cnn", "ratio": "0.1", "attack": "whitebox"}


def place(tree, name, **axes):
    return str(tree / paths.ARTIFACTS[name].format(**{**AXES, **axes}))


def tensors(path, value):
    save_tensors(path, {"weight": torch.full((3,), float(value))}, {"kind": "classifier"})


def build(tree, epochs=3, brought=None):
    """A small tree: every kind of artifact by its own writer, in the order of the stages.

    Args:
        tree: The folder.
        epochs: A setting of training.
        brought: What makes the origin of the models that are brought in, by role.
    """
    names = ("images", "labels", "metadata", "splits")
    images, labels, metadata, splits = data = [place(tree, name) for name in names]
    with made_by(Origin([], {"limit": None})):
        save_array(images, np.zeros((4, 1, 2, 2), np.uint8))
        save_array(labels, np.arange(4))
        save_json(metadata, {"dataset": "fmnist", "images": 4, "images_sha256": sha256(images)})
    with made_by(Origin([metadata], {"split_seed": 0})):
        save_arrays(splits, {"target_train": np.arange(2)})

    def trained(*_):
        return Origin(data, {"epochs": epochs})

    for seed in range(2):
        cell = {"seed": seed}
        target, shadow = (place(tree, "model", role=role, **cell) for role in ("target", "shadow"))
        for number, (role, path) in enumerate((("target", target), ("shadow", shadow))):
            with made_by((brought or {}).get(role, trained)(tree, role, seed, data)):
                tensors(path, 10 * seed + number)
                save_table(place(tree, "training_history", role=role, **cell), [{"epoch": 1}])
        forget = place(tree, "forget_set", **cell)
        with made_by(Origin([labels, splits], {})):
            save_array(forget, np.arange(1))
        attacks = []
        for attack in ("mf", "mia"):
            attacks.append(place(tree, "attack", adversary=attack, **cell))
            with made_by(Origin([*data, target, shadow], {"adversary": attack})):
                tensors(attacks[-1], seed)
                save_table(place(tree, "attack_quality", adversary=attack, **cell), [{"auc": 0.5}])
        unlearned = place(tree, "unlearned", method="fisher", **cell)
        with made_by(Origin([*data, target, forget], {"alpha": 1})):
            tensors(unlearned, 20 + seed)
            save_json(place(tree, "cost", method="fisher", **cell), {"seconds": 0.5 + seed})
            history = place(tree, "unlearning_history", method="fisher", **cell)
            save_table(history, [{"epoch": 0, "seconds": 0.5 + seed}])
        for method, model in (("original", target), ("fisher", unlearned)):
            with made_by(Origin([*data, target, shadow, forget, model, *attacks], {"m": 1})):
                rows = [{"forget_ratio": 0.1, "subset": "test", "metric": "a", "value": 0.5 + seed}]
                save_table(place(tree, "metrics", method=method, **cell), rows)
                save_arrays(place(tree, "predictions", method=method, **cell), {"a": np.ones(2)})
    gather(tree)
    (tree / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tree


def gather(tree):
    for name, folder, gathered in (
        ("evaluation", "evaluation", join),
        ("attacks", "attacks", join),
        ("histories", "unlearned", join_histories),
    ):
        files = sorted(map(str, tree.glob(f"{folder}/**/*.csv")))
        write_csv(Path(place(tree, name)), gathered(files))


@pytest.fixture
def tree(tmp_path):
    return build(tmp_path / "results")


def test_in_an_undisturbed_tree_everything_belongs(tree, capsys):
    assert check(tree) == []
    assert main(["check", str(tree)]) == 0
    assert capsys.readouterr().out == f"{tree}: everything belongs where it is\n"


def test_so_it_does_in_one_whose_unlearned_models_were_deleted(tree):
    for path in tree.glob("unlearned/**/*.safetensors"):
        path.unlink()
    assert check(tree) == []


def replace(tree, name, other, **axes):
    """Put the file of one place in another's."""
    source, target = ({**AXES, **axes, **change} for change in other)
    shutil.copyfile(
        tree / paths.ARTIFACTS[name].format(**source), tree / paths.ARTIFACTS[name].format(**target)
    )


def rewritten(name, change, **axes):
    """Change the text of an artifact."""

    def apply(tree):
        path = Path(place(tree, name, **axes))
        path.write_text(change(path.read_text()))
        return path

    return apply


FAULTS = {
    "a foreign file": (
        lambda tree: Path(tree, "models/fmnist/cnn/0/notes.txt").write_text("mine"),
        r"models/fmnist/cnn/0/notes\.txt: no artifact of a results tree lies here",
    ),
    "a copy under another name": (
        lambda tree: shutil.copyfile(
            place(tree, "model", seed=0, role="target"),
            tree / "models/fmnist/cnn/0/old.safetensors",
        ),
        r"old\.safetensors: no artifact",
    ),
    "a tree within": (
        lambda tree: shutil.copytree(tree / "forget", tree / "models" / "forget"),
        r"models/forget/fmnist/cnn/0/0\.1\.npy: no artifact",
    ),
    "a damaged model": (
        lambda tree: Path(place(tree, "model", seed=0, role="target")).write_bytes(b"noise"),
        r"cannot read \S+target\.safetensors: not a whole safetensors file",
    ),
    "a file that states nothing": (
        rewritten("cost", lambda text: '{"seconds": 1}\n', method="fisher", seed=0),
        r"fisher/0\.1\.json: it does not state what it was made from",
    ),
    "another seed's model": (
        lambda tree: replace(tree, "model", ({"seed": 1}, {"seed": 0}), role="target"),
        r"0/target\.safetensors: it is model fmnist cnn 1 target, expected model fmnist cnn 0 tar",
    ),
    "another seed's numbers": (
        lambda tree: replace(tree, "metrics", ({"seed": 1}, {"seed": 0}), method="original"),
        r"0/original\.csv: it has rows of metrics fmnist cnn 1 original, expected metrics fmnist",
    ),
    "a cell that the config does not have": (
        lambda tree: rewritten("config", lambda text: text.replace("- 1\n", ""))(tree),
        r"models/fmnist/cnn/1/shadow\.safetensors: its cell is none of \S+config\.yaml",
    ),
    "gathered rows that no file has": (
        rewritten("evaluation", lambda text: text.replace("1.5", "2.5", 1)),
        r"evaluation\.csv: it lacks 1 rows of the metrics files and has 1 that none has",
    ),
    "gathered rows that are missing": (
        rewritten("histories", lambda text: text[: text.rindex("\n", 0, -1) + 1]),
        r"histories\.csv: it lacks 1 rows of the unlearning_history files and has 0",
    ),
    "gathered rows that are doubled": (
        rewritten("attacks", lambda text: text + text.splitlines()[-1] + "\n"),
        r"attacks\.csv: it lacks 0 rows of the attack_quality files and has 1",
    ),
}


@pytest.mark.parametrize(("fault", "line"), FAULTS.values(), ids=FAULTS)
def test_what_does_not_belong_is_named(tree, fault, line, capsys):
    fault(tree)
    assert main(["check", str(tree)]) == 1
    found = capsys.readouterr().out
    assert pd.Series(found.splitlines()).str.contains(line).any(), found


@pytest.mark.parametrize(
    "name", ["\x1b[2J.safetensors", "a\nb.npy", "\x9b2J.csv", "a\u202eb.json", "cnn/0/\x07.npz"]
)
def test_a_name_that_speaks_to_the_terminal_is_written_out(tree, name, capsys):
    path = tree / "models" / "fmnist" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    assert main(["check", str(tree)]) == 1
    (line,) = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert line.isprintable()
    assert "no artifact of a results tree lies here" in line


@pytest.mark.parametrize(
    ("name", "axes", "line"),
    [
        ("model", {"role": "target"}, r"made from another models/fmnist/cnn/0/target\.safetensors"),
        ("model", {"role": "shadow"}, r"settings are not those of 3 others like it"),
        ("training_history", {"role": "target"}, r"it is not of the job that wrote"),
    ],
)
def test_a_file_of_the_same_cell_of_another_tree_is_named(tree, tmp_path, name, axes, line):
    other = build(tmp_path / "other", epochs=4)
    shutil.copyfile(place(other, name, seed=0, **axes), place(tree, name, seed=0, **axes))
    assert pd.Series(check(tree)).str.contains(line).any(), check(tree)


@pytest.mark.parametrize(
    "checkpoint",
    ["mine/m{seed}.pt", "earlier/models/fmnist/cnn/{seed}/target.safetensors"],
    ids=["a file", "another tree's model"],
)
@pytest.mark.parametrize("roles", [("target",), ("target", "shadow")])
def test_in_a_tree_of_models_that_were_brought_in_everything_belongs(tmp_path, checkpoint, roles):
    """Each has the checkpoint's SHA-256 in its settings, and its history those of the import."""

    def bring_in(tree, role, seed, data):
        source = tmp_path / checkpoint.format(seed=seed).replace("target", role)
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(b"%d" % seed)
        return Origin([*data, str(source)], {"digest": sha256(source)})

    tree = build(tmp_path / "results", brought=dict.fromkeys(roles, bring_in))
    assert check(tree) == []
    other = build(tmp_path / "other", epochs=4)
    shutil.copyfile(
        place(other, "model", role="shadow", seed=0), place(tree, "model", role="shadow", seed=0)
    )
    assert check(tree) != []


@pytest.mark.parametrize(
    ("params", "same"),
    [
        ({"device": "cuda"}, True),
        ({"code": "2"}, True),
        ({"parameters": {"path": "/elsewhere/list.npy", "share": 1}}, True),
        ({"parameters": {"path": "list.npy", "share": 2}}, False),
        ({"selection": "class"}, False),
        ({"split_seed": 1}, False),
    ],
)
def test_settings_hold_what_changes_numbers_and_not_where_files_lie(params, same):
    given = {"device": "cpu", "code": "1", "selection": "file", "split_seed": 0}
    given["parameters"] = {"path": "list.npy", "share": 1}
    assert (settings_of(given | params) == settings_of(given)) == same


def test_a_methods_parameter_of_that_name_is_a_setting():
    assert settings_of({"parameters": {"path": "a"}}) != settings_of({"parameters": {"path": "b"}})


HOSTILE = [
    {"inputs": inputs, "config": config}
    for inputs in (3, [], None, "text", {}, {"/etc/hostname": "0" * 64}, {"../../x": [1]})
    for config in (3, None, ["a"], "0" * 16)
    if not (isinstance(inputs, dict) and isinstance(config, str))
] + [{"config": "0" * 16}, {"inputs": {}}]


@pytest.mark.parametrize("origin", HOSTILE, ids=str)
def test_hostile_origins_are_one_line_with_the_file(tree, origin):
    path = Path(place(tree, "cost", method="fisher", seed=0))
    record = json.loads(path.read_text())
    stated = {k: v for k, v in record["identity"].items() if k not in ("inputs", "config")}
    path.write_text(json.dumps(record | {"identity": stated | origin}))
    (line,) = check(tree)
    assert line.startswith(f"cannot read {path}: it states what")
    with (
        made_by(Origin([], {})),
        pytest.raises(RemibenchError, match=r"0\.1\.json: it states what"),
    ):
        load_json(path)


@pytest.mark.parametrize("at", ["/etc/hostname", "../outside", "models/../../outside"])
def test_files_outside_the_tree_are_not_read(tree, at):
    (tree.parent / "outside").write_text("secret")
    path = Path(place(tree, "cost", method="fisher", seed=0))
    record = json.loads(path.read_text())
    record["identity"]["inputs"][at] = "0" * 64
    path.write_text(json.dumps(record))
    assert not any(f"another {at}" in line for line in check(tree))


def test_images_of_another_preparation_are_named(tree, tmp_path):
    other = tmp_path / "other" / "data/fmnist/images.npy"
    with made_by(Origin([], {"limit": None})):
        save_array(other, np.ones((4, 1, 2, 2), np.uint8))
    shutil.copyfile(other, place(tree, "images"))
    line = r"metadata\.json: it was made from another data/fmnist/images\.npy: SHA-256"
    assert pd.Series(check(tree)).str.contains(line).any()


def test_a_folder_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main(["check", str(tmp_path / "results")]) == 2
    assert capsys.readouterr().err == f"{tmp_path}/results: no such results tree; name its folder\n"


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "datasets: 3"])
def test_a_config_that_is_none_is_one_line(tree, text, capsys):
    (tree / "config.yaml").write_text(text)
    assert main(["check", str(tree)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"cannot read {tree}/config.yaml: ")
    assert error.count("\n") == 1


def test_a_swap_of_any_two_artifacts_of_the_smoke_tree_is_found(finished, tmp_path):
    """Every artifact in the place of every other of its format, one line each."""
    tree = results(finished)
    assert check(tree) == []
    files = [
        path.relative_to(tree)
        for folder in {pattern.split("/")[0] for pattern in paths.IDENTIFIED.values()}
        for path in (tree / folder).rglob("*")
        if path.is_file()
    ]
    assert {paths.identify(path)[0] for path in files} >= set(paths.IDENTIFIED) - {
        "attributes",
        "losses",
        "compared",
    }
    swaps = [(a, b) for a, b in permutations(files, 2) if a.suffix == b.suffix]
    assert len(swaps) > 500
    for number, (there, instead) in enumerate(swaps):
        place = tmp_path / str(number) / there
        place.parent.mkdir(parents=True)
        os.link(tree / instead, place)
        (line,) = check(tmp_path / str(number))
        name, axes = paths.identify(there)
        assert line.startswith(f"cannot read {place}: it "), line
        assert f", expected {' '.join([name, *axes.values()])}" in line
        shutil.rmtree(tmp_path / str(number))
