"""Draw one figure."""

from importlib import import_module

from remibench.reporting.render import use_theme, write_figure
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    given = snakemake.input
    use_theme()
    module = import_module(f"remibench.reporting.{snakemake.params.module}")
    results = Results.read(given.evaluation, given.histories, given.datasets, given.published)
    write_figure(module.draw(results), **dict(snakemake.output.items()))
