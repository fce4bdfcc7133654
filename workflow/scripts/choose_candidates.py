"""Judge all candidates of a search against retraining, and write the best as a config overlay."""

import pandas as pd
import yaml

from remibench.checkpoints import atomic_path
from remibench.reporting.gather import join_evaluations, write_csv
from remibench.reporting.render import write_formatted
from remibench.runtime import job
from remibench.tuning import (
    choose_candidates,
    describe_choice,
    format_choice,
    judge_candidates,
    overlay,
)

with job(snakemake):
    given, output = snakemake.input, snakemake.output
    trials = judge_candidates(join_evaluations(given.evaluation))
    chosen = choose_candidates(trials)
    table = describe_choice(trials, chosen, pd.read_csv(given.published))
    write_csv(output.trials, trials)
    paths = dict(zip(snakemake.params.methods, output.values, strict=True))
    for method, path in paths.items():
        write_csv(path, chosen[method])
    write_csv(output.csv, table)
    title = "Hyper-parameters found by search"
    note = "In brackets the paper's value (Table II). Gap: docs/protocol.md, remibench/tuning.py."
    write_formatted(format_choice(table), title, note, output.tex, output.html)
    with atomic_path(output.overlay) as temporary:
        temporary.write_text(yaml.safe_dump(overlay(paths)), encoding="utf-8")
