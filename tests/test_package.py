"""What ``pip install`` of the repository gives: the library, the command, and what they read."""

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from support.smoke import copy_repository

import remibench

ROOT = Path(__file__).parents[1]
SCRIPT = """
import remibench
from remibench.analysis.results import read_numbers
from remibench.reporting.html_page import template
assert "site-packages" in remibench.__file__, remibench.__file__
assert len(read_numbers()) > 400
template("audit.html.j2"), template("page.html.j2")
data = remibench.load_data("fmnist_embedded", image_size=8, limit=40)
assert len(data.roles["target_train"]) == 10
"""


def environment_of_its_own(folder):
    """The Python of a new environment, which borrows the libraries alone from this one."""
    venv.create(folder, with_pip=False)
    (packages,) = (folder / "lib").glob("*/site-packages")
    libraries = Path(yaml.__file__).parents[1]
    (packages / "borrowed.pth").write_text(f"{libraries}\n")
    return folder / "bin" / "python"


def install(python, *arguments):
    """Install without the network."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*command, "--no-deps", "--no-index", *map(str, arguments)], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel, built of a copy of the repository without the network."""
    folder = tmp_path_factory.mktemp("package")
    copy = copy_repository(folder / "repository")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(copy)]
    subprocess.run(command, check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        needed = archive.read(metadata).decode()
    listed = subprocess.run(
        ["git", "ls-files", "remibench"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) <= names
    assert f"Version: {remibench.__version__}" in needed
    assert re.search(r"^Requires-Dist: torch>=", needed, re.MULTILINE)


def test_an_installed_wheel_gives_the_library_and_the_command(wheel, tmp_path):
    python = environment_of_its_own(tmp_path / "venv")
    install(python, wheel)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    settings = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    done = subprocess.run([python, "-c", SCRIPT], **settings)
    assert done.returncode == 0, done.stderr
    command = python.with_name("remibench")
    assert "audit" in subprocess.run([command, "--help"], **settings).stdout
    plan = subprocess.run([command, "plan"], **settings)
    assert plan.returncode == 2
    assert "clone" in plan.stderr
    assert len(plan.stderr.splitlines()) == 1


def test_snakemake_finds_the_log_of_make_run_in_an_editable_install(tmp_path):
    """Which is what `make run` has; -I: neither the folder nor PYTHONPATH helps."""
    python = environment_of_its_own(tmp_path / "venv")
    copy = copy_repository(tmp_path / "repository")
    install(python, "--no-build-isolation", "--editable", copy)
    command = [python, "-I", "-m", "snakemake", "--logger", "remibench", "--version"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


def test_one_version_is_cited_and_has_an_entry_in_the_changelog():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == remibench.__version__
    assert f"version = {{{remibench.__version__}}}" in (ROOT / "README.md").read_text()
    assert f"## [{remibench.__version__}] - " in (ROOT / "CHANGELOG.md").read_text()
