"""The layout of a results tree: patterns make paths, and paths give the wildcards back."""

import pytest

from remibench.artifacts import paths

WILDCARDS = {
    "dataset": "fmnist_embedded",
    "architecture": "cnn",
    "seed": "12",
    "role": "shadow",
    "adversary": "mf",
    "attack": "loss_threshold",
    "method": "remi_whitebox",
    "ratio": "0.25",
    "product": "table4_whitebox_mia",
    "page": "trainings",
}


@pytest.mark.parametrize("name", sorted(paths.ARTIFACTS))
def test_a_path_gives_back_the_wildcards_that_made_it(name):
    pattern = paths.ARTIFACTS[name]
    path = pattern.format(**WILDCARDS)
    used = {key: value for key, value in WILDCARDS.items() if f"{{{key}}}" in pattern}
    assert paths.match(pattern, path) == used
    assert paths.match(pattern, f"/somewhere/results/{path}") == used
    assert paths.match(pattern, f"{path}.old") is None


def test_no_two_artifacts_of_a_cell_share_a_path():
    made = [pattern.format(**WILDCARDS) for pattern in paths.ARTIFACTS.values()]
    assert len(set(made)) == len(made)


@pytest.mark.parametrize("rule", sorted(paths.JOBS))
def test_logs_name_the_job(rule):
    path = paths.log_path(rule).format(**WILDCARDS)
    assert paths.match(paths.log_path(rule), f"results/{path}")
    assert paths.benchmark_path(rule).format(**WILDCARDS).startswith(f"benchmarks/{rule}/")


def test_a_job_without_wildcards_has_a_log_of_its_own_name():
    assert paths.log_path("gather") == "logs/gather.log"
