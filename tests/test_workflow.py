"""The workflow through Snakemake itself: all stages, incremental re-runs, determinism, failures.

Every run happens in a copy of the repository, so that editing a module or a config is a real edit.
The project is imported from the copy because Snakemake puts the Snakefile's folder on the path.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import standins
import yaml
from safetensors.numpy import load_file

from remibench.config import METHODS

ROOT = Path(__file__).parents[1]
REPORTS = {"all", "gather", "record_provenance"} | {  # what follows from every evaluation
    name
    for path in ("report", "scorecard")
    for name in re.findall(
        r'^(?:    "(?=table|figure)|rule )(\w+)"?:',
        (ROOT / f"workflow/rules/{path}.smk").read_text(),
        flags=re.MULTILINE,
    )
}


def copy_repository(folder):
    """Copy what git tracks or would track."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


def snakemake(folder, *arguments, check=True, config=("config/smoke.yaml",)):
    """Run the smoke grid in a copy; return the completed process with joined output."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", *config],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout
    return done


def planned(folder, targets=(), **settings):
    """The jobs that a dry-run would execute: rule and wildcards of each."""
    output = snakemake(folder, *targets, "--dry-run", **settings).stdout
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", output, flags=re.MULTILINE)
    listing = []
    for rule, body in jobs:
        found = re.search(r"wildcards: (.*)", body)
        listing.append((rule, dict(re.findall(r"(\w+)=([^,\n]+)", found[1])) if found else {}))
    if not listing:
        assert "Nothing to be done" in output, output
    return listing


def rules(jobs):
    return Counter(rule for rule, _ in jobs)


def configure(folder, **changes):
    """Change the smoke preset of a copy, section by section."""
    path = folder / "config" / "smoke.yaml"
    config = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] = config.get(key, {}) | value
        else:
            config[key] = value
    path.write_text(yaml.safe_dump(config))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A copy of the repository in which the smoke grid has run once, on one core."""
    folder = copy_repository(tmp_path_factory.mktemp("finished"))
    snakemake(folder, "--cores", "1")
    return folder


@pytest.fixture
def project(finished):
    """The finished copy; its sources and config are restored afterwards."""
    yield finished
    for name in ("config", "config.yaml", "remibench"):
        source = ROOT / name
        for path in [source] if source.is_file() else source.rglob("*"):
            copy = finished / path.relative_to(ROOT)
            if copy.is_file() and copy.read_bytes() != path.read_bytes():
                shutil.copy2(path, copy)


def results(folder):
    return folder / "results-smoke"


def test_every_stage_leaves_its_artifact(finished):
    tree = results(finished)
    cell = "fmnist_embedded/cnn/0"
    for name in (
        "data/fmnist_embedded/images.npy",
        f"models/{cell}/target.safetensors",
        f"models/{cell}/shadow.safetensors",
        f"attacks/{cell}/mf_whitebox.safetensors",
        f"attacks/{cell}/mia_blackbox.safetensors",
        f"forget/{cell}/0.1.npy",
        f"unlearned/{cell}/remi_blackbox/0.25.safetensors",
        f"unlearned/{cell}/fisher/0.1.json",
        f"evaluation/{cell}/original.csv",
        "evaluation.csv",
        "tables/table4_whitebox_mia.tex",
        "figures/figure03_mia_before_after.png",
        "summary.txt",
    ):
        assert (tree / name).stat().st_size > 0, name


def test_the_evaluation_holds_every_cell_and_metric(finished):
    table = pd.read_csv(results(finished) / "evaluation.csv")
    assert not table["value"].isna().any()
    methods = {"original", "retrain", "fisher", "remi_whitebox", "remi_blackbox"}
    assert set(table["method"]) == methods
    for _, cell in table.groupby(["method", "forget_ratio"]):
        found = set(zip(cell["subset"].fillna(""), cell["metric"], strict=True))
        for subset in ("forget", "retain", "test"):
            assert (subset, "accuracy") in found
            for attack in ("mf_whitebox", "mf_blackbox", "mia_whitebox", "mia_blackbox"):
                assert (subset, f"{attack}_rate") in found
        assert {("forget", "efficacy"), ("forget", "mia_whitebox_auc")} <= found
        if cell["method"].iloc[0] != "original":
            assert ("", "seconds") in found
    remi = table[table["method"] == "remi_whitebox"]
    assert "seconds_attack_loss" in set(remi["metric"])
    # 200 training images of 10 classes: at least ratio·200, at most one more per class.
    sizes = table[(table["metric"] == "images") & (table["subset"] == "forget")]
    for ratio, size in sizes[["forget_ratio", "value"]].drop_duplicates().to_numpy():
        assert ratio * 200 <= size < ratio * 200 + 10


def test_the_targets_rates_can_be_recomputed_from_its_artifacts(finished):
    """One number of the CSV, from the stored checkpoints, by another route (numpy alone)."""
    tree, cell = results(finished), "fmnist_embedded/cnn/0"
    weights = load_file(tree / f"models/{cell}/target.safetensors")
    images = np.load(tree / "data/fmnist_embedded/images.npy")
    labels = np.load(tree / "data/fmnist_embedded/labels.npy")
    test = np.load(tree / "data/fmnist_embedded/splits.npz")["test"]
    values = (images[test].astype(np.float32) / 255 - 0.1307) / 0.3081
    for block in (0, 3, 6):
        kernel, bias = weights[f"backbone.{block}.weight"], weights[f"backbone.{block}.bias"]
        patches = np.lib.stride_tricks.sliding_window_view(values, (3, 3), axis=(2, 3))
        values = np.einsum("ncijkl,ockl->noij", patches, kernel) + bias[:, None, None]
        side = values.shape[2] // 2 * 2
        pooled = values[:, :, :side, :side].reshape(*values.shape[:2], side // 2, 2, side // 2, 2)
        values = np.maximum(pooled.max((3, 5)), 0)
    hidden = values.reshape(len(test), -1) @ weights["backbone.10.weight"].T
    hidden = np.maximum(hidden + weights["backbone.10.bias"], 0)
    logits = hidden @ weights["head.weight"].T + weights["head.bias"]
    expected = (logits.argmax(1) == labels[test]).mean()
    table = pd.read_csv(tree / "evaluation.csv")
    row = table[
        (table["method"] == "original")
        & (table["subset"] == "test")
        & (table["metric"] == "accuracy")
    ]
    assert row["value"].to_numpy() == pytest.approx(expected)


def test_config_versions_and_machine_are_saved_beside_the_results(finished):
    config = yaml.safe_load((results(finished) / "config.yaml").read_text())
    assert config["training"]["epochs"] == 3
    assert config["training"]["weight_decay"] == 5e-4  # a default, resolved
    provenance = yaml.safe_load((results(finished) / "provenance.json").read_text())
    assert provenance["libraries"]["torch"].startswith("2.14.1")
    assert provenance["cpu_count"] == os.cpu_count()
    assert provenance["threads_per_job"] == 1


def test_nothing_is_to_be_done_after_a_full_run(project):
    assert planned(project) == []


def test_editing_remi_re_runs_remi_alone(project):
    path = project / "remibench/unlearning/remi.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    jobs = planned(project)
    assert set(rules(jobs)) == {"unlearn", "evaluate"} | REPORTS
    touched = {w["method"] for rule, w in jobs if rule in ("unlearn", "evaluate")}
    assert touched == {"remi_whitebox", "remi_blackbox"}
    assert rules(jobs)["unlearn"] == 4


def test_changing_the_mias_epochs_trains_and_unlearns_nothing(project):
    configure(project, attacks={"mia": {"whitebox": {"epochs": 3}, "blackbox": {"epochs": 2}}})
    jobs = planned(project)
    assert set(rules(jobs)) == {"fit_attack", "evaluate"} | REPORTS
    assert [w for rule, w in jobs if rule == "fit_attack"] == [
        {
            "dataset": "fmnist_embedded",
            "architecture": "cnn",
            "seed": "0",
            "attack": "mia",
            "access": "whitebox",
        }
    ]


def test_editing_the_black_box_attack_re_runs_no_retraining(project):
    path = project / "remibench/attacks/blackbox.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    methods = {w["method"] for rule, w in planned(project) if rule == "unlearn"}
    assert methods == {"remi_blackbox"}


def test_adding_a_seed_runs_the_new_cells_alone(project):
    configure(project, seeds=[0, 1])
    jobs = planned(project)
    assert {w["seed"] for rule, w in jobs if rule not in REPORTS} == {"1"}
    assert rules(jobs)["train_model"] == 2
    assert rules(jobs)["unlearn"] == 8


def test_adding_a_ratio_runs_the_new_cells_alone(project):
    configure(project, forget_ratios=[0.1, 0.25, 0.5])
    jobs = planned(project)
    # `evaluate` measures all ratios of a method in one process: it gathers, too.
    assert set(rules(jobs)) == {"select_forget_set", "unlearn", "evaluate"} | REPORTS
    ratios = {w["ratio"] for rule, w in jobs if rule in ("select_forget_set", "unlearn")}
    assert ratios == {"0.5"}
    assert rules(jobs)["unlearn"] == 4


def test_adding_a_method_runs_the_new_cells_alone(project):
    configure(project, methods=["original", "retrain"])
    snakemake(project)
    configure(project, methods=["original", "retrain", "fisher"])
    shutil.rmtree(results(project) / "unlearned/fmnist_embedded/cnn/0/fisher")
    jobs = planned(project)
    assert set(rules(jobs)) == {"unlearn", "evaluate"} | REPORTS
    assert {w["method"] for rule, w in jobs if rule not in REPORTS} == {"fisher"}
    configure(project, methods=["original", "retrain", "fisher", "remi_whitebox", "remi_blackbox"])
    snakemake(project)


@pytest.mark.parametrize(
    ("module", "unaffected"),
    [
        ("remibench/reporting/table4_whitebox_mia.py", {"gather", "evaluate", "figure04_efficacy"}),
        ("remibench/metrics/efficacy.py", {"train_model", "fit_attack", "unlearn"}),
        ("remibench/attacks/whitebox.py", {"train_model", "prepare_dataset"}),
        ("remibench/unlearning/fisher.py", {"train_model", "fit_attack", "select_forget_set"}),
    ],
)
def test_editing_a_module_re_runs_its_dependants_alone(project, module, unaffected):
    path = project / module
    path.write_text(path.read_text() + "\nEDITED = True\n")
    jobs = rules(planned(project))
    assert jobs
    assert not unaffected & set(jobs)


def test_the_results_do_not_depend_on_the_run_or_the_number_of_cores(finished, tmp_path):
    again = copy_repository(tmp_path)
    snakemake(again, "--cores", "2")
    compared = 0
    for path in sorted(results(finished).rglob("*")):
        other = results(again) / path.relative_to(results(finished))
        if path.suffix in (".safetensors", ".npy", ".npz") or path.name == "scores.npy":
            digests = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, other)}
            assert len(digests) == 1, path
            compared += 1
        elif path.suffix == ".csv" and path.stem != "table5_latency":
            first, second = (_without_timings(pd.read_csv(p)) for p in (path, other))
            pd.testing.assert_frame_equal(first, second, check_exact=True)
            compared += 1
    assert compared > 40


def _without_timings(table):
    table = table[[column for column in table if not column.startswith("seconds")]]
    if "metric" in table:
        table = table[~table["metric"].str.startswith("seconds")]
    if "verdict" in table:  # the scorecard
        table = table[table["table"] != "Table V"]
    return table.reset_index(drop=True)


@pytest.mark.slow
def test_a_killed_training_resumes_and_equals_the_undisturbed_one(project):
    """Minutes: progress is saved once a minute. ``kill -9`` of the whole process group."""
    target = "models/fmnist_embedded/cnn/0/target.safetensors"
    epochs = ["--config", "training={'epochs': 1500}"]
    undisturbed, killed = project / "results-undisturbed", project / "results-killed"
    snakemake(project, f"{undisturbed.name}/{target}", *epochs, f"results={undisturbed.name}")
    arguments = [f"{killed.name}/{target}", *epochs, f"results={killed.name}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", "config/smoke.yaml"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)},
        start_new_session=True,
    )
    progress = killed / "progress"
    while not list(progress.glob("*.safetensors")):
        assert process.poll() is None, "the training ended before its progress was saved"
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / target).exists()
    snakemake(project, "--unlock", *epochs, f"results={killed.name}")
    snakemake(project, *arguments)
    log = next((killed / "logs" / "train_model").rglob("target.log")).read_text()
    first = int(re.search(r"epoch (\d+) of 1500", log)[1])
    assert first > 1, "the training began again"
    assert (killed / target).read_bytes() == (undisturbed / target).read_bytes()
    assert list(progress.iterdir()) == []


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("trainin={'epochs': 3}", "config: unknown key 'trainin' at the top level; did you mean"),
        ("methods=[original,remi]", "config: `methods`: unknown name 'remi'; did you mean"),
        (
            "forget_ratios=[1.5]",
            "config: `forget_ratios.0`: input should be less than 1; got '1.5'",
        ),
    ],
)
def test_a_config_error_is_one_line_without_traceback(project, argument, message):
    done = snakemake(project, "--dry-run", "--config", argument, check=False)
    assert done.returncode != 0
    announcements, line = done.stdout.strip().rsplit("\n", 1)
    assert line.startswith(message)
    assert announcements.count("\n") == 1  # Snakemake names the profile and the config file


def test_a_failing_rule_says_why_and_logs_the_traceback_and_leaves_no_output(project):
    """A target checkpoint cut short, as by a full disk or an interrupted copy."""
    tree, cell = results(project), "fmnist_embedded/cnn/0"
    checkpoint = tree / f"models/{cell}/target.safetensors"
    whole, evaluated = checkpoint.read_bytes(), tree / f"evaluation/{cell}/original.csv"
    stamp = checkpoint.stat()
    checkpoint.write_bytes(whole[:1000])
    os.utime(checkpoint, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    try:
        done = snakemake(project, "--forcerun", "evaluate", "--until", "evaluate", check=False)
        assert done.returncode != 0
        line = next(row for row in done.stdout.splitlines() if row.startswith("rule evaluate:"))
        assert "cannot read checkpoint results-smoke/models" in line
        assert "delete it and run snakemake again" in line
        assert not evaluated.exists()
        log = tree / f"logs/evaluate/{cell}/original.log"
        assert "Traceback (most recent call last)" in log.read_text()
    finally:
        checkpoint.write_bytes(whole)
        os.utime(checkpoint, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        snakemake(project)


def test_a_class_too_small_for_a_ratio_is_named(project):
    untuned = {method: {"values_from": None} for method in METHODS if method != "retrain"}
    configure(project, forget_ratios=[0.999], unlearning=untuned)
    done = snakemake(project, check=False)
    assert done.returncode != 0
    assert re.search(
        r"forget ratio 0.999 takes \d+ of the \d+ training images of class", done.stdout
    )


def test_a_diverging_training_is_named(project):
    done = snakemake(
        project, "--config", "training={'learning_rate': 1.0e+20}", "results=results/x", check=False
    )
    assert done.returncode != 0
    assert re.search(
        r"target: the loss became \w+ in epoch 1 at learning rate 1e\+20; lower", done.stdout
    )
    assert not list((project / "results/x").rglob("target.safetensors"))


# What a command took, measured by a small parent: a process counts its parent's memory as its own.
MEASURE = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[1:])
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print("measured", status, usage.ru_utime, usage.ru_maxrss)
"""


def test_the_full_grid_of_the_paper_resolves_without_data(finished):
    """4 datasets × 4 architectures × 20 seeds, in under a minute of CPU and 2 GB."""
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--configfile"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *command, "config/paper.yaml"],
        cwd=finished,
        env=os.environ | {"PYTHONPATH": str(finished)},
        stdout=subprocess.PIPE,
        text=True,
    )
    status, seconds, kibibytes = re.search(r"^measured (.*)$", done.stdout, re.MULTILINE)[1].split()
    assert status == "0"
    assert float(seconds) < 60  # it takes a third of that
    assert int(kibibytes) * 1024 < 2e9  # a fourth
    counts = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, flags=re.MULTILINE))
    cells = 4 * 4 * 20
    assert int(counts["prepare_dataset"]) == 4
    assert int(counts["train_model"]) == cells * 2
    assert int(counts["fit_attack"]) == cells * 4
    assert int(counts["unlearn"]) == cells * 4 * 4  # methods, ratios
    assert int(counts["evaluate"]) == cells * 5


def test_candidates_are_searched_and_what_is_found_can_be_used(finished):
    """`tune` over the smoke grid, two candidates a method, then one cell with its overlay."""
    grid = {
        "seeds": [1000],
        "forget_ratios": [0.1],
        "tune": {
            "fisher": {"alpha": [1.0e-6, 1.0e-2], "max_std": [0.01]},
            "remi_whitebox": {"learning_rate": [0.001, 0.01], "lambda2": [0.98]},
            "remi_blackbox": None,
        },
    }
    grid["tune"]["remi_blackbox"] = grid["tune"]["remi_whitebox"]
    (finished / "config" / "grid.yaml").write_text(yaml.safe_dump(grid))
    presets = ["config/smoke.yaml", "config/tune.yaml", "config/grid.yaml"]
    snakemake(finished, "tune", config=presets)
    tree = finished / "results-tune"
    trials = pd.read_csv(tree / "tune/trials.csv")
    assert trials.groupby("method").size().to_dict() == {
        "fisher": 2,
        "original": 1,
        "remi_blackbox": 2,
        "remi_whitebox": 2,
    }
    assert list(tree.glob("unlearned/**/*.safetensors")) == []  # temporary: evaluated and deleted
    assert len(list(tree.glob("unlearned/**/*.history.csv"))) == 1 + 6
    best = trials[trials["method"] == "fisher"].sort_values("gap")["candidate"].iloc[0]
    chosen = pd.read_csv(tree / "tune/fisher.csv")
    assert best == f"alpha={chosen['alpha'].item()},max_std=0.01"
    assert list(chosen) == ["dataset", "architecture", "forget_ratio", "alpha", "max_std"]
    page = (tree / "tune/table2_hyperparameters.html").read_text()
    assert "Fashion-MNIST, embedded subset, first 800 images" in page
    jobs = planned(finished, targets=["tune"], config=presets)
    assert jobs == [], "a finished search has nothing to do"
    used = ["config/smoke.yaml", "results-tune/tune/overlay.yaml"]
    again = ["--config", "forget_ratios=[0.1]", "results=results-tuned"]
    done = snakemake(finished, "--dry-run", *again, config=used)
    assert "unlearn" in done.stdout
    failed = snakemake(finished, "--dry-run", config=used, check=False)
    assert "tune/fisher.csv has no row for fmnist_embedded, cnn, 0.25; add one" in failed.stdout


def test_a_search_is_never_reported(finished):
    done = snakemake(finished, "--dry-run", config=["config/tune.yaml"], check=False)
    assert "config: `data.halves: tuning` is never reported; the target is tune" in done.stdout


def test_where_the_files_lie_is_no_reason_to_prepare_them_anew(project):
    configure(project, data={"search_path": ["elsewhere", "data"]})
    assert set(rules(planned(project))) <= REPORTS


def test_tune_without_candidates_says_what_to_do(finished):
    done = snakemake(finished, "tune", "--dry-run", check=False)
    assert "config: `tune` lists no candidates; lay config/tune.yaml over" in done.stdout


PAIRS = {  # everything as small as it can be: does each pair go through all stages?
    "results": "results-pairs",
    "datasets": ["fmnist_embedded", "utkface", "stl10", "cifar10"],
    "architectures": ["cnn", "resnet18", "xception", "vgg19"],
    "seeds": [0],
    "forget_ratios": [0.1],
    "keep_unlearned": False,
    "data": {"search_path": ["standins"], "published_only": False, "limit": 240},
    "training": {"epochs": 1},
    "attacks": {
        "mf": {"whitebox": {"epochs": 1}, "blackbox": {"epochs": 1}},
        "mia": {"whitebox": {"epochs": 1}, "blackbox": {"epochs": 1}},
    },
    "unlearning": {
        "fisher": {"values_from": None},
        "remi_whitebox": {"values_from": None, "max_epochs": 1},
        "remi_blackbox": {"values_from": None, "max_epochs": 1},
    },
}


def test_every_dataset_and_architecture_goes_through_all_stages(tmp_path):
    """Real Fashion-MNIST images, and stand-ins for the rest in their real formats."""
    project = copy_repository(tmp_path)
    folder = project / "standins"
    standins.write_utkface_folder(folder, standins.balanced(240, 4))
    standins.write_stl10_folder(folder, standins.balanced(240))
    standins.write_cifar10_binary(folder, standins.balanced(240))
    (project / "config" / "pairs.yaml").write_text(yaml.safe_dump(PAIRS))
    snakemake(project, "--cores", "2", config=["config/pairs.yaml"])
    tree = project / "results-pairs"
    table = pd.read_csv(tree / "evaluation.csv")
    cells = table[["dataset", "architecture", "method"]].drop_duplicates()
    assert len(cells) == 4 * 4 * 5
    for _, cell in table.groupby(["dataset", "architecture", "method"]):
        measured = set(cell["metric"])
        assert {"accuracy", "efficacy", "mia_whitebox_rate", "mia_blackbox_rate"} <= measured
    assert len(pd.read_csv(tree / "training.csv")) == 4 * 4 * 3  # target, shadow, retrained
    datasets = pd.read_csv(tree / "datasets.csv").set_index("dataset")
    for name in ("utkface", "stl10", "cifar10"):  # stand-ins never pass for results
        assert datasets.loc[name, "provenance"].endswith("NOT THE PUBLISHED FILES")
        assert pd.isna(datasets.loc[name, "paper_dataset"])
    table4 = pd.read_csv(tree / "tables/table4_whitebox_mia.csv")
    assert set(table4[table4["paper"].notna()]["dataset"]) == {"fmnist_embedded"}
    for page in (tree / "tables").glob("*.html"):
        assert "no published checksum), 240 images, NOT THE PUBLISHED FILES" in page.read_text()
    assert list(tree.glob("unlearned/**/*.safetensors")) == []
    assert planned(project, config=["config/pairs.yaml"]) == []
    shutil.rmtree(tree)  # gigabytes
