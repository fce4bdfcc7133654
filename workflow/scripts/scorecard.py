"""Put the published numbers beside ours: table, counts, heat map."""

from remibench.analysis.results import Results
from remibench.jobs.script import job
from remibench.reporting.render import use_theme, write_figure
from remibench.reporting.scorecard import build, draw, write

with job(snakemake):
    use_theme()
    results = Results.read(**dict(snakemake.input.items()))
    paths = dict(snakemake.output.items())
    table = build(results)
    write_figure(draw(table), svg=paths.pop("svg"), png=paths.pop("png"))
    write(table, results.remarks, **paths)
