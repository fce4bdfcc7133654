"""Layout of a results tree: where every artifact, log and benchmark lies, once.

Patterns are relative to the results folder, with Snakemake's wildcards in braces. Rules put the
folder in front of them, and :func:`match` reads the wildcards back out of a path.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import PurePath

_CELL = "{dataset}/{architecture}/{seed}"
_UNLEARNED = f"unlearned/{_CELL}/{{method}}/{{ratio}}"

IDENTIFIED = {  # name → pattern of what one job hands to others; each file states which it is
    "images": "data/{dataset}/images.npy",
    "labels": "data/{dataset}/labels.npy",
    "metadata": "data/{dataset}/metadata.json",
    "attributes": "data/{dataset}/attributes.npz",
    "splits": "data/{dataset}/splits.npz",
    "model": f"models/{_CELL}/{{role}}.safetensors",
    "training_history": f"models/{_CELL}/{{role}}.history.csv",
    "attack": f"attacks/{_CELL}/{{adversary}}_{{attack}}.safetensors",
    "attack_quality": f"attacks/{_CELL}/{{adversary}}_{{attack}}.csv",
    "membership_scores": f"forget/{_CELL}/scores.npy",
    "losses": f"forget/{_CELL}/losses.npy",
    "forget_set": f"forget/{_CELL}/{{ratio}}.npy",
    "unlearned": f"{_UNLEARNED}.safetensors",
    "unlearning_history": f"{_UNLEARNED}.history.csv",
    "cost": f"{_UNLEARNED}.json",
    "metrics": f"evaluation/{_CELL}/{{method}}.csv",
    "predictions": f"evaluation/{_CELL}/{{method}}.npz",
    "compared": "across_seeds/{dataset}/{architecture}/{method}.csv",
}
ARTIFACTS = {  # name → pattern of all
    **IDENTIFIED,
    "evaluation": "evaluation.csv",
    "histories": "histories.csv",
    "datasets": "datasets.csv",
    "training": "training.csv",
    "attacks": "attacks.csv",
    "hyperparameters": "hyperparameters.csv",
    "candidates": "candidates.csv",
    "across_seeds": "across_seeds.csv",
    "curves": "curves.csv",
    "forget_images": "forget_images.csv",
    "summary": "summary.txt",
    "config": "config.yaml",
    "provenance": "provenance.json",
    "table": "tables/{product}.csv",
    "figure": "figures/{product}.svg",
    "overview": "overview/{page}.html",
    "landing": "overview/landing.html",
    "training_curves": "overview/training_curves.svg",
    "scorecard": "scorecard/scorecard.csv",
    "counts": "scorecard/counts.csv",
    "heat_map": "scorecard/heatmap.svg",
    "comparisons": "statistics/comparisons.csv",
    "rates": "statistics/rates.csv",
    "trials": "tune/trials.csv",
    "overlay": "tune/overlay.yaml",
    "searched_values": "tune/{method}.csv",
    "search_table": "tune/table2_hyperparameters.csv",
    "search_figure": "tune/{method}.svg",
    "readings": "study/readings.csv",
    "readings_evaluation": "study/evaluation.csv",
    "trace": f"mechanism/{_CELL}/{{ratio}}.csv",
    "trace_rates": f"mechanism/{_CELL}/{{ratio}}_rates.svg",
    "trace_distributions": f"mechanism/{_CELL}/{{ratio}}_distributions.svg",
}
FORMATS = {"table": ("csv", "tex", "html"), "figure": ("png", "svg")}  # the report shows the last
JOBS = {  # rule → what its wildcards make of the names of its log and benchmark
    "prepare_dataset": "{dataset}",
    "split_dataset": "{dataset}",
    "train_model": f"{_CELL}/{{role}}",
    "import_model": f"{_CELL}/{{role}}",
    "fit_attack": f"{_CELL}/{{adversary}}_{{attack}}",
    "score_members": _CELL,
    "measure_losses": _CELL,
    "select_forget_set": f"{_CELL}/{{ratio}}",
    "unlearn": f"{_CELL}/{{method}}/{{ratio}}",
    "make_control": f"{_CELL}/{{method}}",
    "evaluate": f"{_CELL}/{{method}}",
    "evaluate_across_seeds": "{dataset}/{architecture}/{method}",
    "trace_unlearning": f"{_CELL}/{{ratio}}",
    "table": "{product}",
    "figure": "{product}",
}
GATHERED = ("evaluation", "histories", "datasets", "training", "attacks")  # tables of all cells
PROGRESS = "progress"  # epochs of unfinished jobs
LOCK = ".lock"  # says which run writes the tree
COLUMNS = {"ratio": "forget_ratio", "role": "model"}  # wildcards that tables call otherwise
RATIO = r"0\.\d+|1\.0"
_FORMS = {"seed": r"\d+", "ratio": RATIO, "adversary": "mf|mia", "role": "target|shadow"}


def log_path(rule: str) -> str:
    """The pattern of the logs of a rule's jobs; without wildcards, the log of its one job."""
    return f"logs/{rule}/{JOBS[rule]}.log" if rule in JOBS else f"logs/{rule}.log"


def benchmark_path(rule: str) -> str:
    """The pattern of the benchmark files of a rule's jobs."""
    return f"benchmarks/{rule}/{JOBS[rule]}.tsv"


def match(pattern: str, path: str | PurePath) -> dict[str, str] | None:
    """The wildcards of a path, or None if it does not end in what the pattern says.

    Args:
        pattern: One of this module, relative to the results folder.
        path: A path of a results tree, with the folder or without.
    """
    matched = _expression(pattern).search(PurePath(path).as_posix())
    return matched.groupdict() if matched else None


def wildcards_of(path: str | PurePath) -> dict[str, str] | None:
    """The wildcards of an artifact's path, or None if no pattern fits it."""
    matches = (
        match(form, path)
        for name, pattern in ARTIFACTS.items()
        if "{" in pattern
        for form in _in_all_formats(name, pattern)
    )
    return next((wildcards for wildcards in matches if wildcards is not None), None)


def _in_all_formats(name: str, pattern: str) -> list[str]:
    stem, _, suffix = pattern.rpartition(".")
    return [f"{stem}.{each}" for each in FORMATS.get(name, (suffix,))]


def identify(path: str | PurePath) -> tuple[str, dict[str, str]] | None:
    """Name and wildcards of the artifact of ``IDENTIFIED`` at a path, or None where none lies."""
    for name, pattern in IDENTIFIED.items():
        if (wildcards := match(pattern, path)) is not None:
            return name, wildcards
    return None


def place(path: str | PurePath) -> str:
    """A path relative to its results tree; of a file that is no artifact, the name."""
    for pattern in ARTIFACTS.values():
        if (wildcards := match(pattern, path)) is not None:
            return pattern.format(**wildcards)
    return PurePath(path).name


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        f"(?P<{part}>{_FORMS.get(part, '[^/]+?')})" if number % 2 else re.escape(part)
        for number, part in enumerate(parts)
    )
    return re.compile(rf"(?:^|/){text}$")
