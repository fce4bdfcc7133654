"""Judge all readings of a method's loss against the paper and retraining."""

from remibench.analysis.gather import join
from remibench.analysis.readings import NOTE, format_readings, judge_readings
from remibench.analysis.results import Results
from remibench.artifacts.io import atomic_path
from remibench.artifacts.tables import TEXT, load_table, write_csv
from remibench.jobs.script import job
from remibench.reporting.render import to_markdown, write_formatted

with job(snakemake):
    given, output = dict(snakemake.input.items()), snakemake.output
    candidates = load_table(given.pop("candidates"), TEXT | {"value"})
    evaluated = given.pop("evaluated")
    results = Results.read(**given)
    evaluation = join(evaluated, results.ratios)
    readings = judge_readings(evaluation, candidates, results.published, results.paper_names)
    write_csv(output.evaluation, evaluation)
    write_csv(output.csv, readings)
    table = format_readings(readings, results.published, results.paper_names)
    note = f"{NOTE} {results.remarks}"
    with atomic_path(output.md) as temporary:
        temporary.write_text(to_markdown(table) + "\n", encoding="utf-8")
    write_formatted(table, "Readings of ReMI's loss", note, output.tex, output.html)
