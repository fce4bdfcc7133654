"""The search for hyper-parameters: candidates, the gap to retraining, and what is written back."""

from dataclasses import replace

import pandas as pd
import pytest
import yaml
from support.configs import ROOT, default, merge
from support.synthetic import synthetic_results
from support.variants import name_variants

from remibench.analysis.results import read_numbers
from remibench.analysis.search import (
    choose_candidates,
    complete_values,
    describe_choice,
    format_choice,
    judge_candidates,
    overlay,
)
from remibench.artifacts.tables import write_csv
from remibench.config.model import load_config
from remibench.data.splits import QUARTERS, split_dataset
from remibench.errors import RemibenchError
from remibench.reporting.render import write_formatted

VALUES = {  # method → seed → MIA on forget, accuracy on forget, retain, test
    "original": {0: (0.9, 1.0, 1.0, 0.8), 1: (1.0, 1.0, 1.0, 0.8)},
    "retrain": {0: (0.4, 0.7, 1.0, 0.8), 1: (0.5, 0.7, 1.0, 0.8)},
    "fisher,alpha=1e-06": {0: (0.7, 1.0, 0.7, 0.8), 1: (0.8, 1.0, 0.7, 0.8)},
    "fisher,alpha=0.1": {0: (0.1, 0.1, 0.4, 0.2), 1: (0.8, 0.1, 0.4, 0.2)},
    "remi_whitebox,learning_rate=0.01": {0: (0.4, 0.7, 1.0, 0.8), 1: (0.3, 0.7, 1.0, 0.8)},
}
QUANTITIES = [
    ("mia_whitebox_rate", "forget"),
    ("accuracy", "forget"),
    ("accuracy", "retain"),
    ("accuracy", "test"),
]


@pytest.fixture
def evaluation():
    rows = [
        ("fmnist", "cnn", seed, method, 0.1, subset, metric, value)
        for method, seeds in VALUES.items()
        for seed, values in seeds.items()
        for (metric, subset), value in zip(QUANTITIES, values, strict=True)
    ]
    rows.append(("fmnist", "cnn", 0, "retrain", 0.1, "", "seconds", 12.0))  # plays no part
    axes = ["dataset", "architecture", "seed", "method", "forget_ratio"]
    return pd.DataFrame(rows, columns=[*axes, "subset", "metric", "value"])


def judge(evaluation):
    return judge_candidates(*name_variants(evaluation))


def choose(evaluation):
    named, candidates = name_variants(evaluation)
    return choose_candidates(judge_candidates(named, candidates), candidates)


def test_the_gap_is_half_mia_half_accuracy_and_its_mean_over_seeds(evaluation):
    trials = judge(evaluation).set_index(["method", "candidate"])
    # By hand: ½·|ΔMIA| + ⅙·(|Δforget| + |Δretain| + |Δtest|), then the mean of both seeds.
    assert trials.loc[("original", ""), "gap"] == pytest.approx(0.5 * 0.5 + 0.3 / 6)
    assert trials.loc[("fisher", "alpha=1e-06"), "gap"] == pytest.approx(0.15 + 0.1)
    expected = (0.5 * 0.3 + 0.5 * 0.3) / 2 + (0.6 + 0.6 + 0.6) / 6
    assert trials.loc[("fisher", "alpha=0.1"), "gap"] == pytest.approx(expected)
    # Signed differences of opposite sign do not cancel in the gap, but do in their own column.
    remi = trials.loc[("remi_whitebox", "learning_rate=0.01")]
    assert remi["gap"] == pytest.approx(0.5 * (0.0 + 0.2) / 2)
    assert remi["mia_whitebox_rate_forget"] == pytest.approx(-0.1)
    assert set(trials["seeds"]) == {2}


def test_an_mia_rate_below_the_retrained_models_is_no_success(evaluation):
    lower = evaluation[evaluation["method"] == "retrain"].assign(method="fisher,alpha=0.5")
    lower.loc[lower["metric"] == "mia_whitebox_rate", "value"] = 0.0
    trials = judge(pd.concat([evaluation, lower])).set_index("candidate")
    assert trials.loc["alpha=0.5", "gap"] == pytest.approx((0.4 + 0.5) / 2 / 2)


def test_a_candidate_without_all_four_quantities_in_every_cell_is_an_error(evaluation):
    judge(evaluation)
    no_mia = evaluation[evaluation["metric"] != "mia_whitebox_rate"]
    one_seed_less = evaluation[
        ~((evaluation["method"] == "fisher,alpha=0.1") & (evaluation["seed"] == 1))
    ]
    for incomplete in (no_mia, one_seed_less, pd.concat([evaluation, evaluation])):
        with pytest.raises(RemibenchError, match="needs mia_whitebox_rate on forget, accuracy on"):
            judge(incomplete)


def test_the_nearest_candidate_of_every_method_is_chosen(evaluation):
    chosen = choose(evaluation)
    found = chosen[["method", "parameter", "value", "candidates", "seeds"]].to_numpy().tolist()
    assert found == [
        ["fisher", "alpha", "1e-06", 2, 2],
        ["remi_whitebox", "learning_rate", "0.01", 1, 2],
    ]


def test_what_was_found_stands_beside_the_papers_value(evaluation, tmp_path):
    trials = judge(evaluation)
    published = read_numbers()
    chosen = choose(evaluation)
    table = describe_choice(trials, chosen, published, pd.Series({"fmnist": "fmnist"}))
    fisher, remi = (table[table["method"] == name].iloc[0] for name in ("fisher", "remi_whitebox"))
    assert (remi["value"], remi["paper"]) == ("0.01", 0.01)
    assert pd.isna(fisher["paper"])  # Table II is ReMI's
    assert fisher["gap_unchanged"] == pytest.approx(0.3)
    lines = format_choice(table)
    assert lines["parameters"].tolist() == ["alpha 1e-06", "learning_rate 0.01 [0.01]"]
    assert lines["forget ratio"].tolist() == ["10%", "10%"]
    paths = tmp_path / "found.tex", tmp_path / "found.html"
    write_formatted(lines, "Parameters found", "", *paths)
    for path in paths:
        assert "0.01 [0.01]" in path.read_text().replace("~", " ")
    datasets = pd.DataFrame({"dataset": ["fmnist"], "paper_dataset": [float("nan")]})  # as read
    strangers = replace(synthetic_results(seeds=1), datasets=datasets).paper_names
    other = describe_choice(trials, chosen, published, strangers)
    assert other["paper"].isna().all()  # stand-ins are not the paper's data


def test_the_overlay_makes_the_config_use_what_was_found(evaluation, tmp_path):
    chosen = choose(evaluation)
    begun = tmp_path / "begun.csv"
    begun.write_text("dataset,architecture,forget_ratio,max_std\nfmnist,cnn,0.1,7\n")
    untuned = {f"remi_{access}": {"per_cell_values": None} for access in ("whitebox", "blackbox")}
    grid = {"datasets": ["fmnist"], "forget_ratios": [0.1], "unlearning": untuned}
    candidates = {"fisher": {"alpha": [1e-6]}, "remi_whitebox": {"learning_rate": [0.01]}}
    started = {"unlearning": {"fisher": {"per_cell_values": str(begun)}}}
    searched = load_config(merge(merge(merge(default(), grid), search(**candidates)), started))
    base = pd.DataFrame(searched.hyperparameters())
    paths = {method: tmp_path / f"{method}.csv" for method in searched.variants}
    for method, parameters in searched.searched().items():
        write_csv(paths[method], complete_values(chosen, base, method, parameters))
    written = yaml.safe_load(yaml.safe_dump(overlay(paths)))
    written["unlearning"]["remi_whitebox"]["max_epochs"] = 123
    cfg = load_config(merge(merge(default(), grid), written))
    fisher = cfg.unlearning.parameters("fisher", "fmnist", "cnn", 0.1)
    assert (fisher["alpha"], fisher["max_std"]) == (1e-6, 7)  # found; of the file it began with
    remi = cfg.unlearning.parameters("remi_whitebox", "fmnist", "cnn", 0.1)
    assert (remi["learning_rate"], remi["max_epochs"]) == (0.01, 123)  # found; still the config's


def search(**grids):
    return {"data": {"swap_target_and_shadow": True}, "variants": grids}


def test_candidates_are_all_combinations_and_carry_their_values():
    grid = {"alpha": [1e-6, 3], "max_std": [0.1, 0.01]}
    cfg = load_config(merge(default(), search(fisher=grid)))
    names = list(cfg.variants_of("fisher"))
    assert names == ["fisher~01", "fisher~02", "fisher~03", "fisher~04"]
    assert cfg.variants_of("fisher")["fisher~02"] == {"alpha": 1e-6, "max_std": 0.01}
    used = [cfg.parameters(name, "fmnist_embedded", "cnn", 0.1) for name in names]
    assert [(p["alpha"], p["max_std"]) for p in used] == [
        (1e-6, 0.1),
        (1e-6, 0.01),
        (3.0, 0.1),
        (3.0, 0.01),
    ]
    assert {p["last_layer_factor"] for p in used} == {10.0}


def test_null_stands_for_the_values_that_a_method_declares():
    cfg = load_config(merge(default(), search(ssd=None)))
    assert cfg.variants_of("ssd")["ssd~02"] == {"alpha": 1.0, "dampening": 0.5}
    assert len(cfg.variants_of("ssd")) == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (search(fisher={"alpha": [1, 2]}, remi_whitebox={"lambda2": [0.5]}), "{'fisher': 2, 'remi"),
        (search(fisher={"alpha": []}), "every method needs as many variants"),
        (search(fischer={}), "`variants`: unknown name 'fischer'; did you mean 'fisher'?"),
        (search(fisher={"alfa": [1]}), "`variants`: unknown name 'alfa'; did you mean 'alpha'?"),
        (
            search(fisher={"alpha": [-1]}),
            "`variants`: fisher.alpha: input should be greater than 0",
        ),
        (search(retrain={}), "unknown name 'retrain'; choices: bad_teacher"),
        (search(fisher={"per_cell_values": ["x"]}), "unknown name 'per_cell_values'"),
        (
            search(fisher={}),
            "as many variants as the others; got {'fisher': 0}",
        ),
        (search(fisher={"alpha": [1, 1.0]}), "`variants`: 1.0 is listed twice; list it once"),
        (search(fisher={"alpha": ["x"]}), "fisher.alpha: input should be a valid number"),
        (
            search(fisher={"alpha": [1]}) | {"metrics": ["accuracy"]},
            "`variants` are judged by",
        ),
        (search(fisher={"alpha": [1]}) | {"methods": ["original"]}, "list retrain"),
        (
            {"variants": {"fisher": {"alpha": [1]}}},
            "`data.swap_target_and_shadow: true` belong together",
        ),
        ({"data": {"swap_target_and_shadow": True}}, "what is searched is never reported"),
    ],
)
def test_a_bad_search_is_one_line(change, message):
    with pytest.raises(RemibenchError) as caught:
        load_config(merge(default(), change))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_candidates_start_from_the_cells_values(tmp_path):
    path = tmp_path / "values.csv"
    path.write_text(
        "dataset,architecture,forget_ratio,max_std,alpha\nfmnist_embedded,cnn,0.1,0.5,2\n"
    )
    section = {"unlearning": {"fisher": {"per_cell_values": str(path)}}, "forget_ratios": [0.1]}
    cfg = load_config(merge(merge(default(), search(fisher={"alpha": [1]})), section))
    (name,) = cfg.variants_of("fisher")
    used = cfg.parameters(name, "fmnist_embedded", "cnn", 0.1)
    assert (used["alpha"], used["max_std"]) == (1.0, 0.5)


def test_the_committed_search_gives_every_method_the_same_budget():
    text = (ROOT / "config/tune.yaml").read_text()
    cfg = load_config(merge(default(), yaml.safe_load(text)))
    assert {len(cfg.variants_of(method)) for method in cfg.variants} == {15}
    reported = [default(), yaml.safe_load((ROOT / "config/paper.yaml").read_text())]
    for config in reported:
        assert not set(cfg.seeds) & set(config["seeds"])


def test_nothing_is_measured_on_the_images_of_a_reported_number():
    reported, tuning = (split_dataset(1003, 0, 0.5, swap) for swap in (False, True))
    measured = [set(roles["target_train"]) | set(roles["test"]) for roles in (reported, tuning)]
    assert not measured[0] & measured[1]
    assert {len(tuning[quarter]) for quarter in QUARTERS} == {1003 // 4}
    assert list(tuning["target_train"]) == list(reported["shadow_train"])
