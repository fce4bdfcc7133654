"""Make one table."""

from importlib import import_module

from remibench.reporting.render import write_table
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    given = snakemake.input
    module = import_module(f"remibench.reporting.{snakemake.params.module}")
    results = Results.read(given.evaluation, given.histories, given.datasets, given.published)
    table = module.build(results)
    layout = (module.TITLE, module.ROWS, module.DECIMALS)
    write_table(table, results.sources, *layout, **dict(snakemake.output.items()))
