"""Show what unlearning does to the attacks' scores, epoch by epoch, on one target model."""

from pathlib import Path

from remibench.artifacts.tables import TEXT, load_table, write_csv
from remibench.evaluation.predictions import load_scores
from remibench.jobs.script import job
from remibench.reporting.beyond.mechanism import (
    draw_distributions,
    draw_rates,
    epochs_of,
    stopping_epoch,
    trace,
)
from remibench.reporting.render import use_theme, write_figure

with job(snakemake):
    use_theme()
    output = snakemake.output
    models = {Path(path).stem: load_scores(path) for path in snakemake.input.scores}
    epochs = epochs_of(load_table(snakemake.input.candidates, TEXT | {"value"}))
    table = trace(models, epochs, float(snakemake.wildcards.ratio))
    histories = [load_table(path) for path in snakemake.input.histories]
    stop = stopping_epoch(max(histories, key=len))
    write_csv(output.table, table.assign(stopping_epoch=stop))
    write_figure(draw_rates(table, stop), svg=output.rates, png=output.rates_png)
    write_figure(draw_distributions(table), svg=output.spread, png=output.spread_png)
