"""``remibench audit``: models, images and forget set from files that remibench did not write."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from support.own_models import SmallNet, images_of

import remibench
from remibench.cli import main
from remibench.models import ModelSpec, build_model, save_model

FORGET = [0, 5, 9, 12]
QUICK = {"whitebox": {"epochs": 1}}
NET = Path(__file__).parents[1] / "support" / "own_models.py"


@pytest.fixture(scope="module")
def networks():
    torch.manual_seed(0)
    return {name: SmallNet() for name in ("before", "scrubbed", "retrained")}


@pytest.fixture
def folder(tmp_path, networks):
    """An audit's folder: its configuration is returned by :func:`configure`."""
    (tmp_path / "net.py").write_text(NET.read_text())
    save_file(networks["before"].state_dict(), tmp_path / "before.safetensors")
    torch.save(networks["scrubbed"].state_dict(), tmp_path / "scrubbed.pt")
    torch.save({"state_dict": networks["retrained"].state_dict()}, tmp_path / "retrained.pth")
    for seed, (role, count) in enumerate({"train": 30, "test": 24}.items()):
        images, labels = images_of(count, seed)
        np.save(tmp_path / f"{role}_images.npy", images.numpy())
        np.save(tmp_path / f"{role}_labels.npy", labels.numpy())
    (tmp_path / "forget.csv").write_text("position\n" + "\n".join(map(str, FORGET)) + "\n")
    return tmp_path


def write(folder, **changes):
    config = {
        "model": "net.py:SmallNet",
        "before": "before.safetensors",
        "after": {"scrubbed": "scrubbed.pt"},
        "retrained": "retrained.pth",
        "arrays": {
            role: [f"{role}_images.npy", f"{role}_labels.npy"] for role in ("train", "test")
        },
        "forget": "forget.csv",
        "attacks": QUICK,
    } | changes
    path = folder / "audit.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in config.items() if v is not None}))
    return path


def failure(path, capsys):
    assert main(["audit", "--config", str(path)]) == 2
    message = capsys.readouterr().err
    assert len(message.splitlines()) == 1
    assert not (path.parent / "audit").exists()
    return message


def test_it_writes_what_the_function_finds(folder, networks, capsys):
    assert main(["audit", "--config", str(write(folder))]) == 0
    printed = capsys.readouterr().out
    data = remibench.Data(images_of(30, 0), images_of(24, 1))
    expected = remibench.audit(
        networks["before"],
        {"scrubbed": networks["scrubbed"]},
        data,
        FORGET,
        retrained=networks["retrained"],
        attacks=QUICK,
    )
    output = folder / "audit"
    assert sorted(path.name for path in output.iterdir()) == [
        *("attacks.csv", "audit.html", "evaluation.csv", "gaps.csv", "verdicts.csv")
    ]
    found = pd.read_csv(output / "evaluation.csv").fillna({"subset": ""})
    pd.testing.assert_frame_equal(found, expected.evaluation, check_exact=True)
    assert str(expected) in printed
    assert str(output / "audit.html") in printed


def test_forget_sets_are_npy_or_csv_with_or_without_a_heading(folder):
    np.save(folder / "forget.npy", np.array(FORGET))
    (folder / "plain.csv").write_text("0\n5\n9\n12\n")
    pages = []
    for name in ("forget.csv", "forget.npy", "plain.csv"):
        assert main(["audit", "--config", str(write(folder, forget=name, output=name[:-4]))]) == 0
        pages.append((folder / name[:-4] / "audit.html").read_text())
    assert pages[0] == pages[1] == pages[2]


def test_a_dataset_and_a_checkpoint_of_the_workflow_are_audited(folder):
    spec = ModelSpec("cnn", 1, 24, 10, (0.13,), (0.31,))
    save_model(folder / "target.safetensors", build_model(spec, 1), spec)
    (folder / "ours.py").write_text(
        "from remibench.models import ModelSpec, build_model\n"
        "def make():\n"
        "    return build_model(ModelSpec('cnn', 1, 24, 10, (0.13,), (0.31,)))\n"
    )
    dataset = {"name": "fmnist_embedded", "image_size": 24, "limit": 200}
    path = write(
        folder,
        model="ours.py:make",
        before="target.safetensors",
        after="target.safetensors",
        retrained=None,
        arrays=None,
        dataset=dataset,
        training={"epochs": 1},
    )
    assert main(["audit", "--config", str(path)]) == 0
    rows = pd.read_csv(folder / "audit" / "evaluation.csv")
    assert {"mf_whitebox_auc", "mia_whitebox_auc", "calibrated_whitebox_auc"} <= set(rows["metric"])


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("name", ["evil.pt", "evil.npy"])
def test_no_pickle_is_executed(name, folder, capsys):
    trap = folder / "executed"
    if name.endswith(".pt"):
        torch.save({"state_dict": Exploit(trap)}, folder / name)
        path = write(folder, after=name)
    else:
        np.save(folder / name, np.array([Exploit(trap)], object), allow_pickle=True)
        path = write(folder, forget=name)
    message = failure(path, capsys)
    assert str(folder / name) in message
    assert not trap.exists()
    pickle.loads(pickle.dumps(Exploit(trap)))
    assert trap.exists()  # the trap works


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"befor": "x"}, "unknown key 'befor' at the top level; did you mean 'before'?"),
        ({"before": None}, "key `before` is missing; add it (see docs/own_model.md)"),
        ({"arrays": None}, "give the images as `arrays` or as `dataset`, one of them"),
        ({"dataset": {"name": "fmnist"}}, "give the images as `arrays` or as `dataset`"),
        ({"arrays": None, "dataset": {"name": "fmist"}}, "unknown dataset 'fmist'; did you mean"),
        ({"model": "net.py"}, "'net.py' names no function; write FILE.py:FUNCTION"),
        ({"model": "nets.py:SmallNet"}, "'nets.py:SmallNet' names no function"),
        ({"model": "net.py:Net"}, "net.py defines no function 'Net'"),
        ({"model": "bad.py:Net"}, "bad.py: ZeroDivisionError: division by zero"),
        ({"model": "raises.py:Net"}, "raises.py:Net: KeyError: 'a'"),
        ({"before": "none.safetensors"}, "none.safetensors: no such file"),
        ({"before": "none.pt"}, "none.pt: no such file"),
        ({"before": "forget.csv"}, "forget.csv: a checkpoint's name ends with .safetensors"),
        ({"before": "cut.safetensors"}, "cannot read"),
        ({"before": "cut.pt"}, "cannot read"),
        ({"before": "list.pt"}, "list.pt holds a list; save `model.state_dict()`"),
        ({"after": "other.pt"}, "other.pt is of another model: tensor 'classify.weight' has shape"),
        ({"after": {"a": ["scrubbed.pt", "scrubbed.pt"]}}, "`before` has 1 models, 'a' 2"),
        ({"forget": "none.csv"}, "none.csv: no such file"),
        (
            {"forget": "words.csv"},
            "with base 10: 'b'; a list of images is npy",
        ),
        ({"forget": "far.csv"}, "far.csv has position 30; there are 30 training images"),
        ({"arrays": {"train": ["none.npy", "none.npy"], "test": ["a", "b"]}}, "none.npy: no such"),
        ({"arrays": {"train": ["forget.csv", "a"], "test": ["a", "b"]}}, "by numpy.save"),
        ({"arrays": {"train": ["a"], "test": ["a", "b"]}}, "`arrays.train`: list should have at"),
        ({"attacks": {"white": {}}}, "unknown attack 'white'; did you mean 'whitebox'?"),
        (
            {"training": {"epoch": 3}},
            "training: unknown key 'epoch' at the top level; did you mean 'epochs'?",
        ),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(changes, message, folder, capsys):
    (folder / "bad.py").write_text("1 / 0\n")
    (folder / "raises.py").write_text("def Net():\n    return {}['a']\n")
    (folder / "cut.safetensors").write_bytes((folder / "before.safetensors").read_bytes()[:-9])
    (folder / "cut.pt").write_bytes((folder / "scrubbed.pt").read_bytes()[:200])
    torch.save([torch.zeros(1)], folder / "list.pt")
    torch.save(SmallNet(classes=4).state_dict(), folder / "other.pt")
    (folder / "words.csv").write_text("a\nb\n")
    (folder / "far.csv").write_text("30\n")
    assert message in failure(write(folder, **changes), capsys)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [", "is no YAML"), ("- a", "has no keys"), (None, "No such file")]
)
def test_a_file_that_is_no_configuration_is_named(text, message, tmp_path, capsys):
    path = tmp_path / "audit.yaml"
    if text is not None:
        path.write_text(text)
    assert message in failure(path, capsys)
