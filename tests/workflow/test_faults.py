"""Faults that a real Snakemake meets: signals, damaged files, a second run, clocks, disks."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest
from support.smoke import (
    compare_results,
    copy_repository,
    is_alive,
    planned,
    results,
    scripts,
    snakemake,
    start,
)

CELL = "fmnist_embedded/cnn/0"


@pytest.fixture
def training(tmp_path, request):
    """A training under way, in its epoch 5 or 6: folder, arguments, process, the job's log.

    Its length is the test's: whole seconds more, or few if the test waits for the end.
    """
    folder = copy_repository(tmp_path / "training")
    arguments = [
        f"results/models/{CELL}/target.safetensors",
        "--config",
        f"training={{'epochs': {getattr(request, 'param', 150)}}}",
        "results=results",
    ]
    process = start(folder, *arguments, stdout=subprocess.PIPE)
    log = folder / f"results/logs/train_model/{CELL}/target.log"
    while not (log.exists() and "epoch 5 of" in log.read_text()):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    yield folder, arguments, process, log
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize(
    ("numbers", "to_group"),
    [
        ([signal.SIGTERM], False),
        ([signal.SIGINT, signal.SIGINT], True),
    ],
    ids=["SIGTERM to Snakemake", "two Ctrl-C"],
)
def test_a_signal_ends_the_run_in_seconds_and_leaves_nothing_locked(training, numbers, to_group):
    folder, arguments, process, _ = training
    for number in numbers:
        (os.killpg if to_group else os.kill)(process.pid, number)
        time.sleep(0.3)
    output, _ = process.communicate(timeout=60)  # the training would take minutes
    assert process.returncode != 0
    assert "Traceback" not in output
    assert len(re.findall("^rule train_model: stopped by a signal", output, re.MULTILINE)) == 1
    assert not (folder / arguments[0]).exists()
    assert "Directory cannot be locked" not in snakemake(folder, "--dry-run", *arguments).stdout
    saved = list((folder / "results/progress").glob("*.safetensors"))
    assert saved or len(numbers) == 2, "another Ctrl-C does not wait for the end of the epoch"


waited_for = pytest.mark.parametrize("training", [30], indirect=True, ids=[""])


@waited_for
def test_sigterm_saves_the_epoch_and_the_same_command_goes_on_from_there(training, tmp_path):
    """What a batch system sends before it kills; to the whole process group, as it does."""
    folder, arguments, process, log = training
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=30)
    assert process.returncode != 0
    lines = [line for line in output.splitlines() if line.startswith("rule train_model: ")]
    assert len(lines) == 1
    epoch = int(re.search(r"stopped by a signal after epoch (\d+), which is saved", lines[0])[1])
    assert "Traceback" not in output
    assert not (folder / arguments[0]).exists()
    snakemake(folder, *arguments)  # not locked
    assert f"resumed after epoch {epoch}" in log.read_text()
    undisturbed = copy_repository(tmp_path / "undisturbed")
    snakemake(undisturbed, *arguments)
    assert compare_results(undisturbed / "results", folder / "results") == 6
    assert not list((folder / "results/progress").iterdir())


def test_a_second_snakemake_in_the_folder_is_refused_and_a_stale_lock_can_be_removed(training):
    folder, arguments, process, _ = training
    second = snakemake(folder, *arguments, check=False)
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout
    assert "--unlock" in second.stdout
    assert process.poll() is None, "the first was disturbed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert "cannot be locked" in snakemake(folder, *arguments, check=False).stdout
    snakemake(folder, "--unlock", *arguments)
    snakemake(folder, f"results/data/{CELL.partition('/')[0]}/splits.npz", *arguments[1:])


def epochs(folder):
    """Epochs of the target of a finished training."""
    history = folder / f"results/models/{CELL}/target.history.csv"
    return len(history.read_text().splitlines()) - 1


def test_a_stopped_training_whose_snakemake_is_killed_writes_nothing_more(training):
    """It was stopped by SIGSTOP, its config changed and the run repeated before it could wake."""
    folder, arguments, process, log = training
    (stopped,) = scripts(process)
    os.kill(stopped, signal.SIGSTOP)
    process.kill()
    process.wait()
    wait_for_the_end(stopped)
    snakemake(folder, "--unlock", *arguments)
    arguments[2] = "training={'epochs': 2}"
    snakemake(folder, *arguments)
    assert epochs(folder) == 2
    assert "epoch 2 of 2" in log.read_text()
    assert "Nothing to be done" in snakemake(folder, *arguments).stdout


@waited_for
def test_a_training_that_outlives_its_snakemake_cannot_replace_the_file_of_a_later_run(training):
    """Where no kernel ends it, as on another machine: the run's name in the lock has changed."""
    folder, arguments, process, _ = training
    state = folder / "results/.lock"
    later = json.loads(state.read_text()) | {"run": "a later run"}
    state.write_text(json.dumps(later))
    output, _ = process.communicate(timeout=120)
    assert re.search(
        r"^rule train_model: this job is of an earlier run and writes nothing: results is written",
        output,
        re.MULTILINE,
    ), output
    assert process.returncode != 0
    assert not (folder / arguments[0]).exists()


@waited_for
def test_a_second_clone_with_the_same_results_is_refused_and_changes_nothing(training, tmp_path):
    folder, _, process, _ = training
    clone = copy_repository(tmp_path / "clone")
    tree = folder / "results"
    others = [str(tree / f"models/{CELL}/shadow.safetensors"), "--config"]
    others += ["training={'epochs': 2}", f"results={tree}"]
    os.killpg(process.pid, signal.SIGSTOP)  # lest it ends meanwhile
    assert "train_model" in snakemake(clone, "--dry-run", *others).stdout  # planning writes nothing
    before = {path: path.stat().st_mtime_ns for path in (tree / "data").rglob("*")}
    refused = snakemake(clone, *others, check=False)
    assert refused.returncode != 0
    line = (
        rf"^{re.escape(str(tree))} is written by another run: process {process.pid} on .*{folder}"
    )
    assert re.search(line, refused.stdout, re.MULTILINE), refused.stdout
    assert "Traceback" not in refused.stdout
    assert {path: path.stat().st_mtime_ns for path in (tree / "data").rglob("*")} == before
    assert not (tree / f"models/{CELL}/shadow.safetensors").exists()
    os.killpg(process.pid, signal.SIGCONT)
    process.wait(120)
    assert epochs(folder) == 30
    snakemake(clone, *others)  # now it is its turn


def test_a_snakemake_on_a_node_writes_for_the_run_that_sent_it_and_no_other(training, monkeypatch):
    """What an executor starts on another machine: it reads the Snakefile and the config again."""
    folder, arguments, _, _ = training
    sent = json.loads((folder / "results/.lock").read_text())["run"]
    splits = folder / "results/data/fmnist_embedded/splits.npz"
    options = ["--mode", "remote", "--no-hooks", "--nolock", "--force", "--cores", "1"]
    node = ["results/data/fmnist_embedded/splits.npz", *options, *arguments[1:]]
    before = splits.read_bytes()
    for run, changes, refusal in (
        (sent, [], None),
        ("an earlier run", [], "this job is of an earlier run and writes nothing: results is"),
        (sent, ["seeds=[0,1]"], "the config has changed since this run began"),
    ):
        monkeypatch.setenv("REMIBENCH_RUN", run)
        stamp = splits.stat().st_mtime_ns
        done = snakemake(folder, *node, *changes, check=False)
        assert (done.returncode == 0) == (refusal is None), done.stdout
        assert (splits.stat().st_mtime_ns == stamp) == (refusal is not None)
        assert splits.read_bytes() == before  # not even removed
        assert refusal is None or re.search(rf"^{refusal}", done.stdout, re.MULTILINE), done.stdout
        assert "Traceback" not in done.stdout


@waited_for
def test_results_that_are_removed_under_a_training_end_it_in_one_line(training):
    folder, arguments, process, _ = training
    shutil.rmtree(folder / "results", ignore_errors=True)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert re.search(
        r"^rule train_model: results/\.lock is gone: the results were removed", output, re.MULTILINE
    ), output
    assert "FileNotFoundError" not in output
    assert "Traceback" not in output
    assert not list((folder / "results").rglob("*.safetensors"))
    assert "cannot be locked" not in snakemake(folder, "--dry-run", *arguments).stdout


def wait_for_the_end(pid):
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.05)


def flip(path):
    """Flip one bit in the middle; the time of the file stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    return content


def cut(path):
    """Cut off the last bytes, as a full disk or an interrupted copy does."""
    return path.read_bytes()[:-3]


def damage(path, how):
    stamp = path.stat()
    path.write_bytes(how(path))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


EVALUATIONS = [
    f"evaluation/{CELL}/{method}.csv" for method in ("fisher", "retrain", "remi_whitebox")
]


@pytest.mark.parametrize(
    ("damaged", "rule", "targets"),
    [
        (
            {  # each is met by another job
                f"unlearned/{CELL}/fisher/0.1.safetensors": flip,
                f"unlearned/{CELL}/retrain/0.1.json": cut,
                f"forget/{CELL}/0.25.npy": flip,
            },
            "evaluate",
            EVALUATIONS,
        ),
        ({f"evaluation/{CELL}/original.csv": cut}, "gather", ["evaluation.csv"]),
        ({"data/fmnist_embedded/splits.npz": flip}, "split_dataset", [f"forget/{CELL}/0.1.npy"]),
    ],
    ids=["safetensors, json, npy", "csv", "npz"],
)
def test_a_damaged_file_is_named_and_following_the_advice_makes_it_anew(
    copied, finished, damaged, rule, targets
):
    tree = results(copied)
    for name, how in damaged.items():
        damage(tree / name, how)
    paths = [f"results-smoke/{target}" for target in targets]
    reader = "select_forget_set" if rule == "split_dataset" else rule
    failed = snakemake(copied, *paths, "--forcerun", reader, check=False)
    assert failed.returncode != 0
    lines = [line for line in failed.stdout.splitlines() if line.startswith(f"rule {reader}: ")]
    advice = [re.search(r"cannot read (\S+): .*; `(rm .*)` and run the same", row) for row in lines]
    assert {match[1] for match in advice} == {f"results-smoke/{name}" for name in damaged}
    assert "Traceback" not in failed.stdout  # but in the log
    assert all("Traceback" in (copied / row[:-1].rpartition(" ")[2]).read_text() for row in lines)
    if rule != "split_dataset":
        assert not any((copied / path).exists() for path in paths)  # nothing half-made
    for match in advice:
        subprocess.run(match[2], shell=True, cwd=copied, check=True)  # noqa: S602 as a user would
    snakemake(copied, *paths)
    assert compare_results(results(finished), tree) > 40


def test_a_file_from_the_future_stops_the_run_in_one_line_and_touching_mends_it(copied):
    """Two computers whose clocks differ, or an archive unpacked with its times."""
    target = results(copied) / f"models/{CELL}/target.safetensors"
    tomorrow = time.time() + 86_400
    os.utime(target, (tomorrow, tomorrow))
    scores = f"results-smoke/forget/{CELL}/scores.npy"
    done = snakemake(copied, scores, "--forcerun", "score_members", check=False)
    assert done.returncode != 0
    assert re.search(r"Output \S+ has older modification time .* clock skew", done.stdout)
    assert "Traceback" not in done.stdout
    target.touch()
    snakemake(copied, scores)
    os.utime(target, (tomorrow, tomorrow))
    snakemake(copied, "--touch", "--forceall")
    assert planned(copied) == []


def test_a_read_only_or_full_disk_is_named(copied, small_disk):
    folder = small_disk / "tree"
    settings = ["--config", f"results={folder}"]
    target = f"{folder}/data/fmnist_embedded/splits.npz"
    full = snakemake(copied, target, *settings, check=False)
    assert re.search(r"^rule prepare_dataset: cannot write .*No space left", full.stdout, re.M)
    assert not list(folder.rglob("*.npy"))
    shutil.rmtree(folder)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    refused = snakemake(copied, target, *settings, check=False)
    assert f"cannot write {folder}/.lock: Read-only file system; choose another" in refused.stdout
    for done in (full, refused):
        assert done.returncode != 0
        assert "Traceback" not in done.stdout
