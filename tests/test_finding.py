"""The tables and the main sentences of docs/finding.md and docs/audit.md are what was run."""

import re
from pathlib import Path

import pandas as pd
import pytest

from remibench.analysis.results import Results
from remibench.reporting.beyond import table_audit

DOCS = Path(__file__).parents[1] / "docs"
COLUMN = Results.of_tree(DOCS / "results/fmnist_cnn_measured")
FORMER = Results.of_tree(DOCS / "results/fmnist_cnn")
AUDIT = Results.of_tree(DOCS / "results/audit")
PAGE = (DOCS / "finding.md").read_text(encoding="utf-8")
RATES = {"MIA": "mia_whitebox_rate", "calibrated": "calibrated_whitebox_rate"}
RATES["as published"] = "mia_whitebox_published_rate"
MODELS = {
    "target": "original",
    "retraining": "retrain",
    "control: temperature, for the paper's rate": "temperature_paper",
    "control: shift of all logits": "shift",
    "ReMI, guided by predictions": "remi_whitebox",
    "ReMI, guided by the published attack": "remi_whitebox_published",
    "ReMI, black-box": "remi_blackbox",
}


def tables(text):
    """The tables of a page in Markdown, as lists of rows of cells, without their rules."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    rows = [
        [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        for block in blocks
    ]
    return [[row for row in block if not set("".join(row)) <= set("|-: ")] for block in rows]


def mean(metric, method, ratio=0.1, subset="forget", results=COLUMN):
    table = results.summary(metric)
    keys = {"method": method, "forget_ratio": ratio, "subset": subset}
    return table[(table[list(keys)] == pd.Series(keys)).all(axis=1)]["mean"].item()


def seeds(metric, method, ratio=0.1, subset="forget"):
    rows = COLUMN.evaluation
    keys = {"metric": metric, "method": method, "forget_ratio": ratio, "subset": subset}
    return rows[(rows[list(keys)] == pd.Series(keys)).all(axis=1)].sort_values("seed")["value"]


def shares(values):
    return " / ".join(f"{value:.2f}".removeprefix("0") for value in values)


def percents(values):
    return " / ".join(f"{100 * value:.1f}" for value in values)


def share(value):
    return f"{value:.3f}".removeprefix("0")


def test_the_column_is_what_was_run():
    (table,) = [rows for rows in tables(PAGE) if rows[0][0] == "model"]
    found = {row[0]: row[1:] for row in table[1:]}
    for label, method in MODELS.items():
        rates = [shares(seeds(metric, method)) for metric in RATES.values()]
        accuracies = [
            percents(seeds("accuracy", method, subset=subset))
            for subset in ("forget", "retain", "test")
        ]
        assert found.pop(label) == [*rates, *accuracies], label
    paper = COLUMN.published[
        (COLUMN.published["dataset"] == "fmnist") & (COLUMN.published["architecture"] == "cnn")
    ]
    for label, method in (
        ("the paper, before ReMI", "original"),
        ("the paper, after ReMI", "remi_whitebox"),
    ):
        rows = paper[(paper["method"] == method) & (paper["forget_ratio"] == 0.1)]
        rate = rows[rows["table"] == "Table IV"]["value"].item()
        by_subset = rows[rows["table"] == "Table III"].set_index("subset")["value"]
        accuracies = [f"{by_subset[subset]:.1f}" for subset in ("forget", "retain", "test")]
        assert found.pop(label)[2:] == [share(rate), *accuracies]
    assert not found


def test_all_ratios_are_what_was_run():
    (table,) = [rows for rows in tables(PAGE) if rows[0][0] == ""]
    rows = [(row[0], row[1:]) for row in table[1:]]
    temperature, remi, published = "temperature_paper", "remi_whitebox", "remi_whitebox_published"
    expected = [
        None,
        ("MIA", temperature),
        ("calibrated", temperature),
        ("calibrated", "original"),
        ("calibrated", "retrain"),
        ("MIA", remi),
        ("calibrated", remi),
        ("as published", published),
        ("calibrated", published),
        ("MIA", "remi_blackbox"),
        ("calibrated", "remi_blackbox"),
    ]
    paper = COLUMN.published[
        (COLUMN.published["dataset"] == "fmnist")
        & (COLUMN.published["architecture"] == "cnn")
        & (COLUMN.published["table"] == "Table IV")
        & (COLUMN.published["method"] == "remi_whitebox")
    ].sort_values("forget_ratio")
    for (label, cells), key in zip(rows, expected, strict=True):
        if key is None:
            assert cells == [share(value) for value in paper["value"]]
        else:
            values = [seeds(RATES[key[0]], key[1], ratio) for ratio in COLUMN.ratios]
            assert cells == [shares(value) for value in values], label


def test_the_rest_of_the_page_is_what_was_run():
    text = " ".join(PAGE.split())
    accuracies = {
        results: [
            100 * mean("accuracy", "remi_whitebox", subset=subset, results=tree)
            for subset in ("forget", "retain", "test")
        ]
        for results, tree in (("measured", COLUMN), ("former", FORMER))
    }
    measured = " / ".join(f"{value:.1f}" for value in accuracies["measured"])
    former = " / ".join(f"{value:.1f}" for value in accuracies["former"])
    assert (
        f"is, on D_f, D_r and test images, {measured}, the mean over two seeds, and the paper has "
        "100 / 98.5 / 89.9"
    ) in text
    assert f"ended at {former}" in text
    apart = sum(
        abs(ours - paper)
        for ours, paper in zip(accuracies["measured"], (100, 98.5, 89.9), strict=True)
    )
    assert f"{apart / 3:.1f} points apart on average" in text
    on_test = mean("mia_whitebox_rate", "remi_whitebox", subset="test")
    assert f"near its rate on test images ({on_test:.2f}".replace("(0", "(") in text
    factors = COLUMN.histories.query("method == 'temperature_paper'")["factor"]
    assert f"({factors.min():.2f} to {factors.max():.2f} of".replace("0.", ".") in text
    assert f"and {100 * mean('accuracy', 'retrain', results=FORMER):.1f}% on those" in (
        text.replace(" %", "%")
    )
    ends = COLUMN.endings.query("method == 'remi_whitebox'")
    assert (ends["epoch"] == 60).all()
    assert (ends["met"] == 0).all()
    assert sorted(COLUMN.evaluation["seed"].unique()) == [0, 1]


def test_the_readme_says_the_same():
    text = " ".join((DOCS.parent / "README.md").read_text(encoding="utf-8").split())
    after, before, retrained = (
        shares(seeds(RATES["calibrated"], method)).replace(" / ", " and ")
        for method in ("remi_whitebox", "original", "retrain")
    )
    assert f"members is {after} after ReMI, {before} before, {retrained} after retraining" in text


@pytest.fixture(scope="module")
def audited():
    return table_audit.build(AUDIT)


def test_the_audit_is_what_was_run(audited):
    page = (DOCS / "audit.md").read_text(encoding="utf-8")
    (table,) = [rows for rows in tables(page) if rows[0][0] == "quantity"]
    layout = table_audit.layout(audited).drop(columns=["dataset", "architecture", "forget ratio"])
    layout.columns = [column.removeprefix("Control: ") for column in layout]
    assert table == [list(layout.columns), *map(list, layout.itertuples(index=False, name=None))]
    assert f"has all {len(audited)} rows" in page
    efficacy = audited[
        (audited["metric"] == "log10_efficacy") & (audited["control"] == "rescale_hidden")
    ].iloc[0]
    assert f"lowers log10 by {efficacy['target'] - efficacy['value']:.2f}" in page
    number = audited.set_index(["metric", "subset", "control"])

    def two(metric, control, column, subset="forget"):
        return f"{number.loc[(metric, subset, control), column]:.2f}".replace("0.", ".")

    published = "mia_whitebox_published_rate"
    text = " ".join(page.split())
    target, shifted, retrained, rescaled = (
        two(published, "shift", "target"),
        two(published, "shift", "value"),
        two(published, "shift", "retraining"),
        two(published, "rescale_hidden", "value"),
    )
    assert f"takes it from {target} to {shifted} on average, near retraining's {retrained}" in text
    assert f"Rescaling the hidden layer takes it to {rescaled}." in text
    tow = "tow_mia_whitebox"
    gives, has = (two(tow, "temperature", column, "") for column in ("value", "target"))
    assert f"gives the temperature {gives}, where 1 is retraining and the target has {has}" in text
    steps = [
        number.loc[("relearn_steps", "forget", "temperature"), each]
        for each in ("value", "retraining")
    ]
    assert "needs {:.0f} steps, retraining {:.0f}, the target none".format(*steps) in text
    images = AUDIT.evaluation.query("metric == 'images' and subset == 'forget'")["value"]
    assert f"forget set of {images.iloc[0]:.0f} images" in text
