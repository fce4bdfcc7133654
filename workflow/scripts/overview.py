"""Show what the run was made of and what came out of every part of it."""

from pathlib import Path

import yaml

from remibench.analysis.gather import join
from remibench.analysis.results import Results
from remibench.artifacts.io import load_json
from remibench.jobs.script import job
from remibench.reporting.render import use_theme, write_figure, write_page
from remibench.reporting.run.overview import build
from remibench.reporting.run.training_curves import draw

with job(snakemake):
    use_theme()
    given, paths = dict(snakemake.input.items()), dict(snakemake.output.items())
    curves = join(given.pop("curves"))
    write_figure(draw(curves), svg=paths.pop("svg"), png=paths.pop("png"))
    pages = build(
        metadata={record["dataset"]: record for record in map(load_json, given.pop("metadata"))},
        config=yaml.safe_load(Path(given.pop("config")).read_text(encoding="utf-8")),
        provenance=load_json(given.pop("provenance")),
        results=Results.read(**given),
    )
    for name, path in paths.items():
        write_page(path, pages[name].table, pages[name].title, pages[name].note)
