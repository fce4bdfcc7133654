"""The workflow through Snakemake itself: all stages, incremental re-runs, determinism, failures."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import yaml
from safetensors.numpy import load_file
from support.smoke import (
    ROOT,
    comparable,
    compare_results,
    configure,
    copy_repository,
    planned,
    results,
    snakemake,
)

from remibench.artifacts.identity import Origin, made_by
from remibench.components.registry import methods
from remibench.evaluation.predictions import SUBSETS, Scores, load_scores, save_scores

REPORTS = {  # the rules that follow every evaluation
    *("all", "gather", "gather_scores", "record_provenance"),
    *(
        name
        for path in ("report", "scorecard")
        for name in re.findall(
            r"^(?:use rule table as|rule) (\w+)(?:| with):$",
            (ROOT / f"workflow/rules/{path}.smk").read_text(),
            re.MULTILINE,
        )
    ),
}


def rules(jobs):
    return Counter(rule for rule, _ in jobs)


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
        f"evaluation/{cell}/original.npz",
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
    assert set(table["method"]) == methods | {"temperature"}
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


def test_the_scores_of_images_give_the_numbers_of_the_evaluation(finished):
    tree = results(finished) / "evaluation/fmnist_embedded/cnn/0"
    roles = np.load(results(finished) / "data/fmnist_embedded/splits.npz")
    for method, rows in {"original": 1, "retrain": 2}.items():
        scores = load_scores(tree / f"{method}.npz")
        order = [*roles["target_train"], *roles["test"], *roles["out_of_sample"]]
        assert scores.images.tolist() == order
        assert scores.ratios.tolist() == [0.1, 0.25]
        assert scores.margins.shape == (rows, len(order))
        table = pd.read_csv(tree / f"{method}.csv").set_index(["forget_ratio", "subset", "metric"])
        for place, ratio in enumerate(scores.ratios):
            for number, subset in enumerate(SUBSETS[:3]):
                at = scores.subset[place] == number
                value = table["value"][ratio, subset]
                assert at.sum() == value["images"]
                loss = np.logaddexp(0, -scores.at(place, scores.margins)[at].astype(float))
                assert loss.mean() == pytest.approx(value["loss"], rel=1e-4)
                for name, members in scores.members.items():
                    rate = (scores.at(place, members)[at] > 0.5).mean()
                    assert rate == pytest.approx(value[f"{name}_rate"])


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
    configure(project, adversaries={"mia": {"whitebox": {"epochs": 3}, "blackbox": {"epochs": 2}}})
    jobs = planned(project)
    # The control `temperature` is made with the attack.
    assert set(rules(jobs)) == {"fit_attack", "make_control", "evaluate"} | REPORTS
    assert [w for rule, w in jobs if rule == "fit_attack"] == [
        {
            "dataset": "fmnist_embedded",
            "architecture": "cnn",
            "seed": "0",
            "adversary": "mia",
            "attack": "whitebox",
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
    # These two take all ratios of a method in one process: they gather, too.
    computed = {"select_forget_set", "unlearn", "make_control", "evaluate"}
    assert set(rules(jobs)) == computed | REPORTS
    ratios = {w["ratio"] for rule, w in jobs if rule in ("select_forget_set", "unlearn")}
    assert ratios == {"0.5"}
    assert rules(jobs)["unlearn"] == 4


def test_adding_a_method_runs_the_new_cells_alone(copied):
    configure(copied, methods=["original", "retrain"])
    snakemake(copied, "results-smoke/evaluation.csv")
    configure(copied, methods=["original", "retrain", "fisher"])
    shutil.rmtree(results(copied) / "unlearned/fmnist_embedded/cnn/0/fisher")
    jobs = planned(copied)
    assert set(rules(jobs)) == {"unlearn", "evaluate"} | REPORTS
    assert {w["method"] for rule, w in jobs if rule not in REPORTS} == {"fisher"}


@pytest.mark.parametrize(
    ("module", "unaffected"),
    [
        (
            "remibench/reporting/paper/table4_whitebox_mia.py",
            {"gather", "evaluate", "figure"},
        ),
        ("remibench/evaluation/metrics/efficacy.py", {"train_model", "fit_attack", "unlearn"}),
        ("remibench/attacks/whitebox.py", {"train_model", "prepare_dataset"}),
        ("remibench/unlearning/fisher.py", {"train_model", "fit_attack", "select_forget_set"}),
        ("remibench/reporting/theme.mplstyle", {"gather", "evaluate", "unlearn"}),
    ],
)
def test_editing_a_module_re_runs_its_dependants_alone(project, module, unaffected):
    path = project / module
    path.write_text(path.read_text() + "\nEDITED = True\n")
    jobs = planned(project)
    assert jobs
    assert not unaffected & set(rules(jobs))
    if "/reporting/paper/" in module:
        assert {w["product"] for rule, w in jobs if rule == "table"} == {path.stem}


def test_the_results_do_not_depend_on_the_run_or_the_number_of_cores(finished, tmp_path):
    """Everything once more, but for pages and pictures, which are not compared."""
    again = copy_repository(tmp_path)
    targets = [path.relative_to(finished) for path in comparable(results(finished))]
    snakemake(again, *targets, "--cores", "1")
    assert compare_results(results(finished), results(again)) > 40


def test_a_class_too_small_for_a_ratio_is_named(project):
    untuned = {method: {"per_cell_values": None} for method in methods() if method != "retrain"}
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
        "variants": {
            "fisher": {"alpha": [1.0e-6, 1.0e-2], "max_std": [0.01]},
            "remi_whitebox": {"learning_rate": [0.001, 0.01], "lambda2": [0.98]},
            "remi_blackbox": None,
        },
    }
    grid["variants"]["remi_blackbox"] = grid["variants"]["remi_whitebox"]
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
    warned = snakemake(finished, "--dry-run", config=used)
    assert (
        "no values were searched for fisher, remi_whitebox, remi_blackbox (fmnist_e"
        in warned.stdout
    )
    strict = ["--config", "per_cell_values=required"]
    failed = snakemake(finished, "--dry-run", *strict, config=used, check=False)
    assert "tune/fisher.csv has no row for fmnist_embedded, cnn, 0.25; add one" in failed.stdout


ACROSS = {
    "controls": [],  # four seeds that forget the same images
    "results": "results-smoke",
    "seeds": [0, 1, 2, 3],
    "forget_ratios": [0.1],
    "methods": ["original", "retrain", "fisher"],
    "across_seeds": ["ulira", "klom"],
}
AFTERWARDS = {"gather_across_seeds", "table", "figure", "all"}
SHOWN_ACROSS = {"table_across_seeds", "figure_across_seeds", "table_audit", "figure_audit"}


@pytest.fixture
def across(tmp_path, request):
    """A copy with a tree that Snakemake takes for finished: its files are empty."""
    folder = copy_repository(tmp_path)
    configure(folder, **ACROSS, forgetting={"selection": request.param})
    for line in (
        snakemake(folder, "--summary").stdout.partition("output_file\t")[2].splitlines()[1:]
    ):
        path = folder / line.partition("\t")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    snakemake(folder, "--touch", "--forceall")
    return folder


@pytest.mark.parametrize("across", ["random"], indirect=True)
def test_what_is_compared_across_seeds_depends_on_all_seeds_and_on_its_metrics(across):
    path = across / "remibench/evaluation/across_seeds/klom.py"
    source = path.read_text()
    path.write_text(source + "\nEDITED = True\n")
    jobs = planned(across)
    assert set(rules(jobs)) == {"evaluate_across_seeds"} | AFTERWARDS
    assert {w["product"] for rule, w in jobs if rule in ("table", "figure")} == SHOWN_ACROSS
    assert rules(jobs)["evaluate_across_seeds"] == 3
    path.write_text(source)
    configure(across, seeds=[0, 1, 2, 3, 4])
    jobs = planned(across)
    assert {w["seed"] for _, w in jobs if "seed" in w} == {"4"}
    assert rules(jobs)["evaluate_across_seeds"] == 3
    configure(across, seeds=ACROSS["seeds"])
    rng = np.random.default_rng(0)
    for path in results(across).glob("evaluation/*/*/*/*.npz"):
        subset = np.repeat([0, 1, 2, 3], [20, 60, 40, 40]).astype(np.uint8)[None]
        margins = rng.normal(size=(1, 160)).astype(np.float32)
        predicted = np.zeros((1, 160), np.int16)
        scores = Scores(np.arange(160), np.array([0.1]), subset, margins, {}, predicted)
        with made_by(Origin([], {})):
            save_scores(path, scores)
    compare = ["evaluate_across_seeds", "gather_across_seeds"]
    snakemake(across, "results-smoke/across_seeds.csv", "--allowed-rules", *compare)
    table = pd.read_csv(results(across) / "across_seeds.csv")
    assert set(table["method"]) == set(ACROSS["methods"])
    assert set(table["models"]) == {4}
    again = table.set_index(["method", "subset", "metric"])["value"]
    assert again["retrain", "forget", "ulira_auc"] == 0.5
    assert again["fisher", "retain", "klom"] > again["retrain", "retain", "klom"]


@pytest.mark.parametrize("across", ["memorised"], indirect=True)
def test_another_seed_changes_what_is_memorised_by_all(across):
    configure(across, seeds=[0, 1, 2, 3, 4])
    jobs = planned(across)
    trained = {w["seed"] for rule, w in jobs if rule in ("train_model", "measure_losses")}
    assert trained == {"4"}
    for rule in ("select_forget_set", "unlearn", "evaluate"):
        assert {w["seed"] for name, w in jobs if name == rule} == set("01234"), rule


def test_without_metrics_nothing_is_compared_across_seeds(project):
    assert not any("across" in rule for rule, _ in planned(project, ["--forceall"]))
    failed = snakemake(project, "--dry-run", "results-smoke/across_seeds.csv", check=False)
    assert "config: `across_seeds` lists no metric; lay config/across_seeds.yaml" in failed.stdout


@pytest.mark.parametrize(
    "change", [{"data": {"search_path": ["elsewhere", "data"]}}, {"checkpoint_seconds": 1}]
)
def test_where_files_lie_and_how_often_progress_is_saved_change_reports_alone(project, change):
    configure(project, **change)
    assert set(rules(planned(project))) <= REPORTS
