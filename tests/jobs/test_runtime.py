"""What jobs share: logs and errors, the optimizer patch, start-up, code digests."""

import os
import pty
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

from remibench.components import plugins
from remibench.errors import RemibenchError
from remibench.jobs import code_digest
from remibench.jobs.torch_setup import Stopwatch

ROOT = Path(__file__).parents[2]
ART = "import art.attacks.inference.membership_inference"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RemibenchError("disk full; free space"), "rule train_model: disk full; free space"),
        (ValueError("odd"), "rule train_model: ValueError: odd"),
    ],
)
@pytest.mark.parametrize(
    "meanwhile", ["", "dictConfig(dict(version=1))", "dictConfig(dict(version=1, root={}))", ART]
)
def test_a_failed_job_prints_one_line_and_logs_the_traceback(tmp_path, error, line, meanwhile):
    """Whatever a library does to the configuration of logging."""
    code = f"""
from logging.config import dictConfig
from types import SimpleNamespace
from remibench.errors import RemibenchError
from remibench.jobs.script import job
given = SimpleNamespace(
    log=[{str(tmp_path / "a.log")!r}], input=[], output=[], params=dict(), rule="train_model",
    threads=1, config=dict(plugins=[], run=None),
)
with job(given):
    {meanwhile}
    raise {type(error).__name__}({str(error)!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert (tmp_path / "a.log").read_text().count("Traceback") == 1
    assert in_a_terminal(code).startswith(f"\r\x1b[K{line}"), "the run's progress stands there"


def in_a_terminal(code):
    """What a failing script writes to a terminal."""
    terminal, end = pty.openpty()
    done = subprocess.run([sys.executable, "-c", code], stderr=end)
    os.close(end)
    assert done.returncode == 1
    with os.fdopen(terminal, "rb") as stream:
        return stream.read1(4096).decode()


def test_a_finished_job_has_written_all_and_ends_without_further_ado(tmp_path):
    code = f"""
import atexit
from types import SimpleNamespace
from remibench.jobs.script import job, logger
given = SimpleNamespace(
    log=[{str(tmp_path / "a.log")!r}], input=dict(), output=[], params=dict(), rule="gather",
    threads=1, config=dict(plugins=[], run=None),
)
atexit.register(print, "taken apart")
with job(given):
    logger.info("a line")
    print("printed")
print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "printed\n", "")
    log = (tmp_path / "a.log").read_text().splitlines()
    assert log[0].endswith("INFO a line")
    assert re.search(r"INFO done in [\d.]+ s, peak memory \d+ MiB$", log[1])


@pytest.mark.parametrize("began", [False, True])
def test_sigterm_ends_a_job_that_has_no_epochs_to_save_at_once(tmp_path, began):
    """With ``began``, it is one that will have epochs, but not yet."""
    code = f"""
import os, signal
from types import SimpleNamespace
from remibench.jobs.script import job, progress_checkpoint
given = SimpleNamespace(
    log=[{str(tmp_path / "a.log")!r}], output=[], input=[], wildcards=dict(), rule="fit_attack",
    threads=1, params=type("Params", (dict,), dict(progress="p"))(),
    config=dict(checkpoint_seconds=60, plugins=[], run=None),
)
with job(given):
    if {began}:
        progress_checkpoint(given)
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except Exception:
        pass  # what handles errors does not take it for one
    print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    line = "rule fit_attack: stopped by a signal; run the same command again (traceback: "
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1


def test_stopwatch_adds_up():
    watch = Stopwatch(torch.device("cpu"))
    for _ in range(2):
        with watch:
            torch.randn(300, 300) @ torch.randn(300, 300)
    assert watch.seconds > 0
    assert watch.seconds == watch.seconds


def test_training_without_the_compiler_gives_the_same_weights():
    """The patched optimizers against torch's own, each in a process of its own."""
    code = """
import sys, torch
from remibench.jobs.torch_setup import exempt_optimizers_from_compiler
if sys.argv[1] == "patched":
    exempt_optimizers_from_compiler()
torch.manual_seed(0)
sgd = {"momentum": .9, "weight_decay": .1}
for kind, options in ((torch.optim.SGD, sgd), (torch.optim.Adam, {})):
    layer, x = torch.nn.Linear(4, 3), torch.randn(5, 4)
    optimizer = kind(layer.parameters(), lr=.1, fused=True, **options)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    print(layer.weight.tolist())
print("torch._dynamo" in sys.modules, file=sys.stderr)
"""
    runs = {
        name: subprocess.run(
            [sys.executable, "-c", code, name], capture_output=True, text=True, check=True
        )
        for name in ("patched", "plain")
    }
    assert runs["patched"].stdout == runs["plain"].stdout
    assert runs["patched"].stderr.strip().endswith("False")


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("remibench.config.model, remibench.jobs.code_digest", {"torch", "numpy", "pandas"}),
        (
            "remibench.data.forget_sets, remibench.data.splits, remibench.jobs.script",
            {"torch", "pandas"},
        ),
        ("remibench.reporting.render, remibench.analysis.results", {"torch", "matplotlib"}),
        ("remibench.unlearning.remi, remibench.models.cnn", {"pandas", "art", "scipy"}),
        (
            "remibench.attacks.blackbox, remibench.evaluation.metrics.membership",
            {"pandas", "art", "sklearn"},
        ),
    ],
)
def test_jobs_import_only_what_they_use(modules, absent):
    code = f"import sys, {modules}; print(*({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_digest_follows_the_imports_of_the_script():
    scripts = ROOT / "workflow" / "scripts"
    closure = code_digest._closure(frozenset(code_digest._imports(scripts / "train_model.py")))
    assert {"remibench.training", "remibench.models", "remibench.seeding"} <= closure
    assert not any(name.startswith("remibench.unlearning") for name in closure)
    assert not any(name.startswith("remibench.reporting") for name in closure)
    assert "remibench.config.model" not in closure


@pytest.mark.parametrize(("module", "covered"), [("identity", True), ("paths", False)])
def test_a_digest_does_not_cover_where_files_lie(monkeypatch, module, covered):
    """A job whose files move runs anyway; no other needs to for a place that is added."""
    script, computation = ROOT / "workflow/scripts/train_model.py", code_digest._computation

    def edited(path, name):
        text = computation(path, name)
        return text + "EDITED = True" if name == f"remibench.artifacts.{module}" else text

    before = code_digest.code_digest(script)
    monkeypatch.setattr(code_digest, "_computation", edited)
    assert (code_digest.code_digest(script) != before) == covered


def test_a_digest_covers_modules_found_by_name_and_their_packages():
    closure = code_digest._closure(frozenset({"remibench.unlearning.fisher"}))
    assert {"remibench.per_sample", "remibench.unlearning", "remibench"} <= closure


@pytest.fixture
def two_plugins(tmp_path):
    """Digests of a training script and of a table's, with a method and a table of a plug-in."""
    files = {name: tmp_path / "unlearning" / f"{name}.py" for name in ("plain", "other")}
    files["plain"].parent.mkdir()
    files["other"].write_text("def unlearn(task): ...\n")
    scripts = ROOT / "workflow" / "scripts"

    def digests(text):
        files["plain"].write_text(text)
        plugins.activate([tmp_path])
        code_digest._computation.cache_clear()
        return (
            code_digest.code_digest(scripts / "unlearn.py", "unlearning.plain"),
            code_digest.code_digest(scripts / "make_product.py"),
        )

    yield digests
    plugins.activate([])


BODY = 'LABEL = "Plain"\nCOLOUR = "#123456"\n\ndef unlearn(task):\n    """Do it."""\n    return 1\n'


@pytest.mark.parametrize(
    ("old", "new", "trains", "shows"),
    [
        ('"Plain"', '"Other"', False, True),
        ("#123456", "#654321", False, True),
        ("\n\ndef", "\nORDER = (\n    1\n)  # first\n\n\ndef", False, True),
        ("\n\ndef", '\nSEARCH = {"epochs": [1]}\n\n\ndef', False, False),
        ("\n\ndef", "\n\ndef passes():\n    return 3\n\n\ndef", False, False),
        ("\n\ndef", "\n\ndef other():\n    return 3\n\n\ndef", True, False),
        ("Do it.", "Do it.\n\n    At once.\n    ", False, False),
        ("return 1", "return 2", True, False),
        ("COLOUR", "NAME", True, True),
        ('LABEL = "Plain"', 'x = 1; LABEL = "Plain"', True, False),
        ('return 1', 'LABEL = "Plain"\n    return 1', True, False),
        ('"""Do it."""', 'text = """a\n\nb"""', True, False),
    ],
)  # fmt: skip
def test_a_digest_covers_what_computes_and_not_what_is_shown(two_plugins, old, new, trains, shows):
    before, after = two_plugins(BODY), two_plugins(BODY.replace(old, new, 1))
    assert [a != b for a, b in zip(before, after, strict=True)] == [trains, shows]


def test_blank_lines_within_a_text_are_part_of_it(two_plugins):
    first, second = (f'X = """a\n{blank}b"""\n{BODY}' for blank in ("", "\n"))
    assert two_plugins(first)[0] != two_plugins(second)[0]


def test_importing_the_config_in_no_script_keeps_new_options_from_re_running_everything():
    for script in (ROOT / "workflow" / "scripts").glob("*.py"):
        closure = code_digest._closure(frozenset(code_digest._imports(script)))
        assert "remibench.config.model" not in closure, script


@pytest.mark.parametrize(
    "rule", ["train_model", "fit_attack", "select_forget_set", "unlearn", "evaluate"]
)
def test_words_of_tables_and_figures_re_run_no_model_and_no_evaluation(rule):
    script = ROOT / "workflow" / "scripts" / f"{rule}.py"
    closure = code_digest._closure(frozenset(code_digest._imports(script)))
    components = {f"remibench.components.{name}" for name in ("contracts", "display", "products")}
    assert not closure & components
    assert not [module for module in closure if module.startswith("remibench.reporting")]


def test_the_conda_environment_mirrors_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((ROOT / "envs" / "remibench.yaml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == project["dependencies"]
    assert f"python{project['requires-python']}" in environment["dependencies"]


def test_the_lock_pins_torch_and_agrees_with_the_development_lock():
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    assert {"torch==2.14.1", "torchvision==0.29.1"} <= set(lock)
    development = (ROOT / "requirements-dev.lock").read_text().splitlines()
    pins, others = ({line.partition(" ;")[0] for line in each} for each in (lock, development))
    assert pins <= others  # markers may differ: colorama is for Windows alone until mkdocs asks
    assert not any("://" in line for line in lock)


def test_the_pre_commit_hooks_mirror_make_lint():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text()
    recipe = makefile.split("\nlint:")[1].split("\n\n")[0]
    commands = [line.strip().removeprefix("$(BIN)/") for line in recipe.splitlines()[1:]]
    assert [hook["entry"].removeprefix(".venv/bin/") for hook in hooks] == commands
