"""The configuration: presets, closed keys, one-line errors."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from remibench.config import METHODS, Config, Unlearning, json_schema, load_config, modules
from remibench.errors import RemibenchError

ROOT = Path(__file__).parents[1]


def default():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def merge(base, overlay):
    """Lay a preset over the default, as Snakemake's --configfile does."""
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        base[key] = merge(base[key], value) if both else value
    return base


@pytest.mark.parametrize("preset", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_presets_are_valid_over_the_default(preset):
    load_config(merge(default(), yaml.safe_load(preset.read_text())))


def test_the_default_is_the_grid_that_the_readme_promises():
    cfg = load_config(default())
    assert cfg.datasets == ["fmnist_embedded"]
    assert cfg.architectures == ["cnn"]
    assert len(cfg.seeds) == 3
    assert cfg.forget_ratios == [0.01, 0.1, 0.25, 0.5]
    assert set(cfg.methods) == {"original", *METHODS}


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
    for attack in (cfg.attacks.mf, cfg.attacks.mia):
        assert (attack.whitebox.epochs, attack.whitebox.learning_rate) == (50, 1e-5)
    assert cfg.datasets == ["fmnist", "utkface", "stl10", "cifar10"]
    assert cfg.architectures == ["cnn", "resnet18", "xception", "vgg19"]
    assert cfg.forget_ratios == [0.01, 0.1, 0.25, 0.5]
    assert set(cfg.methods) == {"original", *METHODS}
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
    section = {"values_from": str(path), "alpha": 1.0, "max_std": 0.25}
    change = {"forget_ratios": [0.1, 0.5], "unlearning": {"fisher": section}}
    cfg = load_config(merge(default(), change))
    fisher = [
        cfg.unlearning.parameters("fisher", "fmnist_embedded", "cnn", ratio) for ratio in (0.1, 0.5)
    ]
    assert [(f["alpha"], f["max_std"]) for f in fisher] == [(1.0, 0.5), (2e-6, 0.25)]
    assert "values_from" not in fisher[0]
    listed = [row for row in cfg.hyperparameters() if row["method"] == "fisher"]
    assert {(row["forget_ratio"], row["parameter"]): row["value"] for row in listed} == {
        (0.1, "alpha"): 1.0,
        (0.1, "max_std"): 0.5,
        (0.1, "last_layer_factor"): 10.0,
        (0.5, "alpha"): 2e-6,
        (0.5, "max_std"): 0.25,
        (0.5, "last_layer_factor"): 10.0,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read"),
        (
            "dataset,architecture,forget_ratio\n",
            "has no row for fmnist_embedded, cnn, 0.1; add",
        ),
        ("dataset,architecture\nfmnist,cnn\n", "line 2: no value in column `forget_ratio`"),
        ("dataset,architecture,forget_ratio,alfa\na,b,.1,1\n", "'alfa'; did you mean 'alpha'?"),
        ("dataset,architecture,forget_ratio,alpha\na,b,x,1\n", "line 2: could not convert"),
        ("dataset,architecture,forget_ratio,alpha\na,b,.1,-1\n", "line 2: `alpha`: input should"),
        ("dataset,architecture,forget_ratio\na,b,.1\na,b,0.1\n", "line 3: a, b, 0.1 is listed"),
        ("dataset,architecture,forget_ratio\na,b,.1,1\n", "line 2: more values than columns"),
    ],
)
def test_bad_values_of_cells_are_one_line_with_file_and_line(tmp_path, text, message):
    path = tmp_path / "values.csv"
    if text is not None:
        path.write_text(text)
    section = {"fisher": {"values_from": str(path)}}
    with pytest.raises(RemibenchError) as caught:
        load_config(merge(default(), {"forget_ratios": [0.1], "unlearning": section}))
    assert str(caught.value).startswith("config: `unlearning.fisher.values_from`: ")
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": ["x"]}, "unknown key 'dataset' at the top level; did you mean 'datasets'?"),
        ({"training": {"epoch": 3}}, "unknown key 'epoch' in `training`; did you mean 'epochs'?"),
        (
            {"attacks": {"mia": {"whitebox": {"lr": 1}}}},
            "unknown key 'lr' in `attacks.mia.whitebox`; choices: batch_size, epochs, learning",
        ),
        (
            {"unlearning": {"remi": {}}},
            "unknown key 'remi' in `unlearning`; did you mean 'remi_blackbox'?",
        ),
        ({"methods": ["original", "fischer"]}, "unknown name 'fischer'; did you mean 'fisher'?"),
        ({"methods": ["fisher"]}, "`methods`: 'original' is missing"),
        ({"datasets": ["mnist"]}, "unknown name 'mnist'; did you mean 'fmnist'?"),
        ({"architectures": ["resnet"]}, "unknown name 'resnet'; did you mean 'resnet18'?"),
        ({"metrics": ["acuracy"]}, "did you mean 'accuracy'?"),
        ({"seeds": [0, 1, 0]}, "`seeds`: 0 is listed twice"),
        ({"seeds": []}, "`seeds`: list should have at least 1 item"),
        ({"seeds": [-1]}, "`seeds.0`: input should be greater than or equal to 0; got -1"),
        ({"forget_ratios": [0.1, 1.0]}, "`forget_ratios.1`: input should be less than 1; got 1.0"),
        (
            {"forget_ratios": [0]},
            "`forget_ratios.0`: input should be greater than or equal to 0.0001; got 0",
        ),
        ({"forget_ratios": ["ten"]}, "`forget_ratios.0`: input should be a valid number"),
        ({"training": {"epochs": 0}}, "`training.epochs`: input should be greater than 0; got 0"),
        ({"training": {"epochs": 1.5}}, "`training.epochs`: input should be a valid integer"),
        (
            {"training": {"learning_rate": "fast"}},
            "`training.learning_rate`: input should be a valid",
        ),
        (
            {"training": {"learning_rate": float("nan")}},
            "`training.learning_rate`: input should be",
        ),
        (
            {"training": {"precision": "fp16"}},
            "`training.precision`: input should be 'bf16' or 'fp32'",
        ),
        ({"training": None}, "`training`: input should be a valid dictionary"),
        ({"training": []}, "`training`: input should be a valid dictionary"),
        ({"device": "tpu"}, "`device`: input should be 'cpu' or 'cuda'; got 'tpu'"),
        ({"results": ""}, "`results`: string should have at least 1 character"),
        ({"data": {"out_of_sample_fraction": 1}}, "`data.out_of_sample_fraction`"),
        ({"forgetting": {"selection": "best"}}, "`forgetting.selection`: input should be"),
        ({"unlearning": {"fisher": {"alpha": -1}}}, "`unlearning.fisher.alpha`"),
        ({"unlearning": {"remi_whitebox": {"loss": "kl"}}}, "`unlearning.remi_whitebox.loss`"),
    ],
)
def test_a_bad_value_is_one_line_with_key_and_fix(change, message):
    with pytest.raises(RemibenchError) as caught:
        load_config(merge(default(), change))
    text = str(caught.value)
    assert text.startswith("config: ")
    assert message in text
    assert "\n" not in text


def test_a_missing_key_is_named():
    raw = default()
    del raw["seeds"]
    with pytest.raises(RemibenchError, match="key `seeds` is missing"):
        load_config(raw)


def test_every_key_is_described():
    def check(model):
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and hasattr(field.annotation, "model_fields"):
                assert field.annotation.__doc__
                check(field.annotation)
            else:
                assert field.description, f"{model.__name__}.{name}"

    check(Config)


def test_the_committed_schema_is_the_generated_one():
    committed = json.loads((ROOT / "workflow/schemas/config.schema.json").read_text())
    assert committed == json_schema(), "run `make schema`"


def test_every_method_has_a_module_and_a_section():
    assert set(Unlearning.model_fields) == set(METHODS)
    assert {method.module for method in METHODS.values()} == set(modules("unlearning"))
