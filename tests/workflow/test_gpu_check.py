"""The check of a machine with a GPU, rehearsed with the CPU in its place."""

import csv
import json
import os
import subprocess
import sys
import tarfile
import time

import pytest
from support.smoke import copy_repository

from benchmarks import gpu_check
from benchmarks.gpu_plan import at_once, training_records
from remibench.planning.jobs import Job, read_config
from remibench.planning.timings import Timings, planned_task

TINY = """
forget_ratios: [0.25]
methods: [original, retrain]
data: { limit: 400, image_size: 24 }
"""


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A call of one minute, which has run no stage."""
    monkeypatch.setattr(gpu_check.tempfile, "tempdir", str(tmp_path))
    return gpu_check.Check(gpu_check.parse(["--out", str(tmp_path / "out"), "--minutes", "1"]))


def test_a_rehearsal_keeps_what_every_stage_found_and_says_what_is_missing(tmp_path):
    copy_repository(tmp_path / "project")
    (tmp_path / "project" / "config" / "tiny.yaml").write_text(TINY)
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--out", str(tmp_path / "out")]
    command += ["--minutes", "1.5", "--device", "cpu", "--seeds", "1", "--plan", "config/tiny.yaml"]
    done = subprocess.run(
        [*command, "--configs", "config/smoke.yaml", "config/tiny.yaml"],
        cwd=tmp_path / "project",
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    files = {path.name: path for path in (tmp_path / "out").iterdir()}
    assert len(files) <= 8
    assert max(path.stat().st_size for path in files.values()) <= gpu_check.MAX_BYTES
    record = json.loads(files["check.json"].read_text())
    assert list(record["stages"]) == list(gpu_check.STAGES)
    assert "failed" not in [stage["outcome"] for stage in record["stages"].values()]
    page = files["README.md"].read_text()
    assert "A rehearsal: the CPU stood in for the GPU" in page
    for sentence in record["missing"]:
        assert " ".join(sentence.split()) in page
    with tarfile.open(files["column.tar.gz"]) as archive:
        assert not [name for name in archive.getnames() if name.endswith(gpu_check.LEFT_BEHIND)]


def test_a_stage_is_ended_with_all_its_processes_when_its_time_is_over(check):
    child = "import subprocess, sys; subprocess.run(['sleep', '600'])"
    begun = "print('begun', flush=True); "
    assert check.run("column", [sys.executable, "-c", begun + child], 3) is None
    assert check.run("column", [sys.executable, "-c", "print('ended')"], 30) == 0
    assert check.log("column").endswith("ended\n")


def test_what_is_too_large_for_an_archive_is_left_out_and_named(check, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "MAX_BYTES", 2**20 + 100)
    for name, size in (("a", 60), ("b", 60), ("c", 30)):
        tmp_path.joinpath(name).write_bytes(b"x" * size)
    missing = []
    gpu_check.pack(tmp_path / "x.tar.gz", [(tmp_path / n, n) for n in "abc"], missing)
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        assert archive.getnames() == ["a", "c"]
    assert missing == ["x.tar.gz: 1 files were left out, 1,048,676 bytes are the most."]


def test_a_column_is_begun_with_all_seeds_and_ends_with_the_finished_ones(check, monkeypatch):
    calls = []
    monkeypatch.setattr(check, "run", lambda stage, command, seconds: calls.append(command) or 0)
    monkeypatch.setattr(gpu_check, "is_finished", lambda check, seed: True)
    check.options.seeds = 3
    check.stages["column"] = {}
    gpu_check.run_column(check, time.monotonic() + 600)
    seeds = [next(word for word in call if word.startswith("seeds=")) for call in calls]
    assert seeds == ["seeds=[0,1,2]", "seeds=[0,1,2]"]
    assert ["--until" in call for call in calls] == [True, False]
    assert all("gpu=12" in call for call in calls)
    assert check.missing == []


def test_an_interrupted_column_counts_the_seeds_that_are_finished(check, monkeypatch):
    monkeypatch.setattr(check, "run", lambda *_: None)
    monkeypatch.setattr(gpu_check, "is_finished", lambda check, seed: seed == 1)
    check.options.seeds = 2
    check.stages["column"] = {}
    gpu_check.run_column(check, time.monotonic() + 600)
    assert check.stages["column"]["seeds"] == [1]
    assert "the time was over; finished of 2 seeds: [1]" in check.missing[0]


def test_an_unknown_stage_is_refused(capsys):
    with pytest.raises(SystemExit):
        gpu_check.parse(["--out", "x", "--stages", "tests,all"])
    assert "'all' is none of tests, benchmarks, column, plan" in capsys.readouterr().err


def benchmark_rows(**rates):
    rows = [{"section": "start-up", "name": "", "mode": "", "precision": "", "value": "5"}]
    cells = {"section": "training", "mode": "captured", "precision": "bf16"}
    return rows + [{**cells, "name": name, "value": str(rate)} for name, rate in rates.items()]


def test_a_training_is_planned_at_the_images_per_second_that_were_measured(tmp_path):
    (tmp_path / "device.yaml").write_text("device: cuda\n")
    cfg = read_config(["config/paper.yaml", str(tmp_path / "device.yaml")])
    records = list(training_records(cfg, benchmark_rows(cnn=17_500, vgg19=1_750)))
    timings = Timings(records)
    for architecture, seconds in (("cnn", 55), ("vgg19", 505)):
        cell = {"dataset": "fmnist", "architecture": architecture, "seed": "3", "role": "shadow"}
        job = Job("train_model", cell, pending=True)
        projection = timings.project(planned_task(cfg, job))
        assert projection == (pytest.approx(seconds, rel=0.01), "scaled")


def test_several_jobs_at_once_are_compared_with_one():
    rows = [
        {"section": "jobs at once", "name": f"{jobs} trainings", "value": str(rate)}
        for jobs, rate in ((1, 100.0), (4, 250.0), (8, 240.0))
    ]
    assert at_once(rows).startswith("CNN, 4 trainings at once: 2.50 times")
    assert at_once(rows[:1]) == "Several jobs at once: not measured."


def test_rows_without_a_value_are_said_to_be_missing(check, monkeypatch):
    row = ("training", "vgg19", "plain", "bf16", "", "images/s", "not measured: the time was over")

    def run(stage, command, seconds):
        with (check.out / "benchmarks.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [["section", "name", "mode", "precision", "value", "unit", "note"], row]
            )
        return 0

    monkeypatch.setattr(check, "run", run)
    check.stages["benchmarks"] = {}
    gpu_check.run_benchmarks(check)
    assert check.missing == ["training, vgg19, plain bf16: not measured: the time was over"]
