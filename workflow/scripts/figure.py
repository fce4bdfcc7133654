"""Draw one figure."""

from importlib import import_module

from matplotlib.figure import Figure

from remibench.analysis.results import Results
from remibench.components.plugins import call
from remibench.jobs.script import job
from remibench.reporting.render import use_theme, write_figure

with job(snakemake):
    use_theme()
    module = import_module(snakemake.params.module)
    results = Results.read(**dict(snakemake.input.items()))
    figure = call(module, "draw", Figure, results, **snakemake.params.options)
    write_figure(figure, **dict(snakemake.output.items()))
