"""Compare every method with retraining, and give single models' rates their intervals."""

from remibench.analysis.results import Results
from remibench.artifacts.tables import write_csv
from remibench.jobs.script import job
from remibench.reporting.beyond.comparisons import TITLE, build, build_rates, explain, layout
from remibench.reporting.render import write_page

with job(snakemake):
    results = Results.read(**dict(snakemake.input.items()))
    output, table = snakemake.output, build(results)
    write_csv(output.comparisons, table)
    write_page(output.html, layout(table), TITLE, explain(results.remarks))
    write_csv(output.rates, build_rates(results))
