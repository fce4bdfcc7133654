"""Selections and models of the user, through Snakemake itself."""

import os

import numpy as np
import pandas as pd
import yaml
from safetensors.numpy import load_file, save_file
from support import standins
from support.products import GATHERED, make_products
from support.smoke import configure, copy_repository, planned, results, snakemake
from support.smoke import jobs as started


def test_a_class_is_forgotten_in_every_table_and_figure(copied):
    """From the trained models that are there; nothing is trained but the retrained one."""
    forgetting = {"selection": "class", "class": {"classes": ["sandal"]}}
    configure(copied, forgetting=forgetting, forget_ratios=[1])
    targets = [f"results-smoke/{name}" for name in (*GATHERED, "summary.txt")]
    done = snakemake(copied, *targets, "--cores", "2")
    begun = set(started(done.stdout)[0].values())
    assert begun >= {"select_forget_set", "unlearn", "make_control", "evaluate", "gather"}
    assert not begun & {"prepare_dataset", "train_model", "fit_attack", "score_members"}
    tree = results(copied)
    rows = pd.read_csv(tree / "evaluation.csv")
    assert set(rows["forget_ratio"]) == {1.0}
    accuracy = rows[rows["metric"] == "accuracy"].set_index(["method", "subset"])["value"]
    assert accuracy["retrain", "forget"] == accuracy["retrain", "test_forget"] == 0
    sizes = rows[rows["metric"] == "images"].set_index(["method", "subset"])["value"]
    assert sizes["retrain", "test_forget"] + sizes["retrain", "test_retain"] == 100
    for name, text in make_products(tree, [1.0]):
        assert not name.startswith("table") or "class (classes: sandal)" in text, name
    assert "class (classes: sandal)" in (tree / "summary.txt").read_text()
    assert pd.read_csv(tree / "tables/table4_whitebox_mia.csv")["paper"].isna().all()


def test_a_trained_target_is_brought_in_and_its_content_decides_what_runs_again(copied):
    target = results(copied) / "models/fmnist_embedded/cnn/0/target.safetensors"
    mine = copied / "mine_00.safetensors"
    tensors = load_file(target)
    save_file(tensors, mine)
    configure(copied, models={"target": "mine_{seed:02d}.safetensors"})
    place = str(target.relative_to(copied))
    assert set(started(snakemake(copied, place).stdout)[0].values()) == {"import_model"}
    brought = load_file(target)
    assert all(np.array_equal(brought[name], tensor) for name, tensor in tensors.items())
    history = pd.read_csv(target.with_name("target.history.csv"))
    assert history["epoch"].tolist() == [0]
    assert planned(copied, targets=[place]) == []
    stamp = mine.stat()
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, mine)
    os.utime(mine, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as old as before
    assert {"import_model", "fit_attack", "unlearn"} <= {rule for rule, _ in planned(copied)}
    broken = {  # a seed each
        "'head.bias' has shape (3,)": {**tensors, "head.bias": np.zeros(3, np.float32)},
        "'more' has shape (3,)": {**tensors, "more": np.zeros(3, np.float32)},
        "loss on its training images": {**tensors, "head.bias": np.full(10, np.nan, np.float32)},
    }
    for seed, content in enumerate(broken.values()):
        save_file(content, copied / f"mine_{seed:02d}.safetensors")
    configure(copied, seeds=[0, 1, 2])
    places = [place.replace("cnn/0", f"cnn/{seed}") for seed in range(3)]
    failed = snakemake(copied, *places, check=False)
    assert failed.returncode
    lines = [line for line in failed.stdout.splitlines() if "rule import_model: " in line]
    for seed, message in enumerate(broken):
        (line,) = [line for line in lines if f"mine_{seed:02d}.safetensors" in line]
        assert message in line


FACES = {  # as small as it can be; ages are 1 … 100 in turn, gender alternates
    "results": "results-faces",
    "datasets": ["utkface"],
    "seeds": [0],
    "forget_ratios": [0.5, 1.0],
    "methods": ["original", "retrain"],
    "controls": [],
    "keep_unlearned": False,
    "data": {"search_path": ["standins"], "published_only": False, "limit": 400, "image_size": 32},
    "training": {"epochs": 1},
    "adversaries": {
        adversary: {"whitebox": {"epochs": 1}, "blackbox": {"epochs": 1}}
        for adversary in ("mf", "mia")
    },
    "forgetting": {"selection": "subgroup", "subgroup": {"column": "age", "low": 81}},
}


def test_a_subgroup_of_faces_is_forgotten_from_their_file_names_to_the_tables(tmp_path):
    """Stand-ins in the real format of UTKFace, whose columns are read from the names of files."""
    project = copy_repository(tmp_path)
    names = standins.write_utkface_folder(project / "standins", standins.balanced(400, 4))
    preset = project / "config" / "faces.yaml"
    preset.write_text(yaml.safe_dump(FACES))
    targets = [f"results-faces/{name}" for name in GATHERED]
    snakemake(project, *targets, "--cores", "2", config=["config/faces.yaml"])
    tree = project / "results-faces"
    columns = np.load(tree / "data/utkface/attributes.npz")
    ages = [int(name.split("_")[0]) for name in names]
    assert sorted(columns["age"]) == sorted(ages)
    roles = np.load(tree / "data/utkface/splits.npz")
    old = columns["age"] >= 81
    whole, half = (np.load(tree / f"forget/utkface/cnn/0/{ratio}.npy") for ratio in ("1.0", "0.5"))
    assert np.array_equal(whole, np.flatnonzero(old[roles["target_train"]]))
    assert set(half) < set(whole)
    rows = pd.read_csv(tree / "evaluation.csv")
    sizes = rows[rows["metric"] == "images"].set_index(["forget_ratio", "method", "subset"])
    for subset, expected in (
        ("forget", len(whole)),
        ("retain", len(roles["target_train"]) - len(whole)),
        ("test_forget", old[roles["test"]].sum()),
        ("test_retain", (~old[roles["test"]]).sum()),
    ):
        assert sizes["value"][1.0, "retrain", subset] == expected
    for name, text in make_products(tree, [0.5, 1.0]):
        assert not name.startswith("table") or "subgroup (column: age; low: 81.0)" in text, name
    assert list(tree.glob("unlearned/**/*.safetensors")) == []  # temporary: evaluated and deleted
    assert planned(project, targets, config=["config/faces.yaml"]) == []
    wrong = FACES["forgetting"] | {"subgroup": {"column": "gender", "values": ["female", "mael"]}}
    preset.write_text(yaml.safe_dump(FACES | {"forgetting": wrong}))
    chosen = "results-faces/forget/utkface/cnn/0/1.0.npy"
    failed = snakemake(project, chosen, config=["config/faces.yaml"], check=False)
    assert failed.returncode
    assert "no image of utkface has 'mael' in 'gender'; it holds female, male" in failed.stdout
