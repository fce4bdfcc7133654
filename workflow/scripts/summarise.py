"""Write the main result as text, and the page that the report opens with."""

from pathlib import Path

import yaml

from remibench.analysis.results import Results
from remibench.artifacts.io import atomic_path
from remibench.jobs.script import job
from remibench.reporting.run.landing import landing
from remibench.reporting.run.summary import summarise_results

with job(snakemake):
    given = dict(snakemake.input.items())
    config = yaml.safe_load(Path(given.pop("config")).read_text(encoding="utf-8"))
    figure = Path(given.pop("figure")).read_text(encoding="utf-8")
    results = Results.read(**given)
    texts = {
        snakemake.output.text: summarise_results(results),
        snakemake.output.landing: landing(results, config, figure),
    }
    for path, text in texts.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
