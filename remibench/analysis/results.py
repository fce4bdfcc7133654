"""Source of every table and figure: the gathered CSV files and the published numbers."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from remibench.analysis.statistics import summarise
from remibench.artifacts.io import load_settings
from remibench.artifacts.tables import TEXT, load_table
from remibench.components import plugins, registry
from remibench.components.display import ARCHITECTURES, DATASETS, METHODS, cell_label
from remibench.components.display import COLORS as COLORS  # for whoever draws results
from remibench.components.plugins import broken
from remibench.components.registry import PAPER_SELECTION
from remibench.components.registry import percent as percent
from remibench.config.cells import describe_unsearched
from remibench.errors import RemibenchError
from remibench.evaluation.published import NUMBERS as NUMBERS

PAPER_METHODS = ("original", "retrain", "fisher", "remi_whitebox", "remi_blackbox")
CELL = ["dataset", "architecture", "forget_ratio"]
BY_METHOD = [*CELL, "method"]
ATTACKS = ["dataset", "architecture", "seed", "adversary", "attack", "accuracy"]
ACROSS_SEEDS = [*BY_METHOD, "subset", "metric", "value", "models"]
CURVES = [*BY_METHOD, "curve", "score", "subset", "x", "label", "mean", "low", "high", "seeds"]
FORGET_IMAGES = [
    *("dataset", "architecture", "seed", "forget_ratio", "rank", "image", "label", "mf"),
    *("p_before", "predicted_before", "p_retrained", "predicted_retrained", "png"),
]
HYPERPARAMETERS = [*BY_METHOD, "parameter", "value"]
PAPER_RATIOS = [0.01, 0.1, 0.25, 0.5]


def displayed(run: Iterable[str]) -> list[str]:
    """The methods of a table, in the order of display: the paper's, run or not, and those run."""
    present = {*PAPER_METHODS, *run}
    return [method for method in METHODS if method in present]


def in_order(run: Iterable[str]) -> list[str]:
    """Methods in the order of display; those that are none of the library's, as given, behind."""
    names = list(dict.fromkeys(run))
    return [*(m for m in METHODS if m in names), *(m for m in names if m not in METHODS)]


def rows_by(table: pd.DataFrame, columns: list[str]) -> dict[tuple, tuple]:
    """The rows of a table as named tuples, by their values in these columns."""
    keys = table[columns].itertuples(index=False, name=None)
    return dict(zip(keys, table.itertuples(), strict=True))


def count_seeds(counts: Iterable[float]) -> str:
    """``[3, 3]`` → ``3 seeds``, ``[18, 20]`` → ``18 to 20 seeds``, ``[]`` → ``no seeds``."""
    known = sorted({int(count) for count in counts if pd.notna(count)})
    if not known:
        return "no seeds"
    text = " to ".join(dict.fromkeys((str(known[0]), str(known[-1]))))
    return f"{text} seed" if known == [1] else f"{text} seeds"


def read_numbers(path: str | Path = NUMBERS) -> pd.DataFrame:
    """Read the paper's numbers; text that the paper leaves open is "", a ratio NaN."""
    table = load_table(path, TEXT | {"table", "unit"})
    return table.fillna(dict.fromkeys(["table", "unit", *(TEXT & set(table))], ""))


@dataclass(frozen=True)
class Results:
    """A results tree's gathered tables and the paper's numbers.

    Attributes:
        evaluation: Tidy: dataset, architecture, seed, method, forget_ratio, subset, metric, value.
        histories: One row per unlearning epoch.
        datasets: One row per dataset: provenance and role sizes.
        training: One row per trained model: epochs, final loss, and whether it stalled.
        published: The paper's numbers (``paper/numbers.csv``); text that it leaves open is "".
        attacks: One row per attack and target model: accuracy, AUC and rates.
        hyperparameters: One row per cell, method and parameter.
        across_seeds: Tidy: cell, method, subset, metric, value over all seeds' models, and models.
        curves: ROC, distributions and accuracy by class, see :mod:`remibench.analysis.curves`.
        forget_images: The forget images that MF is surest of, see there.
        asked_by: The plug-in that a table or figure is made by, its module's full name; or "".
    """

    evaluation: pd.DataFrame
    histories: pd.DataFrame
    datasets: pd.DataFrame
    training: pd.DataFrame
    published: pd.DataFrame
    attacks: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ATTACKS))
    hyperparameters: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=HYPERPARAMETERS)
    )
    across_seeds: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=ACROSS_SEEDS))
    curves: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=CURVES))
    forget_images: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=FORGET_IMAGES))
    asked_by: str = ""

    @classmethod
    def read(
        cls,
        *,
        evaluation: str,
        histories: str,
        datasets: str,
        training: str,
        published: str,
        **further: str,
    ) -> Results:
        """Read the CSV files; ``further`` ones, the fields from ``attacks`` on, where there are."""
        return cls(
            evaluation=load_table(evaluation, TEXT),
            histories=load_table(histories, TEXT),
            datasets=load_table(datasets, TEXT),
            training=load_table(training, TEXT),
            published=read_numbers(published),
            **{
                name: load_table(path, TEXT | ({"value"} if name == "hyperparameters" else set()))
                for name, path in further.items()
            },
        )

    @classmethod
    def of_tree(cls, folder: str | Path, trusted: Sequence[str | Path] = ()) -> Results:
        """Read a results tree, or a published one, and the paper's numbers of this repository.

        Args:
            folder: The tree.
            trusted: The plug-in folders whose code may run. Those that the tree's own config names
                are code of whoever made the tree.

        Raises:
            RemibenchError: A file is missing or damaged, a method's plug-in is not there, or the
                tree names a plug-in folder that is not trusted.
        """
        names = ("evaluation", "histories", "datasets", "training", "attacks", "hyperparameters")
        # The config asks for these, and whoever shares a tree may leave them out.
        further = ("across_seeds", "curves", "forget_images")
        names += tuple(name for name in further if Path(folder, f"{name}.csv").exists())
        paths = {name: str(Path(folder, f"{name}.csv")) for name in names}
        results = cls.read(**paths, published=str(NUMBERS))
        config = Path(folder, "config.yaml")
        known = {Path(path).expanduser().resolve() for path in trusted}
        named = load_settings(config).get("plugins") or []
        for path in named if isinstance(named, list) else [named]:
            if not isinstance(path, str) or Path(path).expanduser().resolve() not in known:
                raise RemibenchError(
                    f"{config} names the plug-ins {path!r}, which are code of whoever made that "
                    "tree; if you trust them, add `--plugins FOLDER`, the same folder"
                )
        plugins.activate(trusted)
        if unknown := sorted(set(results.evaluation["method"]) - set(METHODS)):
            raise RemibenchError(
                f"{paths['evaluation']} has the method {unknown[0]!r}, which is no method "
                "here; add `--plugins FOLDER`, where it is"
            )
        return results

    @property
    def methods(self) -> list[str]:
        """The methods that were run, in the order of display."""
        run = set(self.evaluation["method"].unique())
        return [method for method in METHODS if method in run]

    @property
    def guides(self) -> dict[str, str]:
        """The displayed methods that a membership model guides, with its access."""
        entries = registry.methods()
        guides = {m: entries[m].guide for m in displayed(self.methods) if m in entries}
        return {method: guide for method, guide in guides.items() if guide}

    @property
    def names(self) -> list[str]:
        """The datasets of this tree, in the order of its config."""
        return list(
            dict.fromkeys([*self.datasets["dataset"], *self.evaluation["dataset"].unique()])
        )

    @property
    def selection(self) -> str:
        """The selection of forget sets in words; ``membership`` is the paper's."""
        stated = self.datasets.get("selection", pd.Series(dtype=object)).dropna()
        return stated.iloc[0] if len(stated) else PAPER_SELECTION  # trees of earlier versions

    @property
    def whole(self) -> str:
        """What a forget ratio is a share of: the training set, or the part of it that is chosen."""
        restricts = self.datasets.get("restricts", pd.Series(dtype=bool)).any()
        return "the selected training images" if restricts else "the training set"

    @property
    def alike(self) -> str:
        """The subset of unseen images that are of the same kinds as the forget set."""
        return "test_forget" if "test_forget" in self.evaluation["subset"].unique() else "test"

    @property
    def forgotten(self) -> str:
        """Which images were forgotten, where they are not the paper's choice; or nothing."""
        if self.selection == PAPER_SELECTION:
            return ""
        text = f"Forget sets: {self.selection}; shares are of {self.whole}."
        if self.alike != "test":
            text += (
                " test_forget are the test images of that kind, test_retain all others: attacks on "
                "forget and on retain are compared with their own; what tells forget from retain "
                "tells the kinds apart, is no leak and not measured."
            )
        return text

    @property
    def paper_names(self) -> pd.Series:
        """The paper's name of each dataset, by ours; "" for what is none of the paper's.

        No published number is of another selection than the paper's.
        """
        names = self.datasets.set_index("dataset")["paper_dataset"]
        if self.selection != PAPER_SELECTION:
            return names.map(lambda _: "").astype(object)
        return names.astype(object).fillna("")  # a column of none at all is read as numbers

    @property
    def architectures(self) -> list[str]:
        """The architectures of this tree, in the order of its config."""
        return list(self.evaluation["architecture"].unique())

    @property
    def ratios(self) -> list[float]:
        """The forget ratios of this tree, ascending."""
        return sorted(self.evaluation["forget_ratio"].unique())

    @property
    def main_ratio(self) -> float:
        """The forget ratio that stands for all where one is shown: the nearest to 10 %."""
        return min(self.ratios, key=lambda ratio: abs(ratio - 0.1))

    @property
    def not_run(self) -> str:
        """Parts of the paper's grid that this tree lacks, in one sentence; or nothing."""
        if self.selection != PAPER_SELECTION:
            return "The paper's numbers are of other forget sets, so that none stands here."
        cells = self.published[self.published["table"] == "Table II"]
        present = self.datasets["paper_dataset"]
        missing = {
            "dataset": [
                DATASETS[d] for d in dict.fromkeys(cells["dataset"]) if d not in set(present)
            ],
            "architecture": [
                ARCHITECTURES[a]
                for a in dict.fromkeys(cells["architecture"])
                if a not in self.architectures
            ],
            "ratio": [percent(ratio) for ratio in PAPER_RATIOS if ratio not in self.ratios],
            "method": [METHODS[m] for m in PAPER_METHODS if m not in self.methods],
        }
        phrases = [f"{axis} {', '.join(values)}" for axis, values in missing.items() if values]
        return f"Of the paper's grid not run here: {'; '.join(phrases)}." if phrases else ""

    @property
    def sources(self) -> str:
        """Images that the results are of, one phrase per dataset."""
        return "; ".join(
            f"{DATASETS[row.dataset]}: {row.provenance}, {row.image_size}×{row.image_size} pixels"
            for row in self.datasets.itertuples()
        )

    @property
    def stalled(self) -> str:
        """Trainings that ended no better than an output that ignores the images; or nothing."""
        rows = self.training[self.training["stalled"] > 0]
        if rows.empty:
            return ""
        counts = rows.groupby(["dataset", "architecture", "model"], sort=False).size()
        listed = ", ".join(
            f"{cell_label(*cell)}, {model} ({count})" for (*cell, model), count in counts.items()
        )
        return (
            f"{len(rows)} of {len(self.training)} trainings learned nothing, their loss is that of "
            f"a constant output: {listed}."
        )

    @property
    def unsearched(self) -> str:
        """Runs with default values, since none were searched for their cell; or nothing."""
        if "unsearched" not in self.histories:
            return ""
        rows = self.histories[self.histories["unsearched"] > 0]
        runs = rows[["method", *CELL]].drop_duplicates().itertuples(index=False, name=None)
        sentence = describe_unsearched(runs, METHODS.__getitem__)
        return f"{sentence[0].upper()}{sentence[1:]}."

    @property
    def remarks(self) -> str:
        """Remarks for all who read a number: images, failed trainings, missing cells."""
        sentences = (f"Data: {self.sources}.", self.forgotten, self.stalled, self.unsearched)
        sentences = (*sentences, self.not_run)
        return " ".join(sentence for sentence in sentences if sentence)

    def with_steps(self, histories: pd.DataFrame) -> pd.DataFrame:
        """Add the optimisation steps of an epoch to runs of ReMI, by their batch sizes.

        Args:
            histories: Rows of :attr:`histories`; of none, columns have no types.

        Returns:
            The rows with ``steps``, NaN for methods without ReMI's two batch sizes.
        """
        used = self.hyperparameters.pivot_table(
            index=BY_METHOD, columns="parameter", values="value", aggfunc="first"
        ).reindex(columns=["epoch_over", "batch_size", "classification_batch_size"])
        images = self.metric("images").pivot_table(
            index=[*BY_METHOD, "seed"], columns="subset", values="value"
        )
        over = used["epoch_over"].astype(object).fillna("forget")  # in trees older than the key
        used = used.assign(epoch_over=over).dropna()
        both = images.reset_index().merge(used.reset_index(), on=BY_METHOD)
        whole = both["epoch_over"] == "retain"
        sizes = both["retain"].where(whole, both["forget"])
        batches = both["classification_batch_size"].where(whole, both["batch_size"]).astype(float)
        steps = both[[*BY_METHOD, "seed"]].assign(steps=np.ceil(sizes / batches))
        runs = histories.astype({axis: steps[axis].dtype for axis in (*BY_METHOD, "seed")})
        return runs.merge(steps, how="left")

    @property
    def endings(self) -> pd.DataFrame:
        """The last epoch of every unlearning run, and whether ReMI met its stopping rule.

        Returns:
            A row per run, of ``histories``' columns; ``met`` is 1 where the guide's rate on the
            forget set is at most that on out-of-sample images, 0 where it is above (the run ended
            at ``max_epochs``), NaN where the method has no such rule.
        """
        last = self.histories.sort_values("epoch", kind="stable")
        last = last.groupby([*BY_METHOD, "seed"], sort=False).tail(1)
        last = last.reindex(columns=[*dict.fromkeys([*last, "mf_forget", "mf_out_of_sample"])])
        met = (last["mf_forget"] <= last["mf_out_of_sample"]).astype(float)
        return last.assign(met=met.where(last["mf_forget"].notna()))

    @property
    def stopping(self) -> str:
        """Number of ReMI runs that met their stopping rule; the others ended at ``max_epochs``."""
        ended = self.endings.dropna(subset=["met"]).groupby("method")["met"]
        counts = ended.agg(["sum", "size"]).astype(int)
        return "; ".join(
            f"{label} met its stopping rule in {counts.loc[method, 'sum']} of "
            f"{counts.loc[method, 'size']} runs"
            for method, label in METHODS.items()
            if method in counts.index
        )

    def metric(self, metric: str, scale: float = 1.0) -> pd.DataFrame:
        """All values of a metric, times ``scale``: one row per cell, seed and subset.

        Raises:
            RemibenchError: No metric has this name; or a plug-in's table or figure asks for one
                that was not measured (names its file).
        """
        self._check_measured(metric)
        rows = self.evaluation[self.evaluation["metric"] == metric]
        return rows.drop(columns="metric").assign(value=rows["value"] * scale)

    def _check_measured(self, metric: str) -> None:
        measured = dict.fromkeys(self.evaluation["metric"])
        if metric in measured or not measured:
            return
        owner, asks = registry.metric_owner(metric), f"the metric {metric!r}, which"
        if owner is None:
            near = difflib.get_close_matches(metric, measured, n=1)
            problem = f"{asks} no metric of this run yields" + (
                f"; did you mean {near[0]!r}?" if near else f"; measured: {', '.join(measured)}"
            )
        elif self.asked_by:
            problem = f"{asks} was not measured; add {owner} to `metrics`"
        else:  # those of the package say in words what was not measured
            return
        if self.asked_by:
            raise broken(self.asked_by, f"it asks for {problem}")
        raise RemibenchError(f"a table or figure asks for {problem}")

    def summary(self, metric: str, scale: float = 1.0) -> pd.DataFrame:
        """A metric's mean, 95 % t-interval and number of seeds per cell and subset."""
        values = self.metric(metric, scale).fillna({"subset": ""})
        return summarise(values, [*BY_METHOD, "subset"])
