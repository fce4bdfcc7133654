"""Judge all candidates of a search against retraining, and write the best as a config overlay."""

import yaml

from remibench.analysis.gather import join
from remibench.analysis.results import Results
from remibench.analysis.search import (
    choose_candidates,
    complete_values,
    describe_choice,
    format_choice,
    judge_candidates,
    overlay,
)
from remibench.artifacts.io import atomic_path
from remibench.artifacts.tables import TEXT, load_table, write_csv
from remibench.jobs.script import job
from remibench.reporting.beyond.search import draw
from remibench.reporting.render import use_theme, write_figure, write_formatted

with job(snakemake):
    given, output = dict(snakemake.input.items()), snakemake.output
    candidates = load_table(given.pop("candidates"), TEXT | {"value"})
    evaluated = given.pop("evaluated")
    base = load_table(given.pop("hyperparameters"), TEXT | {"value"})
    results = Results.read(**given)
    trials = judge_candidates(join(evaluated, results.ratios), candidates)
    chosen = choose_candidates(trials, candidates)
    table = describe_choice(trials, chosen, results.published, results.paper_names)
    write_csv(output.trials, trials)
    write_csv(output.csv, table)
    paths = dict(zip(snakemake.params.searched, output.values, strict=True))
    for method, parameters in snakemake.params.searched.items():
        write_csv(paths[method], complete_values(chosen, base, method, parameters))
    note = "Gap: distance from retraining (docs/protocol.md). In brackets the paper's Table II. "
    note += results.remarks
    write_formatted(format_choice(table), "Parameters found", note, output.tex, output.html)
    use_theme()
    for method, svg, png in zip(snakemake.params.searched, output.svg, output.png, strict=True):
        write_figure(draw(trials, candidates, method), svg, png)
    with atomic_path(output.overlay) as temporary:
        temporary.write_text(yaml.safe_dump(overlay(paths)), encoding="utf-8")
