"""Compare one method's models of all seeds with the retrained ones, image by image."""

from importlib import import_module

from remibench.artifacts.tables import save_table
from remibench.evaluation.across_seeds import comparisons
from remibench.evaluation.predictions import load_scores
from remibench.jobs.script import job

with job(snakemake):
    given = snakemake.input
    models = [
        [load_scores(path, attacks=()) for path in paths]
        for paths in (given.unlearned, given.retrained)
    ]
    rows = []
    for ratio, comparison in comparisons(*models):
        for metric in snakemake.params.metrics:
            module = import_module(f"remibench.evaluation.across_seeds.{metric}")
            measured = module.measure(comparison)
            rows += [
                {
                    "forget_ratio": ratio,
                    "subset": subset,
                    "metric": name,
                    "value": value,
                    "models": len(comparison.unlearned),
                }
                for subset, name, value in measured
            ]
    save_table(snakemake.output[0], rows)
