"""Make one table."""

from importlib import import_module

from pandas import DataFrame

from remibench.plugins import call
from remibench.reporting.render import write_table
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    module = import_module(f"remibench.reporting.{snakemake.params.module}")
    results = Results.read(**dict(snakemake.input.items()))
    table = call(module, "build", DataFrame, results)
    texts = (
        call(module, "layout", DataFrame, table),
        module.TITLE,
        module.explain(table, results.remarks),
    )
    write_table(table, *texts, **dict(snakemake.output.items()))
