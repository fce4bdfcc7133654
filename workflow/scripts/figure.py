"""Draw one figure."""

from importlib import import_module

from remibench.reporting.render import use_theme, write_figure
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    use_theme()
    module = import_module(f"remibench.reporting.{snakemake.params.module}")
    results = Results.read(**dict(snakemake.input.items()))
    write_figure(module.draw(results), **dict(snakemake.output.items()))
