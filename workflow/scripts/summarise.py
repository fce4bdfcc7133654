"""Write the main result as text."""

from remibench.checkpoints import atomic_path
from remibench.reporting.results import Results
from remibench.reporting.summary import summarise_results
from remibench.runtime import job

with job(snakemake):
    results = Results.read(**dict(snakemake.input.items()))
    with atomic_path(snakemake.output[0]) as temporary:
        temporary.write_text(summarise_results(results), encoding="utf-8")
