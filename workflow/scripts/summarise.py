"""Write the main result as text."""

from remibench.analysis.results import Results
from remibench.artifacts.io import atomic_path
from remibench.jobs.script import job
from remibench.reporting.run.summary import summarise_results

with job(snakemake):
    results = Results.read(**dict(snakemake.input.items()))
    with atomic_path(snakemake.output[0]) as temporary:
        temporary.write_text(summarise_results(results), encoding="utf-8")
