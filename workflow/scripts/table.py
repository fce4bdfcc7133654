"""Make one table."""

from importlib import import_module

from remibench.reporting.render import write_table
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    module = import_module(f"remibench.reporting.{snakemake.params.module}")
    results = Results.read(**dict(snakemake.input.items()))
    table = module.build(results)
    layout = (module.TITLE, module.ROWS, module.DECIMALS)
    write_table(table, results.remarks, *layout, **dict(snakemake.output.items()))
