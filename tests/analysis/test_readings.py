"""The judgement of ReMI's readings, on numbers small enough to judge by hand."""

from pathlib import Path

import pandas as pd
import pytest
from support.tasks import default_parameters
from support.variants import name_variants

from remibench.analysis.readings import (
    choose_reading,
    format_readings,
    judge_readings,
    paper_values,
)
from remibench.artifacts.tables import TEXT, load_table
from remibench.errors import RemibenchError
from remibench.reporting.render import to_markdown

ROOT = Path(__file__).parents[2]
PUBLISHED = {
    "table3_classification_accuracy": pd.DataFrame(
        [
            ("fmnist", "cnn", subset, phase, accuracy)
            for phase, values in {"before": (100, 100, 90), "after": (100, 98, 89)}.items()
            for subset, accuracy in zip(("forget", "retain", "test"), values, strict=True)
        ],
        columns=["dataset", "architecture", "subset", "phase", "accuracy_pct"],
    ),
    "table4_whitebox_mia_accuracy": pd.DataFrame(
        [
            ("fmnist", "cnn", ratio, phase, rate)
            for ratio in (0.1, 0.5)
            for phase, rate in (("before", 1.0), ("after", 0.4 if ratio == 0.1 else 0.6))
        ],
        columns=["dataset", "architecture", "forget_ratio", "phase", "mia_accuracy"],
    ),
}
NAMES = pd.Series({"ours": "fmnist"})
AS_PAPER = {0.1: (0.4, 1.0, 0.98, 0.89), 0.5: (0.6, 1.0, 0.98, 0.89)}
RETRAINED = {0.1: (0.5, 0.9, 1.0, 0.89), 0.5: (0.5, 0.9, 1.0, 0.89)}


def evaluation(methods, seeds=(7,)):
    keys = [("mia_whitebox_rate", "forget")]
    keys += [("accuracy", subset) for subset in ("forget", "retain", "test")]
    return pd.DataFrame(
        [
            ("ours", "cnn", seed, method, ratio, subset, metric, value)
            for method, cells in methods.items()
            for ratio, values in cells.items()
            for seed in seeds
            for (metric, subset), value in zip(keys, values, strict=True)
        ]
        + [
            ("ours", "cnn", seed, method, ratio, None, metric, 10.0)
            for method, cells in methods.items()
            if method != "original"
            for ratio in cells
            for seed in seeds
            for metric in ("epochs", "seconds")
        ],
        columns=[
            *("dataset", "architecture", "seed", "method", "forget_ratio"),
            *("subset", "metric", "value"),
        ],
    )


def shifted(cells, mia=0.0, forget=0.0):
    return {r: (v[0] + mia, v[1] + forget, *v[2:]) for r, v in cells.items()}


def judged(**readings):
    methods = {"original": RETRAINED, "retrain": RETRAINED}
    methods |= {f"remi_whitebox,{name}=1": cells for name, cells in readings.items()}
    return judge_readings(*name_variants(evaluation(methods)), PUBLISHED, NAMES)


def test_the_papers_numbers_are_shares_and_table_three_stands_for_every_ratio():
    values = paper_values(PUBLISHED, "after")
    assert values.loc[("fmnist", "cnn", 0.5)].to_dict() == pytest.approx(
        {"mia": 0.6, "forget": 1.0, "retain": 0.98, "test": 0.89}
    )
    assert paper_values(PUBLISHED, "before").loc[("fmnist", "cnn", 0.1), "mia"] == 1


def test_distance_is_half_the_rate_and_half_the_mean_accuracy():
    table = judged(paper=AS_PAPER, rate=shifted(AS_PAPER, mia=0.2), lost=shifted(AS_PAPER, 0, -0.3))
    by = table.groupby("reading")["distance"].mean()
    assert by["paper=1"] == pytest.approx(0)
    assert by["rate=1"] == pytest.approx(0.1)
    assert by["lost=1"] == pytest.approx(0.3 / 6)
    assert by["retrain"] == pytest.approx((0.1 / 2) + (0.1 + 0.02) / 6)


def test_gap_is_that_of_the_search():
    table = judged(retrained=RETRAINED, rate=shifted(RETRAINED, mia=-0.2)).set_index("reading")
    assert table.loc["retrained=1", "gap"].tolist() == pytest.approx([0, 0])
    assert table.loc["rate=1", "gap"].tolist() == pytest.approx([0.1, 0.1])
    assert (table.loc["rate=1", "seeds"] == 1).all()


def test_of_readings_as_near_to_the_paper_the_one_nearest_to_retraining_is_chosen():
    near = shifted(AS_PAPER, mia=0.018)  # distance .009: a tie; at 10 % it is nearer to retraining
    near[0.5] = (0.6 - 0.018, *near[0.5][1:])  # and at 50 %, too
    far = shifted(AS_PAPER, mia=0.022)
    far[0.5] = (0.6 - 0.022, *far[0.5][1:])  # nearer still, but distance .011
    chosen = choose_reading(judged(near=near, paper=AS_PAPER, far=far))
    assert chosen["reading"].tolist() == ["paper=1", "near=1", "far=1"]
    assert chosen.set_index("reading")["chosen"].to_dict() == {
        "paper=1": False,
        "near=1": True,
        "far=1": False,
    }


def test_the_table_shows_the_paper_the_target_retraining_and_the_losers():
    table = format_readings(
        judged(best=AS_PAPER, worst=shifted(AS_PAPER, 0.4)), PUBLISHED, NAMES
    ).set_index("reading")
    assert table.index.tolist() == ["paper", "original", "retrain", "best=1", "worst=1"]
    assert table.loc["paper", "ours cnn 10%"] == "0.400; 100.0 / 98.0 / 89.0"
    assert table.loc["worst=1", "ours cnn 50%"] == "1.000; 100.0 / 98.0 / 89.0"
    assert table.loc["best=1", "distance to the paper"] == "0.000 (chosen)"
    assert table.loc["worst=1", "distance to the paper"] == "0.200"


def test_a_cell_that_the_paper_does_not_have_is_refused():
    cells = {0.2: AS_PAPER[0.1]}
    rows = evaluation({"original": cells, "retrain": cells, "remi_whitebox,a=1": cells})
    with pytest.raises(RemibenchError, match=r"no number for ours, cnn, 0\.2"):
        judge_readings(*name_variants(rows), PUBLISHED, NAMES)


def test_the_committed_table_and_choice_are_those_of_the_committed_numbers():
    folder = ROOT / "docs/results/study_remi"
    names = pd.Series({"fmnist": "fmnist"})
    published = {path.stem: pd.read_csv(path) for path in (ROOT / "paper").glob("*.csv")}
    # Committed under the names of an earlier version, which held the values.
    named = name_variants(load_table(folder / "evaluation.csv", TEXT))
    readings = judge_readings(*named, published, names)
    text = to_markdown(format_readings(readings, published, names))
    assert (folder / "readings.txt").read_text(encoding="utf-8") == text + "\n"
    chosen = choose_reading(readings).query("chosen")["reading"].item()
    assert chosen == f"direction={default_parameters('remi_whitebox')['direction']}"
