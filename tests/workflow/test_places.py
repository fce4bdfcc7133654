"""The workflow from other folders, in folders with other names, and for data that cannot do."""

import os
import re
import subprocess
import sys
import sysconfig
import venv

import pytest
from support.smoke import copy_repository, planned, snakemake

SPLITS = "data/fmnist_embedded/splits.npz"


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("repository"))


def run(python, repository, folder, *arguments):
    """Run Snakemake with this Python where somebody stands in ``folder``."""
    return subprocess.run(
        [python, "-m", "snakemake", *arguments, "--configfile", repository / "config/smoke.yaml"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize("how", ["--snakefile", "--directory"])
def test_results_lie_where_one_runs_and_the_workflows_own_files_are_found(
    repository, tmp_path, how
):
    where = [how, repository / "Snakefile" if how == "--snakefile" else tmp_path]
    folder = tmp_path if how == "--snakefile" else repository
    target = [f"results-smoke/{SPLITS}", *where]
    done = run(sys.executable, repository, folder, *target)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "results-smoke" / SPLITS).exists()
    whole = run(sys.executable, repository, folder, *where, "--dry-run")
    assert re.search(r"^total +\d\d$", whole.stdout, re.MULTILINE), whole.stdout
    (tmp_path / "config.yaml").write_text("datasets: 3\n")  # one of their own takes its place
    own = run(sys.executable, repository, folder, *where, "--dry-run")
    assert "config: `datasets`: input should be a valid list" in own.stdout


def test_a_clone_and_its_python_in_a_folder_with_blanks_and_quotes(tmp_path):
    folder = copy_repository(tmp_path / "my clone (1) & it's")
    venv.create(folder / ".venv", with_pip=False)
    site = next((folder / ".venv/lib").glob("python*/site-packages"))
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    results = "a b/it's"
    arguments = [f"{results}/{SPLITS}", "--config", f"results={results}"]
    done = run(folder / ".venv/bin/python", folder, folder, *arguments)
    assert done.returncode == 0, done.stdout
    assert (folder / results / SPLITS).exists()


@pytest.mark.parametrize("written", ["mine/", "./a/..//mine"])
def test_a_results_folder_written_otherwise_is_the_same(repository, written):
    settings = ["--config", f"results={written}"]
    output = snakemake(repository, f"mine/{SPLITS}", *settings).stdout
    assert "double '/'" not in output
    assert "unnecessary" not in output
    assert planned(repository, [f"mine/{SPLITS}", *settings]) == []


@pytest.mark.parametrize(
    ("ratios", "limit"),
    [("[0.1,0.95]", 400), ("[0.1]", 40)],
    ids=["one ratio of two", "classes of one image"],
)
def test_a_class_that_keeps_no_image_is_told_before_anything_is_trained(repository, ratios, limit):
    settings = ["--config", f"forget_ratios={ratios}", "results=few"]
    settings += [f"data={{'limit': {limit}, 'image_size': 32}}", "methods=['original','retrain']"]
    done = snakemake(repository, *settings, check=False)
    assert re.search(r"^rule split_dataset: forget ratio \S+ takes", done.stdout, re.MULTILINE)
    assert done.returncode != 0
    assert not list((repository / "few").rglob("*.safetensors"))


def test_every_rule_says_what_it_is_for(repository):
    listed = snakemake(repository, "--list-rules").stdout
    rules = re.findall(r"^(\w+)(?: \((.+)\.\))?$", listed, re.MULTILINE)
    assert len(rules) > 28
    assert [name for name, text in rules if not text] == []
    assert len({text for _, text in rules}) == len(rules)
