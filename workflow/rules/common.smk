"""The configuration and the functions that the rules share. No science here."""

import shlex
import sys
from functools import cache, partial
from pathlib import Path

from snakemake.logging import logger

from remibench.config.folders import check_results, locate
from remibench.config.model import ORIGINAL, load_config
from remibench.config.cells import describe_unsearched
from remibench.config.variants import method_of
from remibench.errors import RemibenchError
from remibench.evaluation.published import published_rates
from remibench.artifacts import lock, paths
from remibench.artifacts.identity import sha256
from remibench.components.declarations import constant
from remibench.components.plugins import ROOT
from remibench.components.products import products
from remibench.components.registry import (
    PAPER_SELECTION,
    controls,
    methods,
    components,
    selection_restricts,
)
from remibench.jobs.code_digest import code_digest
from remibench.jobs.provenance import plugin_digests
from remibench.jobs.resources import job_resources
from remibench.jobs.signals import end_jobs_on_signals
from remibench.jobs.slurm import watch_queue
from remibench.jobs.surroundings import isolate

try:
    cfg = load_config(config)
    if workflow.is_main_process:  # a job may find results of others alone
        check_results(cfg.results)
except RemibenchError as error:
    sys.exit(str(error))
if workflow.is_main_process and cfg.unsearched():
    logger.warning(f"config: {describe_unsearched(cfg.unsearched())}")
isolate()  # jobs inherit this environment
# Snakemake writes the path of Python into a job's shell command as it is, blanks and all.
sys.executable = shlex.quote(sys.executable.strip("'"))
# What jobs read from the config itself, defaults resolved: no result depends on it.
config["data"] = cfg.data.model_dump()
config["data"]["search_path"] = [str(locate(path)) for path in cfg.data.search_path]
config["ratios_of_classes"] = (
    [] if selection_restricts(cfg.forgetting.selection) else cfg.forget_ratios
)
config["checkpoint_seconds"] = cfg.checkpoint_seconds
config["plugins"] = cfg.plugins
# Read by workflow/report/workflow.rst, once it is made.
landing = Path(cfg.results, paths.ARTIFACTS["landing"])
config["landing"] = str(landing) if landing.exists() else ""


def attend():
    """End with signals from here on, and say why SLURM lets jobs wait."""
    end_jobs_on_signals()
    if workflow.executor_plugin.name == "slurm":
        watch_queue(workflow.workdir_init, logger.warning)


# The run, which locks the results tree; none where a storage plugin keeps the results.
config["run"] = None
if not workflow.storage_settings.default_storage_provider:
    try:
        is_job = not workflow.is_main_process
        config["run"] = lock.describe_run(cfg.results, cfg.model_dump_json(), is_job)
    except RemibenchError as error:
        sys.exit(str(error))

    envvars:
        lock.VARIABLE,

    onstart:
        try:
            lock.take(config["run"])
        except RemibenchError as error:
            sys.exit(str(error))
        attend()

    onsuccess:
        lock.release()

    onerror:
        lock.release()

else:

    onstart:
        attend()


pathvars:
    results=cfg.results,


METHODS = methods()
CONTROLS = controls()
METHOD = rf"(?:{'|'.join(METHODS)})(?:~\d+)?"  # or a variant of one
EVALUABLE = "|".join([ORIGINAL, METHOD, *CONTROLS])


wildcard_constraints:
    dataset="|".join(cfg.datasets),
    architecture="|".join(cfg.architectures),
    seed=r"\d+",
    role="target|shadow",
    adversary="mf|mia",
    attack="|".join(components("attacks")),
    method=METHOD,
    ratio=paths.RATIO,


def at(name, suffix=None, **fixed):
    """The pattern of an artifact below the results folder, some of its wildcards filled in.

    Another suffix is that of the same artifact in another format.
    """
    pattern = f"<results>/{paths.ARTIFACTS[name]}"
    for wildcard, value in fixed.items():
        pattern = pattern.replace(f"{{{wildcard}}}", value)
    return pattern.rpartition(".")[0] + suffix if suffix else pattern


def log_of(rule):
    """The log of the jobs of a rule with wildcards."""
    return f"<results>/{paths.log_path(rule)}"


def benchmark_of(rule):
    """The benchmark file of the jobs of a rule with wildcards."""
    return f"<results>/{paths.benchmark_path(rule)}"


DATA = {name: at(name) for name in ("images", "labels", "metadata", "splits")}
SELECTION = {
    "selection": cfg.forgetting.selection,
    "parameters": cfg.forgetting.parameters,
    "split_seed": cfg.data.split_seed,
}
SELECTION_MODULE = f"selections.{cfg.forgetting.selection}"
SELECTION_ATTRIBUTES = at("attributes") if "attributes" in cfg.forgetting.uses else []
# The paper's numbers; here, wherever results are stored.
PUBLISHED = local(str(locate("paper/numbers.csv")))
GATHERED = {  # what tables and figures are made of
    **{name: at(name) for name in paths.GATHERED},
    "published": PUBLISHED,
}
PRODUCTS = products(cfg.forget_ratios)  # tables and figures
# One thread a job: jobs in parallel use the cores better than threads within a job do, and results
# then do not depend on --cores.
THREADS = 1
PROGRESS = f"{cfg.results}/{paths.PROGRESS}"  # pathvars are not expanded in params
ENVIRONMENT = "../../envs/remibench.yaml"
resources_for = partial(job_resources, device=cfg.device)


SEED_ORDER = {str(seed): place for place, seed in enumerate(cfg.seeds)}


def earlier_seeds_first(wildcards):
    """Priority of a job: a run that is ended before its end has whole seeds."""
    return -SEED_ORDER.get(wildcards["seed"], len(SEED_ORDER))


def checkpoint(wildcards):
    """The file of a model that is brought in."""
    w = wildcards
    return cfg.models.checkpoint(w.role, w.dataset, w.architecture, int(w.seed))


def method_spec(wildcards):
    """Module and guide of a method, or of the method that a variant is of."""
    return METHODS[method_of(wildcards.method)]


def uses(wildcards):
    """Inputs of a control, beyond the target and the forget set."""
    return constant(CONTROLS[wildcards.method], "USES", ())


def rates_of_paper(architecture):
    """The paper's rates that jobs compute with; they hold for the paper's forget sets."""
    paper = cfg.forgetting.selection == PAPER_SELECTION
    return published_rates(architecture) if paper else {}


@cache
def source_digest(script, *dynamic):
    """Digest of the source of the modules that a rule depends on (see remibench.jobs.code_digest).

    A dry-run of the paper's grid asks ten thousand times for some dozens of different ones.
    """
    return code_digest(Path(workflow.basedir, "workflow", "scripts", script), *dynamic)


def escaped(text):
    """The same text as a string with doubled braces, where a string is required."""
    return text.replace("{", "{{").replace("}", "}}")


def names_of_products(kind):
    """What the wildcard of tables or of figures can be."""
    return "|".join(name for name, each in PRODUCTS.items() if each.kind == kind)


def product_files(kind):
    """The files of a table or figure by format; the last is shown in the report."""
    *others, shown = paths.FORMATS[kind]
    return {suffix: at(kind, suffix=f".{suffix}") for suffix in others} | {
        shown: report(
            at(kind, suffix=f".{shown}"),
            caption="../report/caption.rst",
            category=f"{kind.capitalize()}s",
            labels=lambda w: {kind: escaped(PRODUCTS[w.product].label)},
        )
    }


def further_inputs(wildcards):
    """What a table or figure is made from, beside the gathered tables."""
    product = PRODUCTS[wildcards.product]
    file = components("reporting")[product.module.rpartition(".")[2]]
    also = constant(file, "ALSO", ()) if cfg.across_seeds else ()
    return {name: at(name) for name in (*product.inputs, *also)}


def reported_products():
    """Tables and figures of a run, as the report shows them."""
    return [
        at(each.kind, suffix=f".{paths.FORMATS[each.kind][-1]}", product=each.name)
        for each in PRODUCTS.values()
        if cfg.across_seeds or "across_seeds" not in each.inputs
    ]


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
    return expand(at("predictions"), seed=cfg.seeds, method=method, allow_missing=True)


def compared_across_seeds(wildcards):
    """Every method across seeds, if that is asked for."""
    if not cfg.across_seeds:
        sys.exit(
            "config: `across_seeds` lists no metric; lay config/across_seeds.yaml over your config"
        )
    return expand(
        at("compared"),
        dataset=cfg.datasets,
        architecture=cfg.architectures,
        method=[*cfg.methods, *cfg.controls],
    )


def reported(wildcards):
    """Provenance, unless these are the data of a search, of which no table is made."""
    if cfg.variants:
        sys.exit(
            "config: `data.swap_target_and_shadow: true` is never reported; the target is tune"
        )
    return at("provenance")


def evaluated_variants(wildcards):
    """Evaluations of all variants, of retraining and of the target itself."""
    if not cfg.variants:
        sys.exit("config: `variants` lists none; lay config/tune.yaml over your config")
    names = [name for method in cfg.variants for name in cfg.variants_of(method)]
    return cells(at("metrics"), method=[ORIGINAL, "retrain", *names])


def traced():
    """All variants of white-box ReMI: each is its run, ended after some epochs."""
    if "remi_whitebox" not in cfg.variants:
        sys.exit(
            "config: `variants.remi_whitebox` lists no epochs; "
            "lay config/mechanism.yaml over config/study_remi.yaml"
        )
    return list(cfg.variants_of("remi_whitebox"))
