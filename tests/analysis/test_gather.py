"""Gathering the tables of single jobs: every cell once, and nothing else."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from remibench.analysis.gather import join
from remibench.artifacts import paths
from remibench.artifacts.tables import save_table, write_csv
from remibench.errors import RemibenchError

RATIOS = (0.1, 0.25)
ROWS = [
    {"forget_ratio": ratio, "subset": subset, "metric": "accuracy", "value": value}
    for ratio in RATIOS
    for subset, value in (("forget", 0.5), ("test", 0.75))
]
HISTORY = [{"epoch": epoch, "loss": 1 / epoch} for epoch in (1, 2)]


def evaluations(tree, rows=ROWS):
    """Evaluations of two seeds; their rows differ in the seed."""
    pattern = str(tree / paths.ARTIFACTS["metrics"])
    files = [
        pattern.format(dataset="fmnist", architecture="cnn", seed=seed, method="fisher")
        for seed in range(2)
    ]
    for file in files:
        save_table(file, rows)
    return files


def test_the_rows_of_all_cells_are_joined_in_order_without_what_files_say_of_themselves(tmp_path):
    table = join(evaluations(tmp_path), RATIOS)
    expected = [
        {"dataset": "fmnist", "architecture": "cnn", "seed": seed, "method": "fisher", **row}
        for seed in range(2)
        for row in ROWS
    ]
    pd.testing.assert_frame_equal(table, pd.DataFrame(expected), check_dtype=False)


FAULTS = {
    "empty": (lambda lines: lines[:1], r"it has no rows"),
    "of nothing": (lambda lines: [], r"its last line is cut off|No columns"),
    "doubled": (
        lambda lines: lines + lines[1:],
        "two rows where one is expected: 0.1 forget accur",
    ),
    "a row doubled": (lambda lines: [*lines, lines[2]], "two rows .*: 0.1 test accuracy"),
    "a row with two values": (
        lambda lines: [*lines, lines[2].replace("0.75", "0.7")],
        "two rows .*: 0.1 test accuracy",
    ),
    "a ratio missing": (lambda lines: lines[:3], r"forget ratios \[0\.1\], expected \[0\.1, 0\.25"),
    "a ratio too many": (
        lambda lines: [*lines, lines[1].replace("0.1", "0.5")],
        r"forget ratios \[0\.1, 0\.25, 0\.5\], expected",
    ),
    "another seed's row": (
        lambda lines: [*lines, lines[1].replace(",1,", ",0,").replace("forget", "retain")],
        "it has rows of metrics fmnist cnn 0 fisher, expected metrics fmnist cnn 1 fisher",
    ),
    "another method's row": (
        lambda lines: [*lines, lines[1].replace("fisher", "retrain")],
        "it has rows of metrics fmnist cnn 1 retrain, expected metrics fmnist cnn 1 fisher",
    ),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_is_not_its_cell_once_is_named(tmp_path, change, message):
    files = evaluations(tmp_path)
    text = Path(files[1]).read_text().replace(" rows=4", "")  # as written by earlier versions
    lines = change(text.splitlines())
    Path(files[1]).write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(RemibenchError, match=rf"cannot read {re.escape(files[1])}: .*({message})"):
        join(files, RATIOS)


@pytest.mark.parametrize(
    ("change", "count"),
    [
        (lambda lines: lines[:-1], 3),
        (lambda lines: lines[:-2], 2),  # all of one forget ratio
        (lambda lines: lines[:2], 1),
        (lambda lines: [lines[0], *lines[2:]], 3),
        (lambda lines: [*lines, lines[1].replace("forget", "retain")], 5),
    ],
    ids=["a line cut", "two lines cut", "one left", "a line within", "a line more"],
)
@pytest.mark.parametrize("ratios", [None, RATIOS])
def test_a_file_that_is_cut_at_the_end_of_a_line_is_named(tmp_path, change, count, ratios):
    files = evaluations(tmp_path)
    lines = change(Path(files[1]).read_text().splitlines())
    Path(files[1]).write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(RemibenchError, match=f"{count} rows where 4 were written"):
        join(files, ratios)


def test_a_missing_file_is_named(tmp_path):
    files = evaluations(tmp_path)
    missing = files[0].replace("fisher", "retrain")
    with pytest.raises(RemibenchError, match=rf"{re.escape(missing)}: no such file"):
        join([*files, missing], RATIOS)


def test_a_file_given_twice_is_named(tmp_path):
    files = evaluations(tmp_path)
    with pytest.raises(RemibenchError, match=rf"{re.escape(files[0])}: it is gathered twice"):
        join([*files, files[0]], RATIOS)


def test_the_numbers_of_another_seed_copied_over_a_seeds_are_refused(tmp_path):
    files = evaluations(tmp_path)
    shutil.copyfile(files[1], files[0])
    with pytest.raises(RemibenchError, match=r"0/fisher\.csv: it has rows of metrics .* 1 fisher"):
        join(files, RATIOS)


@pytest.mark.parametrize(
    ("name", "rows", "twice"),
    [
        ("unlearning_history", HISTORY, "two rows where one is expected: 2 0.1"),
        ("training_history", HISTORY, "two rows where one is expected: 2"),
        ("attack_quality", [{"auc": 0.5}], "two rows where one is expected"),
    ],
)
def test_other_tables_have_each_row_once_too(tmp_path, name, rows, twice):
    axes = {"dataset": "fmnist", "architecture": "cnn", "seed": "0", "role": "shadow"}
    axes |= {"method": "fisher", "ratio": "0.1", "adversary": "mf", "attack": "whitebox"}
    file = str(tmp_path / paths.ARTIFACTS[name].format(**axes))
    save_table(file, rows)
    assert len(join([file])) == len(rows)
    save_table(file, [*rows, rows[-1]])
    with pytest.raises(RemibenchError, match=twice):
        join([file])


def test_tables_that_are_of_no_single_job_need_not_state_what_they_are(tmp_path):
    write_csv(tmp_path / "evaluation.csv", pd.DataFrame(ROWS))
    assert len(join([str(tmp_path / "evaluation.csv")])) == len(ROWS)
