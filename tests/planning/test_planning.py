"""The plan: jobs and sizes against closed forms, times recovered from made-up benchmark files."""

import itertools
import os
import re
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from snakemake.benchmark import BenchmarkRecord, write_benchmark_records
from support.tasks import default_parameters, duplicate, make_task
from torch.utils.flop_counter import FlopCounterMode

from remibench.cli import main
from remibench.components.registry import methods
from remibench.config.model import load_config
from remibench.errors import RemibenchError
from remibench.evaluation.predictions import Scores, save_scores
from remibench.models import ModelSpec, forward_flops
from remibench.planning.disk import disk_space
from remibench.planning.jobs import Job, list_jobs, read_config
from remibench.planning.plan import render_plan
from remibench.planning.timings import Timings, planned_task, read_records
from remibench.planning.work import count_work

ROOT = Path(__file__).parents[2]
STARTUP, RATE = 2.0, 2e-11  # seconds; seconds per operation
CELL = {"dataset": "fmnist_embedded", "architecture": "cnn", "seed": "0"}


def config(**changes):
    base = {
        "datasets": ["fmnist_embedded"],
        "architectures": ["cnn"],
        "seeds": [0],
        "forget_ratios": [0.1],
        "methods": ["original", "retrain", "fisher", "remi_whitebox", "remi_blackbox"],
        "training": {"precision": "fp32"},
    }
    return load_config(base | changes)


def write_benchmark(tree, rule, wildcards, params, seconds, images=4000, side=64, extended=True):
    """A benchmark file as Snakemake writes it, of a job on prepared images of that shape."""
    data = tree / "data" / wildcards["dataset"]
    data.mkdir(parents=True, exist_ok=True)
    inputs = [data / "images.npy", data / "labels.npy"]
    for path, size in zip(inputs, (images * side**2, images * 8), strict=True):
        with path.open("wb") as file:
            file.truncate(128 + size)
    record = BenchmarkRecord()
    record.running_time, record.rule_name, record.jobid = seconds, rule, 1
    record.wildcards, record.params, record.resources = wildcards, params, {"gpu": 0}
    record.threads, record.input, record.process_gone = 1, map(str, inputs), True
    path = tree.joinpath("benchmarks", rule, *wildcards.values()).with_suffix(".tsv")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_benchmark_records([record], str(path), extended)
    return path


def training(epochs, device="cpu", precision="fp32"):
    section = load_config(config().model_dump()).training.model_dump()
    return {"training": section | {"epochs": epochs, "precision": precision}, "device": device}


def train(role="target", **changes):
    return Job("train_model", CELL | {"role": role} | changes, True)


def work(epochs, architecture="cnn", images=4000):
    spec = ModelSpec(architecture, 1, 64, 10, (0.1307,), (0.3081,))
    return 3 * forward_flops(spec) * (images // 4) * epochs


def project(tree, cfg, job):
    records, warnings = read_records(tree, cfg.data.out_of_sample_fraction)
    assert warnings == []
    return Timings(records).project(planned_task(cfg, job))


def add_calibration(tree, architecture="cnn", epochs=10, device="cpu"):
    """One job that does next to nothing but start, and one whose speed can be told."""
    cell = CELL | {"architecture": architecture}
    for rule, detail, params, seconds in (
        ("evaluate", {"method": "original"}, {"ratios": [], "metrics": []}, STARTUP),
        (
            "train_model",
            {"role": "target"},
            training(epochs, device),
            STARTUP + RATE * work(epochs, architecture),
        ),
    ):
        write_benchmark(tree, rule, cell | detail, {"device": device} | params, seconds)


def test_a_jobs_outputs_are_one_job_and_finished_work_is_not_pending():
    folder = "out/models/fmnist/cnn/3/target"
    rows = ["noise on stdout", "output_file\tdate\trule\tlog-file(s)\tstatus\tplan"]
    rows += [
        f"{folder}.{end}\t-\ttrain_model\t-\tok\tno update"
        for end in ("safetensors", "history.csv")
    ]
    rows += [
        f"out/unlearned/fmnist/cnn/3/fisher/0.25.{end}\t-\tunlearn\t-\tmissing\tupdate pending"
        for end in ("safetensors", "history.csv", "json")
    ]
    rows += [f"out/{name}.csv\t-\tgather\t-\tmissing\tupdate pending" for name in "ab"]
    cell = {"dataset": "fmnist", "architecture": "cnn", "seed": "3"}
    assert list_jobs("\n".join(rows)) == [
        Job("train_model", cell | {"role": "target"}, False),
        Job("unlearn", cell | {"method": "fisher", "ratio": "0.25"}, True),
        Job("gather", {}, True),
    ]


def test_an_output_that_fits_no_pattern_is_named():
    summary = "output_file\tdate\trule\tlog\tstatus\tplan\nout/x\t-\tunlearn\t-\t-\tno update"
    with pytest.raises(RemibenchError, match="rule unlearn writes out/x"):
        list_jobs(summary)


def paper_summary(cfg):
    """What Snakemake lists for a grid that nothing was done of, by nested loops."""
    rows = ["output_file\tdate\trule\tlog-file(s)\tstatus\tplan"]

    def add(rule, *paths):
        end = f"\t-\t{rule}\t-\tmissing\tupdate pending"
        rows.extend(f"{cfg.results}/{path}{end}" for path in paths)

    for dataset in cfg.datasets:
        add("prepare_dataset", *(f"data/{dataset}/{name}" for name in ("images.npy", "labels.npy")))
        add("split_dataset", f"data/{dataset}/splits.npz")
        for cell in (f"{dataset}/{a}/{seed}" for a in cfg.architectures for seed in cfg.seeds):
            for role in ("target", "shadow"):
                path = f"models/{cell}/{role}"
                add("train_model", f"{path}.safetensors", f"{path}.history.csv")
            for attack in ("mf_whitebox", "mf_blackbox", "mia_whitebox", "mia_blackbox"):
                path = f"attacks/{cell}/{attack}"
                add("fit_attack", f"{path}.safetensors", f"{path}.csv")
            add("score_members", f"forget/{cell}/scores.npy")
            for method in cfg.methods:
                add("evaluate", *(f"evaluation/{cell}/{method}.{end}" for end in ("csv", "npz")))
            for ratio in cfg.forget_ratios:
                add("select_forget_set", f"forget/{cell}/{ratio}.npy")
                for method in cfg.methods[1:]:
                    path = f"unlearned/{cell}/{method}/{ratio}"
                    add("unlearn", f"{path}.safetensors", f"{path}.history.csv", f"{path}.json")
    return "\n".join(rows)


@pytest.fixture(scope="module")
def paper():
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        return read_config(["config/paper.yaml"])
    finally:
        os.chdir(here)


def test_the_papers_grid_has_the_jobs_of_its_closed_form(paper):
    counts = Counter(job.rule for job in list_jobs(paper_summary(paper)))
    cells = 20 * 16  # seeds, datasets × architectures
    assert counts == {
        "prepare_dataset": 4,
        "split_dataset": 4,
        "train_model": cells * 2,
        "fit_attack": cells * 4,
        "score_members": cells,
        "select_forget_set": cells * 4,
        "unlearn": cells * 4 * 4,
        "evaluate": cells * 5,
    }


def test_the_papers_plan_without_any_run_has_counts_and_sizes_but_no_hours(paper):
    text = render_plan(paper, list_jobs(paper_summary(paper)), [], cores=2)
    rows = {line[:34].strip(): line[34:].split() for line in text.splitlines()}
    assert rows["unlearn fisher"] == ["1,280", "0", "–", "1,280"]
    assert rows["split_dataset"] == ["4", "0", "–"]
    assert "Hours on cpu are unknown until something was run there" in text
    # 16 unlearned models for 2 trained ones
    kept, trained = (
        float(rows[name][0].replace(",", ""))
        for name in ("unlearned models", "target and shadow models")
    )
    assert kept / trained == pytest.approx(8, rel=0.01)
    assert rows["disk, keep_unlearned: true"][-1] == "config"


def test_vgg19_takes_the_bytes_of_its_published_size():
    cfg = config(datasets=["cifar10"], architectures=["vgg19"], seeds=[0, 1, 2])
    # Torchvision's 143,667,240 parameters are for 1,000 classes.
    parameters = 143_667_240 - 4096 * 1000 - 1000 + 4096 * 10 + 10
    sizes = disk_space(cfg, jobs=0)
    assert sizes["target and shadow models"] == 3 * 2 * 4 * parameters
    assert sizes["unlearned models"] == 3 * 4 * 1 * 4 * parameters
    assert sizes["prepared images"] == 60_000 * 3 * 64 * 64
    assert disk_space(cfg, jobs=10)["small files (about)"] > sizes["small files (about)"]


def test_scores_of_images_take_the_bytes_of_their_files(tmp_path):
    images = 1000 + 500 + 500  # training set, test role, out-of-sample images of 4,000
    for method, rows in {"original": 1, "retrain": 2, "fisher": 2}.items():
        values = np.zeros((rows, images), np.float32)
        names = itertools.product(("mf", "mia"), ("whitebox", "blackbox"))
        members = {"_".join(name): values for name in names}
        subset = np.zeros((2, images), np.uint8)
        predicted = np.zeros((rows, images), np.int16)
        scores = Scores(np.arange(images), np.array([0.1, 0.5]), subset, values, members, predicted)
        save_scores(tmp_path / f"{method}.npz", scores)
    cfg = config(forget_ratios=[0.1, 0.5], methods=["original", "retrain", "fisher"])
    files = sum(path.stat().st_size for path in tmp_path.iterdir())
    # The positions of the images, 8 bytes each, are left out.
    assert disk_space(cfg, jobs=0)["scores of images"] == pytest.approx(files, rel=0.25)


def test_attacks_take_the_bytes_of_their_files(tmp_path):
    from remibench.attacks.blackbox import BlackBoxAttack
    from remibench.attacks.whitebox import WhiteBoxAttack

    attacks = (WhiteBoxAttack(10, 512), BlackBoxAttack(10))
    for name, attack in enumerate(attacks):
        attack.save(tmp_path / f"{name}.safetensors")
    files = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert disk_space(config(), jobs=0)["attacks"] == pytest.approx(2 * files, rel=0.01)


def test_start_up_and_speed_are_recovered_exactly(tmp_path):
    add_calibration(tmp_path)
    projection = project(tmp_path, config(), train())  # 50 epochs
    assert projection.quality == "scaled"
    # Benchmark files have seconds with two decimals: 10 epochs of 20 seconds or so.
    assert projection.seconds == pytest.approx(STARTUP + RATE * work(50), rel=1e-3)


def test_the_same_job_with_another_seed_is_measured(tmp_path):
    add_calibration(tmp_path, epochs=50)
    projection = project(tmp_path, config(), train("shadow", seed="7"))
    assert projection.quality == "measured"
    assert projection.seconds == pytest.approx(STARTUP + RATE * work(50), abs=0.006)


def test_another_architecture_or_precision_is_borrowed(tmp_path):
    add_calibration(tmp_path, epochs=50)
    projection = project(tmp_path, config(), train(architecture="resnet18"))
    assert projection.quality == "borrowed"
    expected = STARTUP + RATE * work(50, "resnet18")
    assert projection.seconds == pytest.approx(expected, rel=1e-3)
    half = config(training={"precision": "bf16"})
    assert project(tmp_path, half, train()).quality == "borrowed"


def test_retraining_never_timed_borrows_trainings_speed(tmp_path):
    add_calibration(tmp_path)
    job = Job("unlearn", CELL | {"method": "retrain", "ratio": "0.1"}, True)
    projection = project(tmp_path, config(), job)
    assert projection.quality == "borrowed"
    assert projection.seconds == pytest.approx(STARTUP + 0.9 * RATE * work(50), rel=1e-3)


def test_the_nearest_records_count_and_of_these_the_median(tmp_path):
    add_calibration(tmp_path)
    others = {f"{n}": factor for n, factor in enumerate((1, 1, 9), 5)}
    for seed, factor in others.items():
        cell = CELL | {"seed": seed, "role": "target"}
        write_benchmark(
            tmp_path, "train_model", cell, training(10), STARTUP + factor * RATE * work(10)
        )
    slow = CELL | {"architecture": "resnet18", "role": "target"}
    write_benchmark(tmp_path, "train_model", slow, training(10), 1e5)
    expected = STARTUP + RATE * work(50)
    assert project(tmp_path, config(), train()).seconds == pytest.approx(expected, rel=1e-3)


def test_remis_speed_comes_from_the_epochs_that_it_ran(tmp_path):
    add_calibration(tmp_path)
    cfg = config()
    cell = CELL | {"method": "remi_whitebox", "ratio": "0.1"}
    flops = forward_flops(ModelSpec("cnn", 1, 64, 10, (0.1307,), (0.3081,)))
    # 100 forget images are 2 steps; they and 500 out-of-sample images are looked at.
    once, epoch = flops * 600, flops * (4 * 100 + 3 * 2 * 256 + 600)
    params = training(50) | {
        "parameters": cfg.unlearning.parameters("remi_whitebox", "fmnist_embedded", "cnn", 0.1)
    }
    write_benchmark(tmp_path, "unlearn", cell, params, STARTUP + 8 * RATE * (once + 7 * epoch))
    other = Job("unlearn", cell | {"ratio": "0.5"}, True)
    without_epochs = project(tmp_path, cfg, other)
    assert without_epochs.quality == "borrowed"
    cost = tmp_path / "unlearned/fmnist_embedded/cnn/0/remi_whitebox/0.1.json"
    cost.parent.mkdir(parents=True)
    cost.write_text('{"epochs": 7}')
    projection = project(tmp_path, cfg, other)
    assert projection.quality == "scaled"
    assert "h of unlearn remi_whitebox, at `max_epochs`" in render_plan(
        cfg, [other], read_records(tmp_path, 0.5)[0], cores=1
    )
    most = flops * 1000 + 60 * flops * (4 * 500 + 3 * 8 * 256 + 1000)
    assert projection.seconds == pytest.approx(STARTUP + 8 * RATE * most, rel=1e-3)
    assert project(tmp_path, cfg, Job("unlearn", cell, True)).quality == "measured"


def test_jobs_that_are_mostly_start_up_tell_no_speed(tmp_path):
    for role, seconds in (("target", STARTUP), ("shadow", 1.5 * STARTUP)):
        write_benchmark(tmp_path, "train_model", CELL | {"role": role}, training(1), seconds)
    assert project(tmp_path, config(), train()) == (None, "unknown")


def test_records_of_one_device_do_not_project_the_other(tmp_path):
    add_calibration(tmp_path, epochs=50)
    cfg = config(device="cuda")
    assert project(tmp_path, cfg, train()) == (None, "unknown")
    text = render_plan(cfg, [train()], read_records(tmp_path, 0.5)[0], cores=2)
    assert "Hours on cuda are unknown" in text
    add_calibration(tmp_path, epochs=50, device="cuda")
    assert project(tmp_path, cfg, train()).quality == "measured"
    assert "GPU hours" in render_plan(cfg, [train()], read_records(tmp_path, 0.5)[0], cores=2)


def test_preparing_a_dataset_scales_with_its_values_on_either_device(tmp_path):
    params = {"image_size": 32, "limit": 1000}
    cell = {"dataset": "fmnist_embedded"}
    write_benchmark(tmp_path, "prepare_dataset", cell, params, 3.0)
    job = Job("prepare_dataset", {"dataset": "fmnist"}, True)
    projection = project(tmp_path, config(device="cuda"), job)
    # 70 times the images, each of 4 times the values
    assert projection == (pytest.approx(3.0 * 70 * 4), "scaled")


def test_finished_jobs_take_no_hours(tmp_path):
    add_calibration(tmp_path, epochs=50)
    records, _ = read_records(tmp_path, 0.5)
    done = train(seed="1")._replace(pending=False)
    rows = {
        line[:34].strip(): line[34:].split()
        for line in render_plan(config(), [train(), done], records, cores=1).splitlines()
    }
    assert rows["train_model"][:2] == ["1", "1"]
    assert float(rows["train_model"][2]) == pytest.approx(
        (STARTUP + RATE * work(50)) / 3600, rel=0.01
    )
    assert rows["train_model"][3:] == ["100%", "0%", "0%"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("'epochs': 10", "'epochs': __import__('os')"),
        lambda text: text.replace("fmnist_embedded", "no_such_dataset"),
        lambda text: text.split("{")[0],
        lambda text: re.sub(r"\n[\d.]+", "\nNA", text),
        lambda _: "",
        lambda _: "\x00\xff",
    ],
)
def test_a_damaged_benchmark_file_is_named_and_skipped(tmp_path, damage):
    add_calibration(tmp_path)
    path = tmp_path / "benchmarks/train_model/fmnist_embedded/cnn/0/target.tsv"
    path.write_text(damage(path.read_text()))
    records, warnings = read_records(tmp_path, 0.5)
    assert [record.task.kind for record in records] == ["evaluate"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"skipped {path}: ")
    assert "\n" not in warnings[0]


def test_benchmark_files_without_params_are_counted_in_one_line(tmp_path):
    for seed in "01":
        cell = CELL | {"seed": seed, "role": "target"}
        write_benchmark(tmp_path, "train_model", cell, training(1), 5.0, extended=False)
    records, (warning,) = read_records(tmp_path, 0.5)
    assert records == []
    assert warning == f"{tmp_path}: 2 benchmark files lack params (no --benchmark-extended)"


def test_benchmark_files_of_another_version_are_counted_in_one_line(tmp_path):
    for control in ("shift", "temperature"):
        cell = CELL | {"seed": "0", "method": control}
        write_benchmark(tmp_path, "make_control", cell, {"precision": "fp32"}, 5.0)
    records, (warning,) = read_records(tmp_path, 0.5)
    assert records == []
    assert warning == f"{tmp_path}: 2 benchmark files of another version of the workflow"


def test_the_plan_of_a_checkout_without_runs_through_snakemake(tmp_path):
    """The command itself, in the repository: a dry run reads, and writes but .snakemake."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"results: {tmp_path}/results\n")
    done = subprocess.run(
        [sys.executable, "-m", "remibench", "plan", "config/smoke.yaml", str(overlay)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = {line[:34].strip(): line[34:].split() for line in done.stdout.splitlines()}
    assert rows["train_model"][:2] == ["2", "0"]
    assert rows["unlearn remi_blackbox"][:2] == ["2", "0"]
    assert rows["evaluate"][:2] == ["6", "0"]
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainin: {epochs: 3}", "config: unknown key 'trainin' at the top level"),
        ("[1, 2]", "Config file must be given as JSON or YAML with keys at top level"),
        ("a: [", "Config file is not valid JSON or YAML"),
        (None, "overlay.yaml: No such file"),
    ],
)
def test_a_config_error_is_one_line(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(ROOT)
    path = tmp_path / "overlay.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["plan", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_results_tree_without_benchmarks_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["plan", "--measured", str(tmp_path)]) == 2
    assert "has no benchmarks" in capsys.readouterr().err


@pytest.mark.parametrize("name", methods())
def test_a_methods_work_is_what_torch_counts(name):
    """Within a tenth: the first layer's backward pass needs no gradient of its input."""
    spec = ModelSpec("cnn", channels=1, image_size=24, classes=4, mean=(0.13,), std=(0.31,))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (96, 1, 24, 24), dtype=torch.uint8, generator=generator)
    labels = torch.randint(4, (96,), generator=generator)
    roles = {"target_train": 64, "out_of_sample": 32}
    task = duplicate(
        make_task(spec, (images[:24], labels[:24])),
        images=images,
        labels=labels,
        forget=torch.arange(16),
        retain=torch.arange(16, 64),
        out_of_sample=torch.arange(64, 96),
    )
    parameters = default_parameters(name)
    if name.startswith("remi"):
        parameters |= {"max_epochs": 2, "stop": "never", "batch_size": 8}
        parameters |= {"classification_batch_size": 16}
    with FlopCounterMode(display=False) as counter:
        import_module(f"remibench.unlearning.{methods()[name].module}").unlearn(task, **parameters)
    params = {"parameters": parameters, "training": task.training}
    planned = count_work("unlearn", {"method": name, "ratio": "0.25"}, params, spec, roles)
    assert counter.get_total_flops() == pytest.approx(planned, rel=0.1)


def test_forgetting_a_whole_class_is_planned_as_an_upper_bound():
    spec = ModelSpec("cnn", channels=1, image_size=24, classes=4, mean=(0.13,), std=(0.31,))
    roles = {"target_train": 64, "out_of_sample": 32}
    params = {"parameters": {}, "training": {"epochs": 3}}
    trained = count_work("train_model", {}, params, spec, roles)
    planned = count_work("unlearn", {"method": "retrain", "ratio": "1.0"}, params, spec, roles)
    assert planned == trained
