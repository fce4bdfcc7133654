"""Make one table."""

from importlib import import_module

from pandas import DataFrame

from remibench.analysis.results import Results
from remibench.components.plugins import call
from remibench.jobs.script import job
from remibench.reporting.render import write_table

with job(snakemake):
    module = import_module(snakemake.params.module)
    results = Results.read(**dict(snakemake.input.items()))
    table = call(module, "build", DataFrame, results, **snakemake.params.options)
    texts = (
        call(module, "layout", DataFrame, table),
        module.TITLE,
        module.explain(table, results.remarks),
    )
    write_table(table, *texts, **dict(snakemake.output.items()))
