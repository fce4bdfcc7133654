"""A results tree as a folder of the documentation, and its page."""

import json
import os
import shutil
from importlib import import_module
from io import StringIO

import pandas as pd
import pytest
import yaml
from support.smoke import ROOT
from support.variants import name_variants

from remibench.analysis.readings import judge_readings
from remibench.analysis.results import Results, read_numbers
from remibench.analysis.search import choose_candidates, describe_choice
from remibench.artifacts.tables import TEXT, load_table
from remibench.cli import main
from remibench.components.plugins import activate, plugin_files
from remibench.components.registry import module_name
from remibench.errors import RemibenchError
from remibench.reporting import scorecard
from remibench.reporting.beyond import comparisons, stopping
from remibench.sharing.publish import (
    BEGIN,
    END,
    PAGE,
    UNWRITTEN,
    page,
    publish,
    summarise_benchmarks,
    write_page,
)

PUBLISHED = ROOT / "docs" / "results"
DEFAULT = PUBLISHED / "default"


@pytest.fixture
def tree(tmp_path):
    """A copy of the committed default grid, with what a run has besides."""
    folder = shutil.copytree(DEFAULT, tmp_path / "results")
    (folder / "benchmarks.csv").unlink()  # publishing makes it
    made = (folder / "evaluation.csv").stat().st_mtime - 10
    for name, content in {
        "models/fmnist_embedded/cnn/0/target.safetensors": "weights",
        "evaluation/fmnist_embedded/cnn/0/retrain.csv": "a,b\n",
        "tables/left_by_an_editor.bak": "x",
        "logs/train_model/target.log": "/home/somebody",
        ".snakemake_timestamp": "",
        "benchmarks/unlearn/a.tsv": "s\tmax_rss\n1800\t400.4\n",
        "benchmarks/unlearn/b/c.tsv": "s\tmax_rss\n900\t-\n",
        "benchmarks/evaluate/a.tsv": "s\tmax_rss\n90\t700\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        os.utime(path, (made, made))
    return folder


MADE = sorted(path.parent for path in PUBLISHED.glob(f"*/{PAGE}") if BEGIN in path.read_text())


@pytest.mark.parametrize("folder", MADE, ids=lambda path: path.name)
def test_every_committed_page_is_made_from_the_files_beside_it(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / folder.name)
    write_page(copy)
    assert (copy / PAGE).read_bytes() == (folder / PAGE).read_bytes()


def products(folder):
    """Every CSV file that is made of a published folder's, by its path, and how."""
    results = Results.of_tree(folder)
    for path in sorted((folder / "tables").glob("*.csv")):
        yield path, import_module(module_name("reporting", path.stem)).build(results)
    card = scorecard.build(results)
    yield folder / "scorecard/scorecard.csv", card
    yield folder / "scorecard/counts.csv", scorecard.count(card)
    yield folder / "statistics/comparisons.csv", comparisons.build(results)
    yield folder / "statistics/rates.csv", comparisons.build_rates(results)


def assert_same(table, path):
    made = pd.read_csv(StringIO(table.to_csv(index=False)))
    pd.testing.assert_frame_equal(made, pd.read_csv(path), obj=str(path), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("folder", MADE, ids=lambda path: path.name)
def test_every_committed_product_is_what_the_code_makes_of_the_files_beside_it(folder):
    """If it fails after a change that is meant: docs/sharing.md has the commands."""
    for path, table in products(folder):
        assert_same(table, path)


def test_the_committed_comparison_of_the_stopping_rule_is_that_of_its_two_trees():
    trees = [Results.of_tree(PUBLISHED / name) for name in ("all_methods", "remi_never_stops")]
    assert_same(stopping.build(*trees), PUBLISHED / "all_methods/stopping/stopping.csv")


@pytest.mark.parametrize("name", ["study_remi", "study_resnet18"])
def test_the_committed_judgement_of_readings_is_that_of_the_committed_numbers(name):
    folder = PUBLISHED / name
    names = load_table(folder / "datasets.csv", TEXT).set_index("dataset")["paper_dataset"]
    # Committed under the names of an earlier version, which held the values.
    rows, candidates = name_variants(load_table(folder / "evaluation.csv", TEXT))
    readings = judge_readings(rows, candidates, read_numbers(), names)
    assert_same(readings, folder / "readings.csv")


def test_the_committed_choice_of_parameters_is_that_of_the_committed_trials():
    folder = PUBLISHED / "tune"
    names = load_table(folder / "datasets.csv", TEXT).set_index("dataset")["paper_dataset"]
    trials = load_table(folder / "trials.csv", TEXT | {"candidate"}).fillna({"candidate": ""})
    texts = trials["method"] + ("," + trials["candidate"]).where(trials["candidate"] != "", "")
    named, candidates = name_variants(pd.DataFrame({"method": texts}))
    trials = trials.assign(variant=named["method"])
    chosen = choose_candidates(trials, candidates)
    table = describe_choice(trials, chosen, read_numbers(), names)
    assert_same(table, folder / "table2_hyperparameters.csv")


def test_every_committed_tree_with_an_evaluation_is_among_those_that_are_compared():
    trees = {path.parent for path in PUBLISHED.glob("*/evaluation.csv")}
    assert trees - set(MADE) == {PUBLISHED / "study_remi", PUBLISHED / "study_resnet18"}


def test_the_default_grids_page_is_among_those_that_are_made():
    assert DEFAULT in MADE


def test_what_was_compared_across_seeds_is_published_where_it_was(tree, tmp_path):
    target = tmp_path / "x"
    (tree / "across_seeds.csv").write_text("value\n1\n")
    (tree / "across_seeds" / "fmnist_embedded").mkdir(parents=True)
    (tree / "across_seeds" / "fmnist_embedded" / "fisher.csv").write_text("value\n1\n")
    done = publish(tree, target)
    assert (target / "across_seeds.csv").read_text() == "value\n1\n"
    assert "[across_seeds.csv](across_seeds.csv)" in lines(target, "| [across_seeds.csv]")
    assert done.left_out["across_seeds"] == 1
    (tree / "across_seeds.csv").unlink()
    publish(tree, target)  # of a run that no longer compares
    assert not (target / "across_seeds.csv").exists()


def test_what_belongs_is_copied_and_the_rest_is_counted(tree, tmp_path):
    target = tmp_path / "docs" / "default"
    done = publish(tree, target)
    committed = {p.relative_to(DEFAULT) for p in DEFAULT.rglob("*") if p.is_file()}
    committed = {path for path in committed if path.name != "benchmarks.csv"}  # here made up
    copied = {p.relative_to(target) for p in target.rglob("*") if p.is_file()}
    assert {str(path) for path in copied ^ committed} == {"benchmarks.csv"}
    for path in committed:
        if path.name != PAGE:
            assert (target / path).read_bytes() == (DEFAULT / path).read_bytes(), path
    assert done.files == len(copied) - 1
    left = {"models": 1, "evaluation": 1, "logs": 1, "tables": 1, "benchmarks": 3, PAGE: 1}
    assert done.left_out == left
    assert "models (1)" in str(done)


def test_hours_are_summed_by_rule(tree, tmp_path):
    table = summarise_benchmarks(tree / "benchmarks").set_index("rule")
    assert table.index.tolist() == ["unlearn", "evaluate"]
    assert table.loc["unlearn"].tolist() == [2, 0.75, 30, 400]
    assert table.loc["evaluate"].tolist() == [1, 0.025, 1.5, 700]
    publish(tree, tmp_path / "x")
    assert "0.78 of one core: unlearn 0.75 (2 jobs), evaluate 0.03 (1 jobs)" in lines(
        tmp_path / "x", "| Hours"
    )
    assert summarise_benchmarks(tree / "none").empty


def lines(folder, start):
    text = (folder / PAGE).read_text()
    return "\n".join(line for line in text.splitlines() if line.startswith(start))


def test_what_is_written_by_hand_survives(tree, tmp_path):
    target = tmp_path / "x"
    publish(tree, target)
    assert UNWRITTEN in (target / PAGE).read_text()
    mine = "Why **ours** is lower:\n\n- noise | all of it"
    text = (target / PAGE).read_text().replace(UNWRITTEN, mine)
    text = text.replace("# Results: x\n", "# What noise does to *ours*\n", 1)
    (target / PAGE).write_text(text)
    (target / "tables" / "no_longer_made.csv").write_text("a\n")
    (target / "of_somebody_else.txt").write_text("b\n")
    publish(tree, target)
    assert (target / PAGE).read_text() == text
    assert text.startswith("# What noise does")
    assert not (target / "tables" / "no_longer_made.csv").exists()
    assert (target / "of_somebody_else.txt").exists()


COMMANDS = {
    "publish": ("{tree}", "{out}"),
    "page": ("{tree}",),
    "stopping": ("{tree}", "{tree}", "{out}"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("named", ["{tree}/mine", "mine", "./mine", [1], [{"a": "b"}], "text", 3])
def test_plug_ins_that_a_tree_names_are_no_part_of_the_package(
    tree, tmp_path, monkeypatch, command, named, capsys
):
    """Their code would run: it takes a word of whoever runs the command."""
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tree):
        (folder / "mine/unlearning").mkdir(parents=True)
        (folder / "mine/unlearning/theirs.py").write_text("raise SystemExit('it ran')\n")
    settings = yaml.safe_load((tree / "config.yaml").read_text())
    listed = isinstance(named, str) and named != "text"
    settings["plugins"] = [named.format(tree=tree)] if listed else named
    (tree / "config.yaml").write_text(yaml.safe_dump(settings))
    words = [word.format(tree=tree, out=tmp_path / "out") for word in COMMANDS[command]]
    before = {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()}
    assert main([command, *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{tree}/config.yaml names the plug-ins ")
    assert error.count("\n") == 1
    assert plugin_files() == {}
    assert not (tmp_path / "out").exists()
    assert {path: path.read_bytes() for path in tree.rglob("*") if path.is_file()} == before
    assert main([command, *words, "--plugins", str(tmp_path)]) == 2  # another folder


def test_plug_ins_that_are_trusted_are(tree, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/unlearning").mkdir(parents=True)
    (tmp_path / "mine/unlearning/theirs.py").write_text("LABEL = 'Theirs'\n")
    text = (tree / "config.yaml").read_text()
    (tree / "config.yaml").write_text(text.replace("plugins: []", "plugins: [mine]"))
    for command, words in COMMANDS.items():
        if command != "stopping":  # which compares two trees
            given = [word.format(tree=tree, out=tmp_path / "out") for word in words]
            assert main([command, *given, "--plugins", str(tmp_path / "mine")]) == 0
            assert list(plugin_files()) == ["remibench.unlearning.theirs"]
    activate([])


@pytest.mark.parametrize("text", ["# A page\n", f"{BEGIN}\n", f"{BEGIN}{END}{BEGIN}{END}"])
def test_a_page_without_its_block_is_not_overwritten(text, tree, tmp_path):
    target = tmp_path / "x"
    target.mkdir()
    (target / PAGE).write_text(text)
    with pytest.raises(RemibenchError, match="has no block between"):
        publish(tree, target)
    assert [path.name for path in target.iterdir()] == [PAGE]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("summary.txt", "made in {home}/runs", "{home}"),
        ("tables/table1_dataset_statistics.tex", "% {tree}", "{tree}"),
        ("config.yaml", "data:\n  search_path: [data, /mnt/images]\n", "/mnt/images"),
        ("config.yaml", "results: '~/results'\n", "~/results"),
        ("provenance.json", json.dumps({"python": "/opt/python"}), "/opt/python"),
    ],
)
def test_no_folder_of_the_machine_is_published(name, text, named, tree, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    places = {"home": "/home/somebody", "tree": str(tree)}
    path = tree / name
    for name, place in places.items():
        text, named = (part.replace(f"{{{name}}}", place) for part in (text, named))
    path.write_text(path.read_text() + text if path.suffix != ".json" else text)
    with pytest.raises(RemibenchError, match=f"{path.name} names {named}, a"):
        publish(tree, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_half_a_run_is_refused_in_one_line(tree, tmp_path, capsys):
    (tree / "histories.csv").unlink()
    assert main(["publish", str(tree), str(tmp_path / "x")]) == 2
    error = capsys.readouterr().err
    assert "is not finished: it has no histories.csv" in error
    assert len(error.splitlines()) == 1


def test_the_page_has_the_papers_number_ours_and_the_difference():
    rows = pd.read_csv(DEFAULT / "evaluation.csv")
    rows = rows[
        (rows["method"] == "remi_whitebox")
        & (rows["forget_ratio"] == 0.1)
        & (rows["subset"] == "forget")
        & (rows["metric"] == "mia_whitebox_rate")
    ]["value"]
    text = page(DEFAULT)
    quantity = "| 10% | white-box MIA rate on forget, after | other data | share |"
    assert f"{quantity} 0.365 | {rows.mean():.3f} |" in text
    assert f"| {rows.mean() - 0.365:+.3f} | {len(rows)} |" in text
    assert "46 of its 452 numbers" in text
    scores = pd.read_csv(DEFAULT / "scorecard/scorecard.csv", keep_default_na=False, na_values=[""])
    here = scores["dataset"].isin(["fmnist"]) | scores["dataset"].isna()
    here &= scores["architecture"].isin(["cnn"]) | scores["architecture"].isna()
    assert here.sum() == 46
    unrun = (here & scores["ours"].isna()).sum()
    assert f"{unrun} of them were not run" in text
    assert "| 25% |" not in text
    paper = pd.read_csv(ROOT / "paper/table3_classification_accuracy.csv")
    mine = paper[(paper["dataset"] == "fmnist") & (paper["architecture"] == "cnn")]
    for number in mine["accuracy_pct"]:
        assert f"| % | {number:.1f} | " in text


def test_the_command_makes_a_page_anew(tree, tmp_path, capsys):
    target = tmp_path / "x"
    main(["publish", str(tree), str(target)])
    assert f"{target}: 51 files and README.md; write what" in capsys.readouterr().out
    before = (target / PAGE).read_bytes()
    (target / PAGE).write_text(f"{BEGIN}\n\n{UNWRITTEN}\n\n{END}\n")
    main(["page", str(target)])
    assert (target / PAGE).read_bytes() == before
