"""Two results trees side by side: which settings differ, and which numbers do.

What is tested, why not in pairs, and what each verdict says: docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from remibench.analysis.gaps import take_logarithms
from remibench.analysis.gather import AXES
from remibench.analysis.results import BY_METHOD, CELL, count_seeds, percent
from remibench.analysis.statistics import LEVEL, holm, t_interval, welch
from remibench.artifacts.io import atomic_path, load_json, load_yaml
from remibench.artifacts.paths import ARTIFACTS, match
from remibench.artifacts.tables import TEXT, load_table, write_csv
from remibench.errors import RemibenchError
from remibench.reporting.html_page import ABSENT, cell_text, page
from remibench.reporting.render import settings
from remibench.sharing.archive import Archive

TITLE = "Two results trees"
ROW = [*BY_METHOD, "metric", "subset"]
COLUMNS = [
    *ROW,
    "verdict",
    *("mean_a", "low_a", "high_a", "n_a"),
    *("mean_b", "low_b", "high_b", "n_b"),
    *("difference", "low", "high", "p", "p_holm", "remark"),
]
VERDICTS = (  # in the order of display
    "differs",
    "may differ",
    "untested",
    "no difference",
    "identical",
    "not judged",
    "only in A",
    "only in B",
)
EVALUATION = ARTIFACTS["evaluation"]
RECORDS = (ARTIFACTS["config"], ARTIFACTS["provenance"])
TABLES = {  # of settings: what names a row
    ARTIFACTS["hyperparameters"]: [*BY_METHOD, "parameter"],
    ARTIFACTS["datasets"]: ["dataset"],
}
METADATA = ARTIFACTS["metadata"].format(dataset="*")
UNPACKED = "metadata.*.json"  # the same of an archive
LINES = 15  # of each list on the terminal
SETTINGS = 200  # on the page


@dataclass(frozen=True)
class Tree:
    """Settings and numbers of a results tree that are compared.

    Attributes:
        path: Folder or archive.
        evaluation: Columns of ``evaluation.csv``; efficacy as log10; subsets without a name are "".
        settings: Value by file and key, of its config, provenance and other records.
    """

    path: Path
    evaluation: pd.DataFrame
    settings: Mapping[tuple[str, str], str]

    @property
    def description(self) -> str:
        """Seeds, version, commit and machine, one line."""
        known = {key: value for (name, key), value in self.settings.items() if name == RECORDS[1]}
        seeds = count_seeds([self.evaluation["seed"].nunique()])
        return (
            f"{self.path} ({seeds}; remibench {known.get('remibench')}, commit "
            f"{str(known.get('git_commit'))[:12]}; {known.get('cpu')}, torch "
            f"{known.get('libraries.torch')})"
        )


@dataclass(frozen=True)
class Comparison:
    """Two trees and the result of their comparison.

    Attributes:
        a, b: The trees.
        rows: :data:`COLUMNS`, worst verdict first.
        settings: file, key, a, b: those that differ.
        same: Number of settings that do not.
    """

    a: Tree
    b: Tree
    rows: pd.DataFrame
    settings: pd.DataFrame
    same: int

    @property
    def differs(self) -> bool:
        """True if some number differs by more than chance explains."""
        return bool((self.rows["verdict"] == VERDICTS[0]).any())

    @property
    def tested(self) -> int:
        """Number of rows that have a p."""
        return int(self.rows["p"].notna().sum())

    @property
    def counts(self) -> pd.DataFrame:
        """Rows per metric and verdict, with the largest difference of means not identical."""
        counts = pd.crosstab(self.rows["metric"], self.rows["verdict"])
        counts = counts.reindex(columns=[v for v in VERDICTS if v in counts])
        unequal = self.rows["difference"].abs().where(self.rows["verdict"] != "identical")
        largest = unequal.groupby(self.rows["metric"]).max()
        counts = counts.assign(**{"largest difference": largest}).reset_index()
        return counts.rename_axis(columns=None)

    def text(self) -> str:
        """The comparison for a terminal; whatever the trees hold, only printable characters."""
        parts = [f"A  {self.a.description}\nB  {self.b.description}"]
        parts.append(
            f"Settings that differ: {len(self.settings)} of {len(self.settings) + self.same}"
        )
        if len(self.settings):
            parts[-1] += f"\n{_lines(self.settings.map(_short))}"
        both = set(self.rows.loc[~self.rows["verdict"].str.startswith("only"), "metric"])
        counts = self.counts[self.counts["metric"].isin(both)]
        parts.append(f"Rows by verdict\n{_lines(counts.map(cell_text), len(counts))}")
        if alone := len(self.counts) - len(counts):
            parts[-1] += f"\n… and {alone} metrics that one tree alone has"
        for verdict in VERDICTS[:2]:
            rows = self.rows[self.rows["verdict"] == verdict]
            if len(rows):
                columns = [*ROW, "mean_a", "mean_b", "difference", "low", "high", "p", "p_holm"]
                what = f"{verdict.capitalize()}: {len(rows)} of {self.tested} tested rows"
                parts.append(f"{what}\n{_lines(rows[columns].map(cell_text))}")
        text = "\n\n".join(parts)
        return "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)

    def write(self, folder: Path) -> None:
        """Write ``comparison.csv``, ``settings.csv`` and ``comparison.html``."""
        write_csv(folder / "comparison.csv", self.rows)
        write_csv(folder / "settings.csv", self.settings)
        with atomic_path(folder / "comparison.html") as temporary:
            temporary.write_text(self._page(), encoding="utf-8")

    def _page(self) -> str:
        note = (
            "Every row is a cell, metric and subset: mean ± half-width of the 95 % t-interval over "
            "seeds, number of seeds n, and B − A ± that of Welch's 95 % interval. “differs”: p is "
            "below .05 after Holm's correction over all tested rows; “may differ”: before it alone "
            f"(of {self.tested:,} tested rows, about {self.tested / 20:.0f} would by chance); “no "
            "difference”: none that these seeds can show, see how wide the interval is; "
            "“identical”: every seed that both have gives the same number. Efficacy as log10. All "
            "digits are in comparison.csv."
        )
        trees = "".join(
            f"<p><b>{name}</b> {escape(tree.description)}</p>"
            for name, tree in (("A", self.a), ("B", self.b))
        )
        total = len(self.settings) + self.same
        changed = f"<h2>Settings that differ: {len(self.settings)} of {total}</h2>"
        if len(self.settings):
            shown = self.settings.head(SETTINGS).rename(columns={"a": "A", "b": "B"})
            changed += _html(shown)
        if len(self.settings) > SETTINGS:
            changed += f"<p>These are the first {SETTINGS}; settings.csv has all.</p>"
        verdicts = f"<h2>Rows by verdict</h2>{_html(self.counts.map(cell_text))}"
        above = f"{trees}{verdicts}{changed}<h2>Rows</h2>"
        return page(_layout(self.rows), TITLE, note, "comparison", above)


def compare(a: str | Path, b: str | Path) -> Comparison:
    """Compare two results trees, folders or archives.

    Raises:
        RemibenchError: One of them is no results tree or archive, is damaged, or they have no cell
            in common.
    """
    first, second = read_tree(a), read_tree(b)
    rows = compare_rows(first.evaluation, second.evaluation)
    if rows["verdict"].str.startswith("only").all():
        raise RemibenchError(
            f"{a} and {b} have no row in common: {_axes(first)} against {_axes(second)}; "
            "compare results of the same datasets, architectures, ratios or methods"
        )
    changed, same = compare_settings(first.settings, second.settings)
    return Comparison(first, second, rows, changed, same)


def compare_rows(a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
    """Every cell × metric × subset of two evaluations.

    Returns:
        :data:`COLUMNS`: per side mean, 95 % t-interval and seeds; ``difference`` b − a with Welch's
        95 % interval, ``p`` and ``p_holm`` (over all rows that have a p); ``remark`` says why there
        is no p. Worst verdict and least p first, the others in the order of ``a``.
    """
    sides = [dict(list(table.groupby(ROW, sort=False))) for table in (a, b)]
    records = []
    for key in dict.fromkeys([*sides[0], *sides[1]]):
        values = [
            side[key].set_index("seed")["value"] if key in side else pd.Series(dtype=float)
            for side in sides
        ]
        records.append(dict(zip(ROW, key, strict=True)) | _compare_values(key[4], *values))
    table = pd.DataFrame(records, columns=[c for c in COLUMNS if c != "p_holm"])
    table = table.assign(p_holm=holm(table["p"].to_numpy(float)))[COLUMNS]
    tested = table["verdict"] == ""
    table["verdict"] = (
        table["verdict"]
        .mask(tested, "no difference")
        .mask(tested & (table["p"] < LEVEL), "may differ")
        .mask(tested & (table["p_holm"] < LEVEL), "differs")
    )
    place = table["verdict"].map({verdict: number for number, verdict in enumerate(VERDICTS)})
    first = table["p"].where(place < VERDICTS.index("untested"), 0)
    order = pd.DataFrame({"place": place, "p": first}).sort_values(["place", "p"], kind="stable")
    return table.loc[order.index].reset_index(drop=True)


def _compare_values(metric: str, a: pd.Series, b: pd.Series) -> dict[str, object]:
    """A row without its axes; verdict "" where a test decides. Series are indexed by seed."""
    common = a.index.intersection(b.index)
    measured = [side.dropna().to_numpy(float) for side in (a, b)]
    record: dict[str, object] = {"verdict": "", "remark": "", "p": np.nan}
    for name, values in zip("ab", measured, strict=True):
        low, high = t_interval(values) if np.isfinite(values).all() else (np.nan, np.nan)
        mean = values.mean() if len(values) else np.nan
        record |= {f"mean_{name}": mean, f"n_{name}": len(values)}
        record |= {f"low_{name}": low, f"high_{name}": high}
    if a.empty or b.empty:
        return record | {"verdict": "only in B" if a.empty else "only in A"}
    finite = all(np.isfinite(values).all() and len(values) for values in measured)
    if finite:
        difference, low, high, p = welch(measured[1], measured[0])
        record |= {"difference": difference, "low": low, "high": high}
    if metric.startswith("seconds") or metric.endswith(("_low", "_high")):
        reason = "time of another machine" if metric.startswith("seconds") else "end of an interval"
        return record | {"verdict": "not judged", "remark": reason}
    if len(common) and a[common].equals(b[common]):
        some = f"{len(common)} common seeds; A has {len(a)}, B {len(b)}"
        return record | {"verdict": "identical", "remark": "" if len(a) == len(b) else some}
    if not finite:
        return record | {"verdict": "untested", "remark": "infinite, or not measured"}
    if np.isnan(p):
        one = min(map(len, measured)) < 2
        reason = "one seed: no interval" if one else "no seed differs from another on either side"
        return record | {"verdict": "untested", "remark": reason}
    return record | {"p": p}


def compare_settings(a: Mapping, b: Mapping) -> tuple[pd.DataFrame, int]:
    """Settings that differ (file, key, a, b), and the number of those that do not."""
    keys = list(dict.fromkeys([*a, *b]))
    rows = [(*key, a.get(key, ABSENT), b.get(key, ABSENT)) for key in keys]
    changed = [row for row in rows if row[2] != row[3] and not _other_cell(row)]
    same = sum(row[2] == row[3] for row in rows)
    return pd.DataFrame(changed, columns=["file", "key", "a", "b"]), same


def _other_cell(row: tuple[str, str, str, str]) -> bool:
    """Tell whether a setting is of a cell, or in a file, that one tree does not have at all."""
    return row[0] not in RECORDS and ABSENT in row[2:]


def read_tree(path: str | Path) -> Tree:
    """Read a results tree or an exported archive; of an archive, what is read is verified.

    Raises:
        RemibenchError: There is none, or a file of it is missing, damaged or of another kind.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, path)
    with TemporaryDirectory() as folder, Archive(path) as archive:
        for name in (EVALUATION, *RECORDS, *TABLES):
            if name in archive.digests:
                Path(folder, name).write_bytes(archive.read(name))
        names = [name for name in archive.digests if match(ARTIFACTS["metadata"], name)]
        for number, name in enumerate(names):
            # Numbered, so that no name stated by the archive reaches the file system.
            target = Path(folder, UNPACKED.replace("*", str(number)))
            target.write_bytes(archive.read(name))
        return _read_folder(Path(folder), path)


def _read_folder(folder: Path, path: Path) -> Tree:
    try:
        evaluation = _read_evaluation(folder)
        values = {(name, key): value for name, key, value in _read_settings(folder)}
    except RemibenchError as error:
        reason = str(error).replace(str(folder), str(path)).split("; `rm ")[0]
        raise RemibenchError(f"{reason}; is {path} a finished results tree?") from error
    return Tree(path, evaluation, values)


def _read_evaluation(folder: Path) -> pd.DataFrame:
    name = folder / EVALUATION
    table = load_table(name, TEXT)
    columns = [*AXES, "subset", "metric", "value"]
    if missing := [column for column in columns if column not in table]:
        raise RemibenchError(f"cannot read {name}: it has no column {missing[0]!r}")
    table = table[columns].fillna({"subset": ""})
    table = table.astype(dict.fromkeys(TEXT & set(columns), str))
    if table.empty or table[AXES].isna().any(axis=None):
        raise RemibenchError(f"cannot read {name}: it has no rows, or some without a cell")
    if (twice := table.duplicated([*ROW, "seed"])).any():
        cell = " ".join(map(str, table.loc[twice.idxmax(), [*ROW, "seed"]]))
        raise RemibenchError(f"cannot read {name}: it has {cell} twice")
    return take_logarithms(table)


def _read_settings(folder: Path) -> Iterator[tuple[str, str, str]]:
    """File, key and value of everything that is recorded of a run."""
    for name in RECORDS:
        path = folder / name
        record = load_json(path) if path.suffix == ".json" else load_yaml(path)
        if not isinstance(record, dict):
            raise RemibenchError(f"cannot read {path}: it holds no settings")
        for key, value in settings(record).itertuples(index=False):
            yield name, key, value
    for name, keys in TABLES.items():
        if not (folder / name).exists():
            continue
        table = load_table(folder / name, TEXT | {"value"})
        if missing := [key for key in keys if key not in table]:
            raise RemibenchError(f"cannot read {folder / name}: it has no column {missing[0]!r}")
        for row in table.astype(str).to_dict("records"):
            cell = " ".join(row.pop(key) for key in keys)
            for column, value in row.items():
                yield name, cell if column == "value" else f"{cell} {column}", value
    for path in sorted([*folder.glob(METADATA), *folder.glob(UNPACKED)]):
        record = load_json(path)
        for file, digest in {
            **record.get("sources", {}),
            "images": record.get("images_sha256"),
        }.items():
            yield METADATA, f"{record.get('provenance')}: {file}", str(digest)


def _axes(tree: Tree) -> str:
    names = (tree.evaluation[axis].unique() for axis in CELL)
    return " × ".join(", ".join(map(str, values)) for values in names)


def _layout(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows for the page: verdict first, mean and half-width in a cell."""
    table = rows[["verdict", *ROW]].rename(columns={"forget_ratio": "forget ratio"})
    table["forget ratio"] = [percent(ratio) for ratio in table["forget ratio"]]
    table["subset"] = table["subset"].replace("", ABSENT)
    for side in "ab":
        numbers = rows[[f"mean_{side}", f"low_{side}", f"high_{side}"]].itertuples(index=False)
        table[side.upper()] = [_cell(*number) for number in numbers]
        table[f"n {side.upper()}"] = rows[f"n_{side}"]
    numbers = rows[["difference", "low", "high"]].itertuples(index=False)
    table["B − A"] = [_cell(*number) for number in numbers]
    table["p"], table["p (Holm)"] = rows["p"], rows["p_holm"]
    return table.assign(remark=rows["remark"].replace("", ABSENT))


def _cell(mean: float, low: float, high: float) -> str:
    if np.isnan(mean):
        return ABSENT
    return cell_text(mean) + ("" if np.isnan(low) else f" ± {(high - low) / 2:.2g}")


def _short(value: str) -> str:
    return value if len(value) <= 40 else f"{value[:39]}…"


def _lines(table: pd.DataFrame, count: int = LINES) -> str:
    text = table.head(count).to_string(index=False)
    more = len(table) - count
    return text + (f"\n… and {more} more, in the CSV files" if more > 0 else "")


def _html(table: pd.DataFrame) -> str:
    style = "<style>.plain td, .plain th { padding: .1em 1em .1em 0; text-align: left; }</style>"
    return style + table.to_html(index=False, border=0, classes="plain", escape=True)
