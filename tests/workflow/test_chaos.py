"""A run that is killed at random times ends with the same bytes as an undisturbed one."""

import pytest
import yaml
from support.chaos import run_with_kills
from support.smoke import compare_results, copy_repository, jobs, results, snakemake

CELL = "results-smoke/unlearned/fmnist_embedded/cnn/0"
CONFIG = ["config/smoke.yaml", "config/chaos.yaml"]
EPOCHS = {  # so many that kills hit them, each of them saved
    "checkpoint_seconds": 0,
    "training": {"epochs": 60},
    "adversaries": {"mf": {"whitebox": {"epochs": 30}}, "mia": {"whitebox": {"epochs": 30}}},
}


@pytest.mark.parametrize(
    ("targets", "kills", "files"),
    [
        ([f"{CELL}/retrain/0.1.safetensors", f"{CELL}/remi_whitebox/0.1.safetensors"], 3, 13),
        pytest.param([], 20, 50, marks=pytest.mark.slow),
    ],
    ids=["short", "long"],
)
def test_a_run_killed_at_random_times_equals_an_undisturbed_one(tmp_path, targets, kills, files):
    folders = []
    for name in ("undisturbed", "killed", "rival"):
        folders.append(copy_repository(tmp_path / name))
        (folders[-1] / "config" / "chaos.yaml").write_text(yaml.safe_dump(EPOCHS))
    undisturbed, killed, rival = folders
    total = len(jobs(snakemake(undisturbed, *targets, config=CONFIG).stdout)[0])
    chaos = run_with_kills(killed, rival, targets, CONFIG, kills, total, seed=kills)
    print(f"{len(chaos.kills)} kills, {chaos.seconds:.0f} s, resumed after epochs {chaos.resumed}")
    assert len(chaos.kills) == kills
    assert chaos.resumed, "no kill hit a training after its first epoch"
    compared = compare_results(results(undisturbed), results(killed))
    print(f"{compared} files compared")
    assert compared >= files
    assert list(results(killed).glob("progress/*")) == []
    assert [path.name for path in results(killed).rglob(".*")] == [".lock"]  # nothing half-written
