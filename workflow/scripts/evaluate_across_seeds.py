"""Compare one method's models of all seeds with the retrained ones, image by image."""

from remibench.artifacts.tables import save_table
from remibench.evaluation.across_seeds import comparisons, measure_all
from remibench.evaluation.predictions import load_scores
from remibench.jobs.script import job

with job(snakemake):
    given = snakemake.input
    models = [
        [load_scores(path, attacks=()) for path in paths]
        for paths in (given.unlearned, given.retrained)
    ]
    rows = [
        {
            "forget_ratio": ratio,
            "subset": subset,
            "metric": name,
            "value": value,
            "models": len(comparison.unlearned),
        }
        for ratio, comparison in comparisons(*models)
        for subset, name, value in measure_all(snakemake.params.metrics, comparison)
    ]
    save_table(snakemake.output[0], rows)
