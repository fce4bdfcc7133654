"""Make one table or figure."""

from importlib import import_module

from remibench.analysis.results import Results
from remibench.jobs.script import job
from remibench.reporting.render import make_figure, make_table

with job(snakemake):
    params, paths = snakemake.params, dict(snakemake.output.items())
    results = Results.read(**dict(snakemake.input.items()))
    make = {"table": make_table, "figure": make_figure}[params.kind]
    make(import_module(params.module), results, params.options, **paths)
