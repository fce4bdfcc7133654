"""The documentation: its examples are put into a copy and tested, its numbers recomputed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from smoke import copy_repository

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "extend" / "examples"
PLACES = {  # example → the folder of the package that it goes to
    "calibration": "metrics",
    "digits": "data",
    "figure_test_accuracy": "reporting",
    "head_retrain": "unlearning",
    "mlp": "models",
    "threshold": "attacks",
}
CONTRACTS = {  # what the built-in ones are tested for: file → selected tests, over the registries
    "test_config.py": "schema or described or method_has",
    "test_data.py": "describes_itself",
    "test_models.py": "mlp",
    "test_reporting.py": "label_and_a_colour",
    "test_unlearning.py": "every_configured_method",
}
GRID = {  # the smoke grid, of the new ones
    "results": "results-extended",
    "datasets": ["digits"],
    "architectures": ["mlp"],
    "methods": ["original", "retrain", "head_retrain"],
    "metrics": ["accuracy", "calibration", "cost", "efficacy", "membership"],
}


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the repository with every example in its place, as its page says."""
    folder = copy_repository(tmp_path_factory.mktemp("extended"))
    for name, package in PLACES.items():
        shutil.copy2(EXAMPLES / f"{name}.py", folder / "remibench" / package)
        shutil.copy2(EXAMPLES / f"test_{name}.py", folder / "tests")
        if (entries := EXAMPLES / f"{name}.diff").exists():
            done = run(["git", "apply", "-C1", "--verbose", entries], folder)
            assert done.returncode == 0, f"{entries.name} no longer fits:\n{done.stdout}"
    shutil.copy2(EXAMPLES / "figure_test_accuracy.rst", folder / "workflow" / "report")
    schema = run([sys.executable, "-m", "remibench.config"], folder).stdout
    (folder / "workflow/schemas/config.schema.json").write_text(schema, encoding="utf-8")
    (folder / "config" / "extended.yaml").write_text(yaml.safe_dump(GRID))
    return folder


def run(command, folder):
    """Run a command in a copy, with the copy's package; return it with joined output."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def snakemake(folder, *arguments, config="config/extended.yaml"):
    configs = ["config/smoke.yaml", config]
    command = [sys.executable, "-m", "snakemake", *arguments, "--configfile", *configs]
    done = run(command, folder)
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_examples_pass_their_own_tests_and_the_contracts_of_the_built_in_ones(extended):
    own = [f"tests/test_{name}.py" for name in PLACES]
    contracts = [f"tests/{name}" for name in CONTRACTS]
    selected = " or ".join(
        [
            *(f"test_{name}.py" for name in PLACES),
            *(f"({name} and ({tests}))" for name, tests in CONTRACTS.items()),
        ]
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", selected]
    done = run([*command, *own, *contracts], extended)
    assert done.returncode == 0, done.stdout
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 30, done.stdout


def test_the_workflow_knows_the_examples(extended):
    output = snakemake(extended, "--dry-run")
    for artifact in (
        "models/digits/mlp/0/target.safetensors",
        "attacks/digits/mlp/0/mia_threshold.safetensors",
        "unlearned/digits/mlp/0/head_retrain/0.1.safetensors",
        "figures/figure_test_accuracy.svg",
    ):
        assert f"results-extended/{artifact}" in output


def test_the_examples_config_runs_every_method_on_the_new_dataset(extended):
    output = snakemake(extended, "--dry-run", config=EXAMPLES / "digits.yaml")
    for method in ("retrain", "fisher", "remi_whitebox", "remi_blackbox"):
        assert f"results-digits/unlearned/digits/cnn/0/{method}/0.1.safetensors" in output


@pytest.mark.slow
def test_the_workflow_runs_the_examples(extended):
    snakemake(extended, "--cores", "2")
    table = pd.read_csv(extended / "results-extended" / "evaluation.csv")
    assert set(table["method"]) == set(GRID["methods"])
    assert {"calibration_error", "mia_threshold_rate", "mf_threshold_auc"} <= set(table["metric"])
    assert not table["value"].isna().any()


def test_every_example_is_shown_whole_on_a_page():
    pages = "\n".join(page.read_text() for page in (DOCS / "extend").glob("*.md"))
    shown = set(re.findall(r'^--8<-- "docs/extend/examples/(.+)"$', pages, flags=re.MULTILINE))
    assert shown == {path.name for path in EXAMPLES.iterdir() if path.is_file()}


def test_every_page_is_in_the_navigation():
    """Except those that others maintain and that may not be there yet."""

    def pages(entry):
        if isinstance(entry, str):
            yield entry
        else:
            for child in entry if isinstance(entry, list) else entry.values():
                yield from pages(child)

    listed = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}


def test_no_page_needs_the_network_or_a_file_outside_docs():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            assert "://" not in target, f"{page}: {target}"
            path = target.partition("#")[0]
            if path:
                resolved = (page.parent / path).resolve()
                assert resolved.exists(), f"{page}: {target}"
                assert resolved.is_relative_to(DOCS), f"{page}: {target}"


def literals(path):
    """All string literals of a module, with … for what is filled in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]  # noqa: PD011 - not pandas
            yield "".join(parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_message_in_troubleshooting_is_one_of_the_code():
    source = "\n".join(text for path in ROOT.glob("remibench/**/*.py") for text in literals(path))
    source += (ROOT / "workflow/rules/common.smk").read_text()
    page = (DOCS / "troubleshooting.md").read_text()
    messages = re.findall(r"^### `+ ?(.+?) ?`+$", page, flags=re.MULTILINE)
    assert len(messages) > 15
    for message in messages:
        for part in filter(None, map(str.strip, message.split("…"))):
            assert part in source, f"no message of the code says {part!r}"


@pytest.fixture(scope="module")
def paper():
    return {path.stem: pd.read_csv(path) for path in (ROOT / "paper").glob("*.csv")}


@pytest.fixture(scope="module")
def observations():
    return " ".join((DOCS / "published_numbers.md").read_text().split())


def test_the_papers_grid_has_four_times_eighty_targets(paper, observations):
    cells = paper["table4_whitebox_mia_accuracy"][["dataset", "architecture"]].drop_duplicates()
    config = yaml.safe_load((ROOT / "config/paper.yaml").read_text())
    seeds = len(config["seeds"])
    per_dataset = len(config["architectures"]) * seeds
    assert (per_dataset, len(cells) * seeds) == (80, 320)
    assert "4 architectures × 20 seeds = 80" in observations
    assert "4 datasets × 80 = 320" in observations


def test_table_6_has_multiples_of_one_fortieth_alone(paper, observations):
    table = paper["table6_cross_method"]
    shares = table[["attack_accuracy_before_pct", "attack_accuracy_after_pct"]].to_numpy() / 100

    def whole(n):
        return bool((abs(shares * n - (shares * n).round()) < 1e-9).all())

    assert [n for n in range(1, 100) if whole(n)] == [40, 80]
    assert shares.size == 16
    half = 1.96 * (0.5 * 0.5 / 40) ** 0.5
    assert f"± {100 * half:.0f} points" in observations
    assert "sixteen" in observations


def test_table_5s_speed_up_is_a_ratio_of_means(paper, observations):
    table = paper["table5_latency_seconds"]
    ratios = table["retraining_s"] / table["remi_total_s"]
    share = table["remi_attack_loss_s"] / table["remi_total_s"]
    of_means = table["retraining_s"].mean() / table["remi_total_s"].mean()
    for text in (
        f"{table['remi_total_s'].mean():.0f} s",
        f"{table['retraining_s'].mean():.0f} s",
        f"{of_means:.2f}×",
        f"median {ratios.median():.1f}×",
        f"mean {ratios.mean():.1f}×",
        f"from {ratios.min():.2f}× to {ratios.max():.0f}×",
        f"{100 * share.min():.0f} to {100 * share.max():.0f} %",
    ):
        assert text in observations
    assert f"{of_means:.2f}" == "3.48"
    assert (ratios < 1).sum() == 1
    assert len(ratios) == 16


def test_the_text_on_fashion_mnist_quotes_a_cell_of_utkface(paper, observations):
    table = paper["table4_whitebox_mia_accuracy"]
    after = table[(table["phase"] == "after") & (table["forget_ratio"] == 0.5)]
    rates = after.set_index(["dataset", "architecture"])["mia_accuracy"]
    assert rates["utkface", "xception"] == 0.039
    assert not (rates["fmnist"] == 0.039).any()
    for architecture in ("xception", "resnet18", "cnn", "vgg19"):
        row = [rates[dataset, architecture] for dataset in ("fmnist", "utkface")]
        cells = " | ".join(f"{100 * rate:.1f} %" for rate in row)
        assert f"| {architecture} | {cells} |" in observations


def test_rates_of_zero_are_below_any_retrained_models(paper, observations):
    table = paper["table4_whitebox_mia_accuracy"]
    after = table[table["phase"] == "after"]["mia_accuracy"]
    assert f"{(after < 0.05).sum()} of {len(after)} cells are below 5 %" in observations
    assert f"{(after == 0).sum()} are exactly 0" in observations


def test_test_accuracies_are_printed_twice(paper, observations):
    table = paper["table3_classification_accuracy"]
    before = table[(table["subset"] == "test") & (table["phase"] == "before")]
    both = paper["figure1_test_accuracy"].merge(before, on=["dataset", "architecture"])
    gap = (both["test_accuracy_pct"] - both["accuracy_pct"]).abs()
    differ = f"{(gap > 0.05).sum()} of {len(gap)} differ, by up to {gap.max():.1f} points"
    assert differ in observations
