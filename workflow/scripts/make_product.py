"""Make a table or figure."""

from remibench.analysis.results import Results
from remibench.jobs.script import job
from remibench.reporting.render import make_product

with job(snakemake):
    results = Results.read(**dict(snakemake.input.items()))
    make_product(snakemake.params.product, results, **dict(snakemake.output.items()))
