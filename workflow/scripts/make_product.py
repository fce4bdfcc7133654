"""Make the tables or figures of one module."""

from remibench.analysis.results import Results
from remibench.jobs.script import job
from remibench.reporting.render import make_product

with job(snakemake):
    results = Results.read(**dict(snakemake.input.items()))
    for number, product in enumerate(snakemake.params.products):
        paths = {suffix: files[number] for suffix, files in snakemake.output.items()}
        make_product(product, results, **paths)
