"""Draw one figure."""

from importlib import import_module

from matplotlib.figure import Figure

from remibench.plugins import call
from remibench.reporting.render import use_theme, write_figure
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    use_theme()
    module = import_module(f"remibench.reporting.{snakemake.params.module}")
    results = Results.read(**dict(snakemake.input.items()))
    figure = call(module, "draw", Figure, results, **snakemake.params.options)
    write_figure(figure, **dict(snakemake.output.items()))
