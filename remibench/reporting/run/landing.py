"""The report's first page: what was run, the main result, and what it does not show."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remibench.analysis.results import Results, count_seeds, percent
from remibench.analysis.verdicts import NOT_DECIDED, judge_methods
from remibench.components.registry import controls
from remibench.reporting.html_page import template
from remibench.reporting.run.summary import main_tables
from remibench.reporting.style import ARCHITECTURES, METHODS

READ = {  # what the white-box attacks' config says of their input
    "logits": "logits, as published: also what changes no prediction can change their answers",
    "log_posteriors": "log-posteriors: what changes no prediction changes none of their answers",
}


def landing(results: Results, config: Mapping, figure: str) -> str:
    """HTML that stands at the head of the report.

    Args:
        results: The gathered tables.
        config: The resolved configuration.
        figure: The main figure, the text of its SVG file.
    """
    return template("landing.html.j2").render(
        run=what_was_run(results, config),
        ratio=percent(results.main_ratio),
        whole=results.whole,
        tables=[
            (label, table.to_dict("index"), list(table)) for label, table in main_tables(results)
        ],
        outcome=what_came_out(results),
        figure=re.sub(r"^.*?(?=<svg)", "", figure, flags=re.DOTALL),
        limits=what_it_does_not_show(results),
    )


def what_was_run(results: Results, config: Mapping) -> dict[str, str]:
    """Facts about a run, by name."""
    controlled = set(controls())
    attacks = config["adversaries"]["mia"].values()
    inputs = dict.fromkeys(each["outputs"] for each in attacks if "outputs" in each)
    images = [
        f"{row.target_train:,} training images, {row.test:,} test images"
        for row in results.datasets.itertuples()
    ]
    return {
        "Images": results.sources,
        "In each model": "; ".join(dict.fromkeys(images)),
        "Architectures": ", ".join(ARCHITECTURES[name] for name in results.architectures),
        "Methods": ", ".join(METHODS[m] for m in results.methods if m not in controlled),
        "The attacks read": ", ".join(READ[name] for name in inputs),
        "Controls": ", ".join(METHODS[m] for m in results.methods if m in controlled) or "none",
        "Forgotten": f"{', '.join(map(percent, results.ratios))} of {results.whole}",
        "Seeds": f"{len(config['seeds'])}, each with models of its own; one split of the data",
    }


def what_came_out(results: Results) -> str:
    """The methods by verdict at the main forget ratio, in a sentence; empty without verdicts."""
    table = judge_methods(results.evaluation)
    table = table[(table["n"] > 0) & (table["forget_ratio"] == results.main_ratio)]
    table = table[~table["method"].isin(controls())]
    cells = len(table[["dataset", "architecture"]].drop_duplicates())
    parts = []
    for verdict, rows in table.groupby("verdict", sort=False):
        counts = rows.groupby("method", sort=False).size()
        named = [
            METHODS[m] + (f" ({n} of {cells})" if cells > 1 else "") for m, n in counts.items()
        ]
        parts.append(f"{verdict}: {', '.join(named)}")
    return f"{'; '.join(parts)}." if parts else ""


def what_it_does_not_show(results: Results) -> list[str]:
    """Sentences on what cannot be concluded from a run."""
    table = judge_methods(results.evaluation)
    table = table[~table["method"].isin(controls()) & (table["n"] > 0)]
    undecided = int((table["verdict"] == NOT_DECIDED).sum())
    sentences = []
    if not len(table):
        sentences.append("Retraining was not run, so that nothing says how near a method comes.")
    elif undecided:
        sentences.append(
            f"{undecided} of {len(table)} verdicts are not decided with {count_seeds(table['n'])}: "
            "that is no proof that a method is like retraining."
        )
    if set(results.methods) & set(controls()):
        sentences.append(
            "Controls have forgotten nothing, and temperatures are fitted to retraining's rate. "
            "Where one is like retraining, the attack has been deceived: a method with the same "
            "rate need not have forgotten anything."
        )
    sentences += [
        "An MIA rate of 0 is not success: a forgotten image should look as it does to the "
        "retrained model, whose rate stands beside it.",
        results.not_run,
        results.stalled,
        results.unsearched,
    ]
    return [sentence for sentence in sentences if sentence]
