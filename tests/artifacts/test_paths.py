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


def test_every_format_of_a_table_or_figure_names_it():
    for path in ("tables/table_gaps.csv", "tables/table_gaps.tex", "tables/table_gaps.html"):
        assert paths.wildcards_of(path) == {"product": "table_gaps"}
    for path in ("figures/figure_roc.svg", "results/figures/figure_roc.png"):
        assert paths.wildcards_of(path) == {"product": "figure_roc"}
    assert paths.wildcards_of("figures/figure_roc.csv") is None


@pytest.mark.parametrize("rule", sorted(paths.JOBS))
def test_logs_name_the_job(rule):
    path = paths.log_path(rule).format(**WILDCARDS)
    assert paths.match(paths.log_path(rule), f"results/{path}")
    assert paths.benchmark_path(rule).format(**WILDCARDS).startswith(f"benchmarks/{rule}/")


def test_a_job_without_wildcards_has_a_log_of_its_own_name():
    assert paths.log_path("gather") == "logs/gather.log"
