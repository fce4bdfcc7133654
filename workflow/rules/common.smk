"""The configuration, and what the rules share. No science here."""

import sys
from functools import partial
from glob import glob
from pathlib import Path

from remibench.config.model import ORIGINAL, load_config
from remibench.errors import RemibenchError
from remibench.components.registry import (
    methods,
    module_name,
    modules,
    plugin_modules,
    title_and_caption,
)
from remibench.jobs.provenance import code_digest, plugin_digests
from remibench.jobs.resources import job_resources

try:
    cfg = load_config(config)
except RemibenchError as error:
    sys.exit(str(error))
if Path(cfg.results).is_file():
    sys.exit(f"config: `results`: {cfg.results} is a file; move it or choose a folder")
# What jobs read from the config itself, defaults resolved: no result depends on it.
config["data"] = cfg.data.model_dump()
config["checkpoint_seconds"] = cfg.checkpoint_seconds
config["plugins"] = cfg.plugins


pathvars:
    results=cfg.results,


METHODS = methods()
# A method, or a candidate of `tune`: its method and the values that are its own.
METHOD = rf"(?:{'|'.join(METHODS)})(?:,\w+=[^,/]+)*"


wildcard_constraints:
    dataset="|".join(cfg.datasets),
    architecture="|".join(cfg.architectures),
    seed=r"\d+",
    role="target|shadow",
    attack="mf|mia",
    access="|".join(modules("attacks")),
    method=METHOD,
    ratio=r"0\.\d+",


UNLEARNED = {
    name: f"<results>/unlearned/{{dataset}}/{{architecture}}/{{seed}}/{{method}}/{{ratio}}.{suffix}"
    for name, suffix in {
        "model": "safetensors",
        "history": "history.csv",
        "cost": "json",
    }.items()
}
EVALUATED = {
    name: f"<results>/evaluation/{{dataset}}/{{architecture}}/{{seed}}/{{method}}.{suffix}"
    for name, suffix in {"table": "csv", "scores": "npz"}.items()
}
DATA = {
    name: f"<results>/data/{{dataset}}/{name}.{suffix}"
    for name, suffix in {
        "images": "npy",
        "labels": "npy",
        "metadata": "json",
        "splits": "npz",
    }.items()
}
GATHERED = {  # what tables and figures are made of
    "evaluation": "<results>/evaluation.csv",
    "histories": "<results>/histories.csv",
    "datasets": "<results>/datasets.csv",
    "training": "<results>/training.csv",
    "attacks": "<results>/attacks.csv",
    "published": local(
        sorted(glob("paper/*.csv", root_dir=workflow.basedir))
    ),  # wherever results are stored
}
# One thread a job: jobs in parallel use the cores better than threads within a job do, and results
# then do not depend on --cores.
THREADS = 1
PROGRESS = f"{cfg.results}/progress"  # pathvars are not expanded in params
ENVIRONMENT = "../../envs/remibench.yaml"
needs = partial(job_resources, device=cfg.device)


def entry(wildcards):
    """The method's entry in METHODS, for a candidate that of its method."""
    return METHODS[wildcards.method.partition(",")[0]]


def code(script, *dynamic):
    """Digest of the library modules that a rule depends on (see remibench.jobs.provenance)."""
    return code_digest(Path(workflow.basedir, "workflow", "scripts", script), *dynamic)


def verbatim(text):
    """A text whose braces Snakemake leaves alone: it fills in wildcards of strings only."""
    return lambda wildcards: text


def escaped(text):
    """The same for what must be a string."""
    return text.replace("{", "{{").replace("}", "}}")


def cells(pattern, **axes):
    """Every cell of the configured grid, for patterns over dataset, architecture and seed."""
    return expand(
        pattern,
        dataset=cfg.datasets,
        architecture=cfg.architectures,
        seed=cfg.seeds,
        **axes,
    )


def all_seeds(method):
    """The scores of a method's models of all seeds, in one dataset and architecture."""
    return expand(
        EVALUATED["scores"], seed=cfg.seeds, method=method, allow_missing=True
    )


def compared_across_seeds(wildcards):
    """Every method across seeds, if that is asked for."""
    if not cfg.across_seeds:
        sys.exit(
            "config: `across_seeds` lists no metric; lay config/across_seeds.yaml over your config"
        )
    return expand(
        "<results>/across_seeds/{dataset}/{architecture}/{method}.csv",
        dataset=cfg.datasets,
        architecture=cfg.architectures,
        method=cfg.methods,
    )


def reported(wildcards):
    """Provenance, unless these are the data of a search: no table is made of those."""
    if cfg.tune:
        sys.exit("config: `data.halves: tuning` is never reported; the target is tune")
    return "<results>/provenance.json"


def candidates(wildcards):
    """Evaluations of all candidates, of retraining and of the target itself."""
    if not cfg.tune:
        sys.exit(
            "config: `tune` lists no candidates; lay config/tune.yaml over your config"
        )
    searched = [name for method in cfg.tune for name in cfg.candidates(method)]
    return cells(EVALUATED["table"], method=[ORIGINAL, "retrain", *searched])


def traced():
    """All candidates of white-box ReMI: each is its run, ended after some epochs."""
    if "remi_whitebox" not in cfg.tune:
        sys.exit(
            "config: `tune.remi_whitebox` lists no epochs; "
            "lay config/mechanism.yaml over config/study_remi.yaml"
        )
    return cfg.candidates("remi_whitebox")
