"""Audit of unlearned models: its tables, its figure and its page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from remibench import __version__
from remibench.analysis.gaps import REFERENCE
from remibench.analysis.quantities import Quantity, mathematical
from remibench.analysis.results import METHODS, count_seeds, in_order, percent
from remibench.analysis.statistics import summarise
from remibench.analysis.verdicts import JUDGED, judge_gaps, judge_methods
from remibench.artifacts.io import atomic_path
from remibench.artifacts.tables import write_csv
from remibench.components import registry
from remibench.components.display import COLORS, MARKERS, made_colour
from remibench.reporting.html_page import cell_text, template
from remibench.reporting.render import format_cell, format_gap, use_theme
from remibench.reporting.style import dodge

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDS = ("gap", "low", "high")
ADVERSARIES = {"mf": "auditor", "mia": "attacker", "calibrated": "calibrated attacker"}
ROW_HEIGHT = 0.32  # inches
WEAK = 0.55  # AUC below which an attack that finds nothing says nothing


@dataclass(frozen=True)
class Audit:
    """What :func:`remibench.audit` found.

    Attributes:
        evaluation: Tidy, as the workflow's ``evaluation.csv``: ``dataset``, ``architecture``,
            ``seed``, ``method`` (``original`` for the model before, ``retrain``, the names of
            ``after``, controls), ``forget_ratio``, ``subset``, ``metric``, ``value``.
        attacks: Quality of every attack on the model before, a row per ``seed`` and ``attack``:
            balanced ``accuracy``, ``auc``, ``tpr`` and ``fpr`` at probability .5, ``members`` and
            ``nonmembers`` (numbers of images that it was not fitted on).
        images: Number of images by role, and in the forget set.
        rate: Metric that verdicts are of: ``mia_whitebox_rate``, the attacker's, or
            ``mf_whitebox_rate``, the auditor's.
        shadow: "given", "trained", or "" where there is no shadow model.
    """

    evaluation: pd.DataFrame
    attacks: pd.DataFrame
    images: Mapping[str, int]
    rate: str
    shadow: str

    @property
    def methods(self) -> list[str]:
        """Names in ``evaluation``: the model before, retraining, what was audited, controls."""
        run = in_order(self.evaluation["method"])
        controls = [name for name in run if name in registry.controls()]
        return [name for name in run if name not in controls] + controls

    @property
    def seeds(self) -> int:
        """Number of models of each name."""
        return self.evaluation["seed"].nunique()

    @property
    def retrained(self) -> bool:
        """Whether there is a retrained model to compare with."""
        return REFERENCE in set(self.evaluation["method"])

    @cached_property
    def gaps(self) -> pd.DataFrame:
        """Gap to retraining of every metric, see :func:`remibench.analysis.verdicts.judge_gaps`.

        Empty without a retrained model.
        """
        table = judge_gaps(self.evaluation)
        return table if self.retrained else table.iloc[:0]

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """Verdict on every model, see :func:`remibench.analysis.verdicts.judge_methods`.

        ``mia_gap`` … are of ``rate``. Empty without a retrained model.
        """
        table = judge_methods(self.evaluation, self.rate)
        return table if self.retrained else table.iloc[:0]

    @property
    def quantities(self) -> list[Quantity]:
        """The quantities that are shown first, as far as they were measured."""
        attack = self.rate.removesuffix("_rate")
        shown = [
            *(quantity for name, quantity in JUDGED.items() if name != "mia"),
            Quantity("accuracy", "test_forget", "accuracy test, forgotten classes", 100, 1),
            Quantity("accuracy", "test_retain", "accuracy test, other classes", 100, 1),
            Quantity(self.rate, "forget", "attack rate D_f"),
            Quantity(self.rate, "test", "attack rate test"),
            Quantity(f"{attack}_auc", "forget", "AUC D_f"),
            Quantity(f"{attack}_tpr_at_1pct", "forget", "TPR D_f at 1% FPR"),
        ]
        measured = self.evaluation.dropna(subset=["value"])
        keys = set(zip(measured["metric"], measured["subset"], strict=True))
        return [each for each in shown if (each.metric, each.subset) in keys]

    @property
    def table(self) -> pd.DataFrame:
        """Main numbers, a line per model: means over seeds, with 95 % t-intervals if several."""
        return self._wide(self.quantities)

    @property
    def by_attack(self) -> pd.DataFrame:
        """Every attack on every model: rate and AUC on the forget set, rate on test images."""
        names = self.evaluation["metric"][self.evaluation["metric"].str.endswith("_rate")]
        lines = []
        for attack in dict.fromkeys(names.str.removesuffix("_rate")):
            for metric, subset, what in (
                ("rate", "forget", "rate D_f"),
                ("rate", "test", "rate test"),
                ("auc", "forget", "AUC D_f"),
            ):
                label = f"{self._attack(attack)}: {what}"
                lines.append(Quantity(f"{attack}_{metric}", subset, label))
        wide = self._wide(lines).set_index("model").T
        return wide.rename_axis(index="attack", columns=None).reset_index()

    @property
    def comparison(self) -> pd.DataFrame:
        """Gap of every model to retraining in the four quantities of a verdict, and the verdict."""
        judged = JUDGED | {"mia": replace(JUDGED["mia"], label="attack rate D_f")}
        lines = []
        for row in self.verdicts.to_dict("records"):
            line = {"model": self.label(row["method"])}
            for name, quantity in judged.items():
                ends = (row[f"{name}_{end}"] for end in ENDS)
                line[quantity.label] = format_gap(*ends, quantity)
            lines.append(line | {"verdict": row["verdict"]})
        return pd.DataFrame(lines)

    @property
    def notes(self) -> list[str]:
        """What a reader must know of these numbers, a sentence or two each."""
        notes = []
        if not self.retrained:
            notes.append(
                "No retrained model was given: there is no gap and no verdict. A number that is "
                "nearer to 0 is not better; it should be what a model has that never saw the "
                "forget set."
            )
        elif self.seeds < 2:
            notes.append(
                "One model of each was given: gaps have no intervals, and nothing is decided. "
                "Verdicts take two or more models of each, trained with other seeds."
            )
        if self.shadow:
            notes.append(
                f"The attacker's attacks (mia) were fitted on a shadow model, which was "
                f"{self.shadow}; the auditor's (mf) on the model before, whose training images the "
                "auditor knows."
            )
        else:
            notes.append(
                "There is no shadow model: all attacks are the auditor's (mf), fitted on the model "
                "before with known training images. No attacker has these; an attacker's success "
                "was not measured."
            )
        if "test_forget" in set(self.evaluation["subset"]):
            notes.append(
                "The forget set is of some classes alone: its AUC and TPR are against test images "
                "of these classes."
            )
        weak = self.attacks[self.attacks["auc"] < WEAK]["attack"] if len(self.attacks) else []
        if len(weak):
            notes.append(
                "These attacks hardly tell members from others on the model before (AUC below "
                f"{WEAK}), so that they find nothing after unlearning shows nothing: "
                f"{', '.join(dict.fromkeys(weak))}."
            )
        if any(method in registry.controls() for method in self.methods):
            notes.append(
                "Controls change the model before and forget nothing. A number in which a control "
                "is as near to retraining as an unlearned model does not show forgetting."
            )
        return notes

    @property
    def headline(self) -> str:
        """The verdicts in one line, with the two gaps that tell most."""
        if not self.retrained:
            return "No verdict: no retrained model was given."
        aside, phrases = {"original", *registry.controls()}, []
        for row in self.verdicts.to_dict("records"):
            if row["method"] not in aside:
                mia, test = (
                    format_gap(*(row[f"{name}_{end}"] for end in ENDS), JUDGED[name])
                    for name in ("mia", "test")
                )
                phrases.append(
                    f"{self.label(row['method'])}: {row['verdict']} (against retraining: attack "
                    f"rate on D_f {mia}, accuracy on test images {test} points)"
                )
        return "; ".join(phrases) + "."

    def label(self, method: str) -> str:
        """The name of a model for readers."""
        return METHODS.get(method, method[:1].upper() + method[1:])

    def figure(self) -> Figure:
        """Draw the main shares of every model, a line per quantity and a point per model."""
        use_theme()
        import matplotlib.pyplot as plt

        quantities = self.quantities
        summary = self._summary
        height = ROW_HEIGHT * len(quantities) + 0.9
        figure, axis = plt.subplots(figsize=(6.5, height))
        methods = self.methods
        for position, method in enumerate(methods):
            rows = [summary.get((method, each.metric, each.subset)) for each in quantities]
            offset = dodge(position, len(methods), 0.7)
            colour = COLORS.get(method, made_colour(method))
            at = [line + offset for line in range(len(rows))]
            means = [row[0] if row else float("nan") for row in rows]
            style = {"linestyle": "", "marker": MARKERS.get(method, "o"), "ms": 4, "clip_on": False}
            axis.plot(means, at, color=colour, label=self.label(method), **style)
            for line, row in zip(at, rows, strict=True):
                if row and pd.notna(row[1]):
                    axis.hlines(line, row[1], row[2], color=colour, linewidth=1)
        axis.set(xlim=(0, 1), ylim=(len(quantities) - 0.5, -0.5), xlabel="Share")
        labels = [mathematical(each.label) for each in quantities]
        axis.set_yticks(range(len(quantities)), labels)
        axis.grid(visible=True, axis="x")
        axis.grid(visible=False, axis="y")
        for line in range(1, len(quantities)):
            axis.axhline(line - 0.5, color="0.9", linewidth=0.6, zorder=0)
        figure.legend(loc="outside upper center", ncols=min(4, len(methods)))
        plt.close(figure)
        return figure

    def to_csv(self, folder: str | Path) -> list[Path]:
        """Write the tables as CSV files into a folder, and return their paths."""
        tables = {
            "evaluation": self.evaluation,
            "attacks": self.attacks,
            "gaps": self.gaps,
            "verdicts": self.verdicts,
        }
        paths = []
        for name, table in tables.items():
            if len(table):
                paths.append(Path(folder, f"{name}.csv"))
                write_csv(paths[-1], table)
        return paths

    def to_html(self, path: str | Path) -> Path:
        """Write one page with everything in it, which opens without a network; return its path."""
        with atomic_path(path) as temporary:
            temporary.write_text(self._page(), encoding="utf-8")
        return Path(path)

    def __str__(self) -> str:
        """The verdicts, the main numbers and the notes as text."""
        return "\n".join([self.headline, "", self.table.to_string(index=False), "", *self.notes])

    def _repr_html_(self) -> str:
        """The main numbers, for notebooks."""
        return f"<p>{self.headline}</p>{_html(self.table)}"

    @cached_property
    def _summary(self) -> dict[tuple[str, str, str], tuple[float, float, float]]:
        rows = self.evaluation.fillna({"subset": ""})
        table = summarise(rows, ["method", "metric", "subset"])
        return {(row[0], row[1], row[2]): tuple(row[3:6]) for row in table.itertuples(index=False)}

    def _wide(self, quantities: list[Quantity]) -> pd.DataFrame:
        """A line per model and a column per quantity, as text."""
        lines = []
        for method in self.methods:
            line = {"model": self.label(method)}
            for each in quantities:
                key = (method, each.metric, each.subset)
                numbers = self._summary.get(key, (float("nan"),) * 3)
                shown = format_cell(*numbers, float("nan"), each.decimals, scale=each.scale)
                line[each.title] = shown
            lines.append(line)
        return pd.DataFrame(lines)

    def _attack(self, name: str) -> str:
        """An attack for readers: ``mia_whitebox`` → ``attacker, white-box``."""
        holder, _, seen = name.partition("_")
        seen = seen.replace("box", "-box").replace("_", " ")
        return f"{ADVERSARIES.get(holder, holder)}, {seen}"

    def _page(self) -> str:
        rows = self.evaluation.fillna({"subset": ""})
        every = rows.pivot_table(
            index=["metric", "subset"], columns="method", values="value", sort=False
        )[self.methods]
        every = every.rename(columns=self.label).map(cell_text).reset_index()
        quality = self.attacks
        if len(quality):
            columns = ["auc", "accuracy", "tpr", "fpr", "members", "nonmembers"]
            quality = quality.groupby("attack", sort=False)[columns].mean().map(cell_text)
            quality = quality.reset_index()
        svg = io.StringIO()
        self.figure().savefig(svg, format="svg", metadata={"Date": None})
        drawing = svg.getvalue()
        sizes, row = self.images, self.evaluation.iloc[0]
        return template("audit.html.j2").render(
            headline=_subscripts(html.escape(self.headline)),
            architecture=row["architecture"],
            forgotten=f"{sizes['forget']:,} of {sizes['target_train']:,} training images "
            f"({percent(round(row['forget_ratio'], 4))})",
            tested=f"{sizes['test']:,}",
            seeds=count_seeds([self.seeds]),
            notes=self.notes,
            main=_html(self.table),
            attack=self._attack(self.rate.removesuffix("_rate")),
            comparison=_html(self.comparison) if self.retrained else "",
            figure=drawing[drawing.index("<svg") :],
            by_attack=_html(self.by_attack),
            quality=_html(quality) if len(quality) else "",
            every=_html(every),
            version=__version__,
        )


def _html(table: pd.DataFrame) -> str:
    return _subscripts(table.to_html(index=False, border=0, classes="numbers", justify="unset"))


def _subscripts(text: str) -> str:
    return re.sub(r"\bD_([fr])\b", r"D<sub>\1</sub>", text)
