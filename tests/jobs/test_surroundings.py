"""What surrounds a job: environment variables, the user's matplotlibrc, other git repositories."""

import os
import subprocess
import sys

import pytest
from support.smoke import ROOT

from remibench.jobs import provenance
from remibench.jobs.surroundings import REMOVED, SET, isolate

DRAW = """
import sys
from pathlib import Path
from support.synthetic import synthetic_results
from remibench.reporting.paper import figure01_target_accuracy as figure
from remibench.reporting.render import use_theme, write_figure

use_theme()
results = synthetic_results(("fmnist",), ("cnn",), 2, (0.1,), beyond=False)
write_figure(figure.draw(results), svg=Path("figure.svg"), png=Path("figure.png"))
print("± × ≥")
"""
NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


def draw(folder, variables):
    """Draw a figure in a process with the environment that Snakemake would give a job."""
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, **variables}
    isolate(environment)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode() == "± × ≥\n"
    return [(folder / f"figure.{suffix}").read_bytes() for suffix in ("svg", "png")]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("undisturbed"), {})


RC = "text.usetex: True\nfont.size: 30\nsavefig.bbox: tight\nsvg.fonttype: none\n"


@pytest.mark.parametrize(
    "variables",
    [
        NOTEBOOK,
        {"MPLBACKEND": "tkagg", "DISPLAY": ""},
        {"MATPLOTLIBRC": "{home}/matplotlibrc"},
        {"MPLCONFIGDIR": "{home}"},
        {"HOME": "{home}", "XDG_CONFIG_HOME": "{home}"},
        {"HOME": "/dev/null", "MPLCONFIGDIR": "/dev/null/x"},
        {"PYTHONWARNINGS": "error", "PYTHONINSPECT": "1", "PYTHONOPTIMIZE": "2"},
        {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "1", "PYTHONHASHSEED": "7"},
    ],
    ids=lambda variables: " ".join(variables),
)
def test_a_figure_is_the_same_file_in_any_environment(tmp_path, undisturbed, variables):
    home = tmp_path / "home"
    home.mkdir()
    (home / "matplotlibrc").write_text(RC)
    given = {name: value.format(home=home) for name, value in variables.items()}
    assert draw(tmp_path / "work", given) == undisturbed


def test_a_matplotlibrc_where_one_runs_changes_no_figure(tmp_path, undisturbed):
    (tmp_path / "matplotlibrc").write_text(RC)
    assert draw(tmp_path, {}) == undisturbed


def test_every_job_and_command_has_these_surroundings():
    hostile = dict.fromkeys([*SET, *REMOVED], "hostile") | {"PATH": "/bin"}
    isolate(hostile)
    assert hostile == {**SET, "PATH": "/bin"}
    rules = (ROOT / "workflow/rules/common.smk").read_text()
    assert "\nisolate()" in rules, "jobs inherit the environment of Snakemake"
    done = subprocess.run(
        [sys.executable, "-m", "remibench", "stopping", "no", "no", "no"],
        env=os.environ | NOTEBOOK | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "backend" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ATEN_CPU_CAPABILITY", "default"),
        ("ONEDNN_MAX_CPU_ISA", "SSE41"),
        ("DNNL_MAX_CPU_ISA", "SSE41"),
        ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
        ("DNNL_DEFAULT_FPMATH_MODE", "BF16"),
        ("MKL_CBWR", "COMPATIBLE"),
        ("NVIDIA_TF32_OVERRIDE", "1"),
        ("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "1"),
    ],
)
def test_no_variable_chooses_other_kernels_or_precisions(name, value):
    environment = {name: value, "OMP_NUM_THREADS": "1"}
    isolate(environment)
    assert environment == {**SET, "OMP_NUM_THREADS": "1"}


def git(folder, *arguments):
    identity = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    done = ["git", *identity, *arguments]
    return subprocess.run(done, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def other(tmp_path):
    """Another repository, of one commit."""
    git(tmp_path, "init", "-q")
    (tmp_path / "theirs").touch()
    git(tmp_path, "add", "theirs")
    git(tmp_path, "commit", "-qm", "theirs")
    return tmp_path


def test_a_copy_inside_another_repository_has_no_commit(other, monkeypatch):
    copy = other / "remibench"
    copy.mkdir()
    monkeypatch.setattr(provenance, "ROOT", copy)
    record = provenance.environment()
    assert record["git_commit"] is None
    assert record["git_modified"] is None


@pytest.mark.parametrize("variable", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
@pytest.mark.parametrize("inside", [True, False])
def test_variables_of_git_point_to_no_other_commit(
    other, tmp_path_factory, monkeypatch, variable, inside
):
    mine = tmp_path_factory.mktemp("mine")
    if inside:
        git(mine, "init", "-q")
        (mine / "ours").touch()
        git(mine, "add", "ours")
        git(mine, "commit", "-qm", "ours")
    expected = git(mine, "rev-parse", "HEAD").strip() if inside else None
    monkeypatch.setattr(provenance, "ROOT", mine)
    monkeypatch.setenv(variable, str(other / ".git"))
    record = provenance.environment()
    assert record["git_commit"] == expected
    assert record["git_modified"] == (False if inside else None)
    if inside:
        (mine / "ours").write_text("changed")
        assert provenance.environment()["git_modified"] is True
