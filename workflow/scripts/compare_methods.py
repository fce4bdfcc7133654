"""Compare every method with retraining, and give single models' rates their intervals."""

from remibench.reporting.comparisons import build, build_rates
from remibench.reporting.gather import write_csv
from remibench.reporting.results import Results
from remibench.runtime import job

with job(snakemake):
    results = Results.read(**dict(snakemake.input.items()))
    write_csv(snakemake.output.comparisons, build(results))
    write_csv(snakemake.output.rates, build_rates(results))
