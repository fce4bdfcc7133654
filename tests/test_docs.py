"""The documentation: its templates are run as plug-ins, its numbers recomputed."""

import ast
import inspect
import json
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest
import yaml
from scipy.stats import binomtest
from support.smoke import copy_repository, planned, snakemake

from remibench.analysis.verdicts import NOT_DECIDED, judge_methods
from remibench.components.registry import methods

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEMPLATES = DOCS / "extend" / "templates"


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the repository, untouched, and beside it a folder of plug-ins: the templates."""
    folder = tmp_path_factory.mktemp("extended")
    repository = copy_repository(folder / "repository")
    shutil.copytree(TEMPLATES, folder / "mine")
    grid = yaml.safe_load((TEMPLATES / "grid.yaml").read_text()) | {"plugins": ["../mine"]}
    (folder / "grid.yaml").write_text(yaml.safe_dump(grid))
    return repository


CONFIGS = ("config/smoke.yaml", "../grid.yaml")


def test_the_templates_pass_the_contract_tests_and_their_own():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tests = ["tests/components/test_contracts.py", TEMPLATES / "tests", "--plugins", TEMPLATES]
    done = subprocess.run([*command, *tests], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout  # a template of every kind
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20, done.stdout


def test_templates_alone_appear_in_every_table_and_figure(extended):
    """One run with all of them: the smoke grid of the new dataset and architecture."""
    tree = extended / "results-templates"
    method = "head_retrain"
    tables = [  # that have a line or column for every method
        *("table2_hyperparameters", "table3_classification_accuracy", "table4_whitebox_mia"),
        *("table5_latency", "table6_cross_method", "table_gaps", "table_verdicts"),
        "table_calibration",
    ]
    figures = ["figure02_attack_accuracy", "figure04_efficacy", "figure08_mia_before_after"]
    figures += ["figure11_blackbox_mia", "figure_gaps", "figure_verdicts", "figure_test_accuracy"]
    targets = ["results-templates/provenance.json"]
    targets += [f"results-templates/tables/{name}.csv" for name in tables]
    targets += [f"results-templates/figures/{name}.svg" for name in figures]
    snakemake(extended, *targets, "--cores", "2", config=CONFIGS)
    for name in tables:
        assert method in set(pd.read_csv(tree / f"tables/{name}.csv")["method"]), name
        assert "Last layer" in (tree / f"tables/{name}.html").read_text(), name
    attacks, *others = ((tree / f"figures/{name}.svg").read_text() for name in figures)
    assert "MIA, threshold" in attacks
    for figure in others:
        assert "Last layer" in figure
        assert "#c2b280" in figure
    rows = pd.read_csv(tree / "evaluation.csv")
    assert set(rows["dataset"]) == {"digits"}
    assert set(rows["architecture"]) == {"mlp"}
    assert {"calibration_error", "mia_threshold_rate", "mf_threshold_auc"} <= set(rows["metric"])
    assert not rows["value"].isna().any()
    provenance = json.loads((tree / "provenance.json").read_text())["plugins"]
    assert "../mine/unlearning/head_retrain.py" in provenance

    path = extended.parent / "mine/unlearning/head_retrain.py"
    path.write_text(path.read_text() + "\nEDITED = True\n")
    again = planned(extended, targets=["results-templates/evaluation.csv"], config=CONFIGS)
    assert sorted(rule for rule, _ in again) == ["evaluate", "gather", "unlearn"]
    assert {cell["method"] for rule, cell in again if rule != "gather"} == {method}


def test_every_template_is_shown_whole_on_a_page():
    pages = "\n".join(page.read_text() for page in (DOCS / "extend").glob("*.md"))
    shown = set(re.findall(r'^--8<-- "docs/extend/templates/(.+)"$', pages, flags=re.MULTILINE))
    files = (path for path in TEMPLATES.rglob("*.*") if "__pycache__" not in path.parts)
    assert shown == {str(path.relative_to(TEMPLATES)) for path in files}


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


def test_search_needs_no_file_of_the_network():
    """The offline plugin loads its script from a server unless the site has it."""
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert "offline" in settings["plugins"]
    (script,) = settings["extra"]["polyfills"]
    assert "iframe-worker" in script  # by this name the plugin finds it
    assert "window.Worker" in (DOCS / script).read_text()


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
    low, high = binomtest(20, 40).proportion_ci()  # the exact one, and widest at one half
    assert f"up to ± {50 * (high - low):.0f} points" in observations
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


COMMANDS = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("config*/*.yaml")]


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_command_has_a_pattern_that_a_shell_would_expand(path):
    """Zsh refuses ``seeds=[0]`` without quotes, and bash takes ``[!.]*`` as it pleases."""
    for line in path.read_text().splitlines():
        if not re.match(r"\W*(`[^|]*)?(snakemake|pip|make|remibench) ", line):
            continue
        unquoted = re.sub(r"'[^']*'|\"[^\"]*\"|`[^`]*$|\s#.*", "", line)
        assert not re.search(r"=[\[{]|\w\[\w", unquoted), line


def test_how_many_seeds_decide_is_what_the_verdicts_of_the_first_seeds_say():
    rows = pd.read_csv(DOCS / "results/all_methods/evaluation.csv")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    rows = rows[rows["method"].isin(config["methods"])]
    _, table = (DOCS / "statistics.md").read_text().split("| first seeds |")
    seeds, _, decided = (re.findall(r"\b\d+\b", line) for line in table.splitlines()[:3])
    of, *decided = map(int, decided)
    assert of == len(config["methods"]) - 1
    for count, said in zip(map(int, seeds), decided, strict=True):
        verdicts = judge_methods(rows[rows["seed"] < count])["verdict"]
        assert (verdicts != NOT_DECIDED).sum() == said, count
    fewest = next(count for count, said in zip(map(int, seeds), decided, strict=True) if said == of)
    assert len(config["seeds"]) == fewest
    verdicts = judge_methods(pd.read_csv(DOCS / "results/default/evaluation.csv"))
    verdicts = verdicts[verdicts["method"].isin(config["methods"])]["verdict"]
    assert len(verdicts) == of
    assert (verdicts != NOT_DECIDED).all()


def test_what_is_left_to_forget_with_attacks_on_predictions_is_in_its_search():
    folder = DOCS / "results/tune_predictions"
    page = (folder / "README.md").read_text()
    rows = pd.read_csv(folder / "reference.csv")
    rows = rows[rows["subset"] == "forget"].groupby(["metric", "method"])["value"].mean()
    assert f"{100 * rows['accuracy', 'retrain']:.1f} %" in page
    rates = [f"{rows['mia_whitebox_rate', name]:.3f}"[1:] for name in ("original", "retrain")]
    assert f"| {', '.join(rates)} |" in page
    former = pd.read_csv(DOCS / "results/tune/trials.csv")
    former = former[(former["method"] == "original") & (former["forget_ratio"] == 0.1)]
    points, rate, gap = former[["accuracy_forget", "mia_whitebox_rate_forget", "gap"]].iloc[0]
    said = f"| target − {100 * points:.1f} points | target − {rate:.3f} | {gap:.3f} |"
    assert said.replace("0.", ".") in page
    trials = pd.read_csv(folder / "trials.csv").set_index("method")
    gap = trials["gap"].groupby(level=0).min()
    assert gap["remi_whitebox"] == gap["original"]
    assert (trials.loc["remi_whitebox", "gap"] == gap["original"]).sum() == 3
    protocol = (DOCS / "protocol.md").read_text()
    for name in ("original", "remi_blackbox", "fisher"):
        assert f"{gap[name]:.3f}"[1:] in page
    assert f"{gap['original']:.3f}"[1:] in protocol


def test_the_parameters_of_every_method_are_listed_by_their_names():
    table = (DOCS / "methods.md").read_text().split("### Parameters")[1].split("\n\n")[2]
    lines = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    listed = {
        name: re.findall(r"`(\w+)`", parameters)
        for names, parameters in lines
        for name in re.findall(r"`(\w+)`", names)
    }
    assert listed == {
        name: [
            parameter.name
            for parameter in inspect.signature(
                import_module(f"remibench.unlearning.{spec.module}").unlearn
            ).parameters.values()
            if parameter.kind is parameter.KEYWORD_ONLY
        ]
        for name, spec in methods().items()
    }
