"""The report's first page: what was run, the main result, and what it does not show."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd

from remibench.analysis.results import Results, count_seeds, percent
from remibench.analysis.verdicts import NOT_DECIDED, judge_methods
from remibench.components.registry import controls
from remibench.reporting.html_page import template
from remibench.reporting.run.summary import main_tables
from remibench.reporting.style import ARCHITECTURES, METHODS

READ = {  # value of `outputs` of the white-box attacks
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
    verdicts = judge_methods(results.evaluation)
    verdicts = verdicts[~verdicts["method"].isin(controls()) & (verdicts["n"] > 0)]
    return template("landing.html.j2").render(
        run=what_was_run(results, config),
        ratio=percent(results.main_ratio),
        whole=results.whole,
        tables=[
            (label, table.to_dict("index"), list(table)) for label, table in main_tables(results)
        ],
        outcome=what_came_out(verdicts[verdicts["forget_ratio"] == results.main_ratio]),
        figure=re.sub(r"^.*?(?=<svg)", "", figure, flags=re.DOTALL),
        limits=what_it_does_not_show(results, verdicts),
    )


def what_was_run(results: Results, config: Mapping) -> dict[str, str]:
    """Facts about a run, by name."""
    controlled = set(controls())
    attacks = config["adversaries"]["mia"].values()
    read = [
        text for name, text in READ.items() if name in [each.get("outputs") for each in attacks]
    ]
    images = [
        f"{row.target_train:,} training images, {row.test:,} test images"
        for row in results.datasets.itertuples()
    ]
    return {
        "Images": results.sources,
        "In each model": "; ".join(dict.fromkeys(images)),
        "Architectures": ", ".join(ARCHITECTURES[name] for name in results.architectures),
        "Methods": ", ".join(METHODS[m] for m in results.methods if m not in controlled),
        **({"The attacks read": "; ".join(read)} if read else {}),
        "Controls": ", ".join(METHODS[m] for m in results.methods if m in controlled) or "none",
        "Forgotten": f"{', '.join(map(percent, results.ratios))} of {results.whole}",
        "Seeds": f"{len(config['seeds'])}, each with models of its own; one split of the data",
    }


def what_came_out(verdicts: pd.DataFrame) -> str:
    """The methods by verdict, in a sentence; empty without verdicts."""
    cells = len(verdicts[["dataset", "architecture"]].drop_duplicates())
    parts = []
    for verdict, rows in verdicts.groupby("verdict", sort=False):
        counts = rows.groupby("method", sort=False).size()
        named = [
            METHODS[m] + (f" ({n} of {cells})" if cells > 1 else "") for m, n in counts.items()
        ]
        parts.append(f"{verdict}: {', '.join(named)}")
    return f"{'; '.join(parts)}." if parts else ""


def what_it_does_not_show(results: Results, verdicts: pd.DataFrame) -> list[str]:
    """Sentences on what cannot be concluded from a run, given the verdicts on its methods."""
    undecided = int((verdicts["verdict"] == NOT_DECIDED).sum())
    sentences = []
    if not len(verdicts):
        sentences.append("Retraining was not run, so that nothing says how near a method comes.")
    elif undecided:
        sentences.append(
            f"{undecided} of {len(verdicts)} verdicts are not decided with "
            f"{count_seeds(verdicts['n'])}: that is no proof that a method is like retraining."
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
