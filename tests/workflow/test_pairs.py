"""Every dataset and architecture, as small as can be, through all stages."""

import shutil

import pandas as pd
import pytest
import yaml
from support import standins
from support.products import GATHERED, make_products
from support.smoke import copy_repository, snakemake

PAIRS = {  # everything as small as it can be: does each pair go through all stages?
    "results": "results-pairs",
    "seeds": [0],
    "forget_ratios": [0.1],
    "controls": [],
    "keep_unlearned": False,
    "forgetting": {"selection": "memorised"},
    "data": {"search_path": ["standins"], "published_only": False, "limit": 240},
    "training": {"epochs": 1},
    "adversaries": {
        "mf": {"whitebox": {"epochs": 1}, "blackbox": {"epochs": 1}},
        "mia": {"whitebox": {"epochs": 1}, "blackbox": {"epochs": 1}},
    },
    "unlearning": {
        "fisher": {"per_cell_values": None},
        "remi_whitebox": {"per_cell_values": None, "max_epochs": 1},
        "remi_blackbox": {"per_cell_values": None, "max_epochs": 1},
    },
}


DATASETS = ["fmnist_embedded", "utkface", "stl10", "cifar10"]
ARCHITECTURES = ["cnn", "resnet18", "xception", "vgg19"]


@pytest.mark.parametrize(
    ("datasets", "architectures"),
    [
        # The first dataset and architecture are those of the smoke grid.
        *(
            pytest.param([dataset], [architecture], id=f"{dataset}, {architecture}")
            for dataset, architecture in zip(DATASETS[1:], ARCHITECTURES[1:], strict=True)
        ),
        pytest.param(DATASETS, ARCHITECTURES, id="every pair", marks=pytest.mark.slow),
    ],
)
def test_every_dataset_and_architecture_goes_through_all_stages(tmp_path, datasets, architectures):
    """Real Fashion-MNIST images, and stand-ins for the rest in their real formats."""
    project = copy_repository(tmp_path)
    folder = project / "standins"
    standins.write_utkface_folder(folder, standins.balanced(240, 4))
    standins.write_stl10_folder(folder, standins.balanced(240))
    standins.write_cifar10_binary(folder, standins.balanced(240))
    grid = {**PAIRS, "datasets": datasets, "architectures": architectures}
    (project / "config" / "pairs.yaml").write_text(yaml.safe_dump(grid))
    targets = [f"results-pairs/{name}" for name in GATHERED]
    snakemake(project, *targets, "--cores", "2", config=["config/pairs.yaml"])
    tree = project / "results-pairs"
    pages = dict(make_products(tree, PAIRS["forget_ratios"]))
    table = pd.read_csv(tree / "evaluation.csv")
    cells = table[["dataset", "architecture", "method"]].drop_duplicates()
    pairs = len(datasets) * len(architectures)
    assert len(cells) == pairs * 5
    for _, cell in table.groupby(["dataset", "architecture", "method"]):
        measured = set(cell["metric"])
        assert {"accuracy", "efficacy", "mia_whitebox_rate", "mia_blackbox_rate"} <= measured
    assert len(pd.read_csv(tree / "training.csv")) == pairs * 3  # target, shadow, retrained
    rows = pd.read_csv(tree / "datasets.csv").set_index("dataset")
    for name in set(datasets) - {"fmnist_embedded"}:  # stand-ins never pass for results
        assert rows.loc[name, "provenance"].endswith("NOT THE PUBLISHED FILES")
        assert pd.isna(rows.loc[name, "paper_dataset"])
    table4 = pd.read_csv(tree / "tables/table4_whitebox_mia.csv")
    assert table4["paper"].isna().all()  # the paper forgets other images
    for name, page in pages.items():
        assert not name.startswith("table") or "NOT THE PUBLISHED FILES" in page, name
    assert list(tree.glob("unlearned/**/*.safetensors")) == []
    shutil.rmtree(tree)  # gigabytes
