"""The configuration: presets, closed keys, one-line errors."""

import csv
import json
import re
from pathlib import Path

import pytest
import yaml
from support.configs import ROOT, default, merge

from remibench.analysis.results import PAPER_METHODS
from remibench.components.registry import components, methods
from remibench.config.cells import describe_unsearched
from remibench.config.model import REQUIRED_ATTACKS, config_model, json_schema, load_config
from remibench.errors import RemibenchError

BENEATH = {  # what a preset is laid over, besides the default
    "fmnist_cnn.yaml": ["paper.yaml"],
    "fmnist_cnn_measured.yaml": ["paper.yaml"],
    "study_remi.yaml": ["paper.yaml"],
    "study_resnet18.yaml": ["paper.yaml", "study_remi.yaml"],
    "mechanism.yaml": ["paper.yaml", "study_remi.yaml"],
    "fisher_alpha.yaml": ["paper.yaml", "fmnist_cnn.yaml"],
    "remi_never_stops.yaml": ["all_methods.yaml"],
}


@pytest.mark.parametrize("preset", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_presets_are_valid_over_what_they_are_laid_over(preset):
    config = default()
    for beneath in BENEATH.get(preset.name, []):
        config = merge(config, yaml.safe_load((ROOT / "config" / beneath).read_text()))
    load_config(merge(config, yaml.safe_load(preset.read_text())))


def test_every_method_can_run_and_be_searched_with_the_same_budget():
    every = merge(default(), yaml.safe_load((ROOT / "config/all_methods.yaml").read_text()))
    # All but ReMI guided by an attack that the presets do not fit.
    usual = {name for name, spec in methods().items() if spec.guide in (None, *REQUIRED_ATTACKS)}
    assert set(load_config(every).methods) == {"original", *usual}
    config = default()
    for name in ("tune", "tune_baselines"):
        config = merge(config, yaml.safe_load((ROOT / f"config/{name}.yaml").read_text()))
    cfg = load_config(config)
    assert set(cfg.variants) == usual - {"retrain"}
    assert {len(cfg.variants_of(method)) for method in cfg.variants} == {15}


def test_the_study_gives_every_reading_the_papers_rate_and_about_as_many_steps():
    config = merge(default(), yaml.safe_load((ROOT / "config/paper.yaml").read_text()))
    cfg = load_config(merge(config, yaml.safe_load((ROOT / "config/study_remi.yaml").read_text())))
    readings = cfg.variants_of("remi_whitebox")
    base = "remi_whitebox~01"
    assert readings[base] == {"loss": "gaussian_kl"}
    for ratio in cfg.forget_ratios:
        used = cfg.parameters(base, "fmnist", "cnn", ratio)
        assert (used["learning_rate"], used["lambda2"]) == (0.01, 0.98)
        assert 180 <= used["max_epochs"] * -(-17_500 * ratio // 64) <= 420
        default_reading = cfg.unlearning.parameters("remi_whitebox", "fmnist", "cnn", ratio)
        assert used == default_reading, "the base is the default, named"
    (through,) = (name for name, each in readings.items() if "out_of_sample_gradient" in each)
    assert cfg.parameters(through, "fmnist", "cnn", 0.1)["out_of_sample_gradient"]


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        ([{}], "a variant without a value"),
        ([], "as many variants"),
        ([{"loss": "gaussian"}], "remi_whitebox.loss"),
        ([{"floor": 0.1}], "unknown name 'floor'"),
        ([{"loss": "paired_kl"}, {"loss": "paired_kl"}], "listed twice"),
    ],
)
def test_a_list_of_candidates_is_checked(search, problem):
    config = merge(default(), yaml.safe_load((ROOT / "config/paper.yaml").read_text()))
    config = merge(config, yaml.safe_load((ROOT / "config/study_remi.yaml").read_text()))
    config["variants"] = {"remi_whitebox": search}
    with pytest.raises(RemibenchError, match=problem):
        load_config(config)


def test_the_default_is_the_grid_that_the_quick_start_promises():
    said = " ".join((ROOT / "docs/index.md").read_text().split())
    assert "one architecture, seven seeds, 10 % forgotten, five methods, three controls)" in said
    cfg = load_config(default())
    assert cfg.datasets == ["fmnist_embedded"]
    assert cfg.architectures == ["cnn"]
    assert len(cfg.seeds) == 7
    assert cfg.forget_ratios == [0.1]
    assert set(cfg.methods) == set(PAPER_METHODS)
    assert len(cfg.controls) == 3


def test_the_paper_preset_holds_the_papers_values_whatever_the_default_says():
    cfg = load_config(merge(default(), yaml.safe_load((ROOT / "config/paper.yaml").read_text())))
    assert cfg.training.model_dump() == {
        "epochs": 50,
        "learning_rate": 1e-2,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "batch_size": 64,
        "precision": "bf16",
    }
    assert cfg.data.image_size == 64
    assert cfg.seeds == list(range(20))
    for attack in (cfg.adversaries.mf, cfg.adversaries.mia):
        assert (attack.whitebox.epochs, attack.whitebox.learning_rate) == (50, 1e-5)
    assert cfg.datasets == ["fmnist", "utkface", "stl10", "cifar10"]
    assert cfg.architectures == ["cnn", "resnet18", "xception", "vgg19"]
    assert cfg.forget_ratios == [0.01, 0.1, 0.25, 0.5]
    assert set(cfg.methods) == set(PAPER_METHODS)
    for method in ("remi_whitebox", "remi_blackbox"):
        with (ROOT / "paper/table2_hyperparameters.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 4 * 4 * 4
        for row in rows:
            cell = (row["dataset"], row["architecture"], float(row["forget_ratio"]))
            used = cfg.unlearning.parameters(method, *cell)
            assert used["learning_rate"] == float(row["learning_rate"]), cell
            assert used["lambda2"] == 0.98


def test_values_of_single_cells_replace_the_sections(tmp_path):
    path = tmp_path / "values.csv"
    path.write_text(
        "dataset,architecture,forget_ratio,max_std,alpha\n"
        "fmnist_embedded,cnn,0.10,0.5,\nfmnist_embedded,cnn,0.5,,2e-6\n"
    )
    section = {"per_cell_values": str(path), "alpha": 1.0, "max_std": 0.25}
    change = {"forget_ratios": [0.1, 0.5], "unlearning": {"fisher": section}}
    cfg = load_config(merge(default(), change))
    fisher = [
        cfg.unlearning.parameters("fisher", "fmnist_embedded", "cnn", ratio) for ratio in (0.1, 0.5)
    ]
    assert [(f["alpha"], f["max_std"]) for f in fisher] == [(1.0, 0.5), (2e-6, 0.25)]
    assert "per_cell_values" not in fisher[0]
    listed = [row for row in cfg.hyperparameters() if row["method"] == "fisher"]
    assert {(row["forget_ratio"], row["parameter"]): row["value"] for row in listed} == {
        (0.1, "alpha"): 1.0,
        (0.1, "max_std"): 0.5,
        (0.1, "last_layer_factor"): 10.0,
        (0.5, "alpha"): 2e-6,
        (0.5, "max_std"): 0.25,
        (0.5, "last_layer_factor"): 10.0,
    }


def test_a_cell_without_a_row_takes_the_sections_values_and_is_listed(tmp_path):
    path = tmp_path / "values.csv"
    path.write_text("dataset,architecture,forget_ratio,alpha\nfmnist_embedded,cnn,0.5,2e-6\n")
    fisher = {"per_cell_values": str(path), "alpha": 1.0}
    change = {"forget_ratios": [0.2, 0.5], "unlearning": {"fisher": fisher}}
    cfg = load_config(merge(default(), change))
    used = [cfg.parameters("fisher", "fmnist_embedded", "cnn", ratio) for ratio in (0.2, 0.5)]
    assert [values["alpha"] for values in used] == [1.0, 2e-6]
    cell = ("fmnist_embedded", "cnn", 0.2)
    runs = [(method, *cell) for method in ("fisher", "remi_whitebox", "remi_blackbox")]
    assert cfg.unsearched() == runs
    assert load_config(default()).unsearched() == []
    assert describe_unsearched(runs).startswith(
        "no values were searched for fisher, remi_whitebox, remi_blackbox (fmnist_embedded, cnn, "
        "20%): run with the default values"
    )
    other = ("fisher", "stl10", "cnn", 0.125)
    assert " and for fisher (stl10, cnn, 12.5%): run" in describe_unsearched([*runs, other])


def test_models_are_brought_in_by_their_cells(tmp_path):
    for seed in (0, 1):
        (tmp_path / f"cnn_{seed}.pt").write_bytes(b"")
    models = {"target": f"{tmp_path}/{{architecture}}_{{seed}}.pt"}
    cfg = load_config(merge(default(), {"models": models, "seeds": [0, 1]}))
    assert cfg.models.brought == {"target"}
    assert cfg.models.checkpoint("target", "x", "cnn", 1) == f"{tmp_path}/cnn_1.pt"
    assert load_config(default()).models.brought == set()
    padded = cfg.models.model_copy(update={"target": "m{seed:02d}.pt"})
    assert padded.checkpoint("target", "x", "cnn", 1) == "m01.pt"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("{seed}.pt", "`models.shadow`: 1.pt is no file; paths start where you run"),
        (
            "all.pt",
            "all.pt stands for fmnist_embedded, cnn, 0 and for fmnist_embedded, cnn, 1; wri",
        ),
        (
            "{role}.pt",
            "{role}.pt cannot be filled in ('role'); in braces it may have {dataset}, {a",
        ),
        *((f"{text}.pt", f"{text}.pt cannot be filled in (") for text in ("{", "{}", "{seed:s}")),
        *((f"{text}.pt", f"{text}.pt cannot be filled in (") for text in ("{seed.x}", "{seed[0]}")),
        ("", "`models.shadow`: string should have at least 1 character"),
    ],
)
def test_a_model_that_cannot_be_brought_in_is_one_line(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    for name in ("0.pt", "all.pt"):
        Path(name).write_bytes(b"")
    change = {"models": {"shadow": path}, "seeds": [0, 1], "per_cell_values": None}
    with pytest.raises(RemibenchError, match=f"^config: .*{re.escape(message)}"):
        load_config(merge(default(), change))


@pytest.mark.parametrize("null", [None, "null", "~"])  # the command line gives text
def test_null_is_null_wherever_a_key_can_be(null, tmp_path):
    change = {"data": {"limit": null}, "forget_ratios": [0.2]}
    cfg = load_config(merge(default(), change | {"per_cell_values": null}))
    assert cfg.data.limit is None
    assert cfg.unsearched() == []
    assert cfg.unlearning.fisher.per_cell_values is None
    section = {"unlearning": {"fisher": {"per_cell_values": null}}}
    assert {run[0] for run in load_config(merge(default(), change | section)).unsearched()} == {
        *("remi_whitebox", "remi_blackbox")
    }
    search = {"variants": {"fisher": null}, "data": {"swap_target_and_shadow": True}}
    assert load_config(merge(default(), search)).variants_of("fisher")
    with pytest.raises(RemibenchError, match="`results`"):
        load_config(default() | {"results": None})
    assert load_config(default() | {"results": "null"}).results == "null"


def test_every_key_is_described():
    def check(model):
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                assert field.annotation.__doc__
                check(field.annotation)
            else:
                assert field.description, f"{model.__name__}.{name}"

    check(config_model())


def test_the_committed_schema_is_the_generated_one():
    committed = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert committed == json_schema(), "run `make schema`"


def test_every_method_has_a_module_and_a_section():
    sections = config_model().model_fields["unlearning"].annotation
    assert set(sections.model_fields) == set(methods())
    assert {method.module for method in methods().values()} == set(components("unlearning"))
