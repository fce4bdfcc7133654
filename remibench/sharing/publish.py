"""A finished results tree as a folder of the documentation, with a page made from its CSV files.

What is copied is a list, so that no checkpoint can be; the rest is counted and named. The page has
every published number of the cells that were run beside ours, and one block written by hand, which
is kept whenever the page is made anew.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from remibench.analysis.results import ARCHITECTURES, DATASETS, METHODS, Results, percent
from remibench.artifacts.io import atomic_path, load_json, load_settings
from remibench.artifacts.tables import load_table, write_csv
from remibench.components.products import products
from remibench.errors import RemibenchError
from remibench.reporting import scorecard
from remibench.reporting.beyond import table_verdicts
from remibench.reporting.html_page import ABSENT
from remibench.reporting.render import to_markdown
from remibench.sharing.crate import DESCRIPTIONS
from remibench.sharing.export import REQUIRED, check_finished

PAGE = "README.md"
BENCHMARKS = "benchmarks.csv"  # made from the tree's benchmark files
HOURS = "Jobs, hours and memory by rule"
COPIED = {".csv", ".json", ".svg", ".tex", ".txt", ".yaml"}  # pages and bitmaps repeat these
BEGIN = "<!-- written by hand: from here to the next such line, `make publish` keeps it -->"
END = "<!-- end of what is written by hand -->"
OPTIONAL = ("across_seeds.csv",)  # top-level files that only some runs have
UNWRITTEN = "No interpretation has been written yet."


@dataclass(frozen=True)
class Published:
    """Record of the copied files, and numbers of the files left out by their top folder."""

    folder: Path
    files: int
    left_out: Counter[str]

    def __str__(self) -> str:
        stayed = ", ".join(f"{name} ({count:,})" for name, count in sorted(self.left_out.items()))
        return (
            f"{self.folder}: {self.files} files and {PAGE}; write what the numbers mean into its "
            f"marked block" + (f"\nLeft out (number of files): {stayed}" if stayed else "")
        )


def publish(
    results: str | Path, folder: str | Path, plugins: Sequence[str | Path] = ()
) -> Published:
    """Copy a finished results tree's tables, figures and records, and write their page.

    What an earlier publication left under the same names is replaced; the page's title and the
    block of it that was written by hand stay.

    Args:
        results: The tree.
        folder: Folder of the documentation, ``docs/results/<name>``; made if it is not there.
        plugins: The plug-in folders whose code may run.

    Raises:
        RemibenchError: The tree is not finished, names other plug-ins or a folder of this machine,
            or the page there has no block that is marked as written by hand.
    """
    results, folder = Path(results), Path(folder)
    check_finished(results)
    Results.of_tree(results, plugins)  # before anything is replaced, as what follows
    files, left_out = _choose(results)
    for path in files:
        _check_paths(path, results)
    _by_hand(folder)
    for name in REQUIRED:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
    for name in OPTIONAL:
        (folder / name).unlink(missing_ok=True)
    for path in files:
        target = folder / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    benchmarks = summarise_benchmarks(results / "benchmarks")
    if len(benchmarks):
        write_csv(folder / BENCHMARKS, benchmarks)
    write_page(folder, plugins)
    return Published(folder, len(files) + bool(len(benchmarks)), left_out)


def write_page(folder: str | Path, plugins: Sequence[str | Path] = ()) -> None:
    """Write a published folder's page anew; its title and the block written by hand stay."""
    folder = Path(folder)
    title, block = _by_hand(folder)
    text = page(folder, block, plugins, title)
    with atomic_path(folder / PAGE, "choose a folder that can be written") as temporary:
        temporary.write_text(text, encoding="utf-8")


def page(
    folder: Path, by_hand: str = UNWRITTEN, plugins: Sequence[str | Path] = (), title: str = ""
) -> str:
    """The page of a published folder, in Markdown; the same files give the same text.

    Args:
        folder: Folder, as for :func:`publish`.
        by_hand: Content of the page's marked block.
        plugins: The plug-in folders whose code may run.
        title: The page's title; by default the folder's name.

    Raises:
        RemibenchError: A file is missing or cannot be read, or the tree names other plug-ins.
    """
    results = Results.of_tree(folder, plugins)
    config = load_settings(folder / "config.yaml")
    parts = [
        f"# {title or f'Results: {folder.name}'}",
        f"{BEGIN}\n\n{by_hand}\n\n{END}",
        "Everything below is made from the files beside this page, by "
        f"`remibench page docs/results/{folder.name}`.",
        "## What was run",
        _facts(folder, results, config),
        "## In short",
        f"```\n{(folder / 'summary.txt').read_text(encoding='utf-8').rstrip()}\n```",
        "## The paper's numbers beside ours",
        _numbers(results),
        "## Verdicts",
        _verdicts(results),
        "## Figures",
        _figures(folder, results),
        "## Files",
        _files(folder),
    ]
    return "\n\n".join(parts) + "\n"


def summarise_benchmarks(folder: Path) -> pd.DataFrame:
    """Jobs, hours and memory by rule, from Snakemake's benchmark files.

    Returns:
        ``rule``, ``jobs``, ``hours`` (of all its jobs together, on one thread each),
        ``longest_minutes``, ``peak_mib``; the rule with most hours first. No rows without files.
    """
    records = []
    for path in sorted(folder.glob("**/*.tsv")):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        rows = pd.read_csv(path, sep="\t", usecols=["s", "max_rss"], na_values=["-", "NA"])
        records += [(rule, row.s, row.max_rss) for row in rows.itertuples()]
    jobs = pd.DataFrame(records, columns=["rule", "s", "max_rss"])
    table = jobs.groupby("rule").agg(
        jobs=("s", "size"),
        hours=("s", "sum"),
        longest_minutes=("s", "max"),
        peak_mib=("max_rss", "max"),
    )
    table["hours"] = (table["hours"] / 3600).round(3)
    table["longest_minutes"] = (table["longest_minutes"] / 60).round(2)
    table["peak_mib"] = table["peak_mib"].round(0)
    return table.sort_values("hours", ascending=False, kind="stable").reset_index()


def _choose(results: Path) -> tuple[list[Path], Counter[str]]:
    chosen, left_out = [], Counter()
    for path in sorted(results.rglob("*")):
        top = path.relative_to(results).parts[0]
        if path.is_dir() or top.startswith("."):
            continue
        if top in (*REQUIRED, *OPTIONAL) and path.suffix in COPIED and not _is_empty(path):
            chosen.append(path)
        else:
            left_out[top] += 1
    return chosen, left_out


def _is_empty(path: Path) -> bool:
    """A figure without axes: a sentence that says what was not run."""
    return path.suffix == ".svg" and 'id="axes_1"' not in path.read_text(encoding="utf-8")


def _check_paths(path: Path, results: Path) -> None:
    """Refuse a text that names a folder of this machine."""
    text = path.read_text(encoding="utf-8")
    here = {str(place) for place in (Path.home(), Path.cwd(), results.resolve())}
    folders = [place for place in sorted(here, key=len, reverse=True) if _names(text, place)]
    if not folders and path.suffix in {".yaml", ".json"}:
        folders = re.findall(r"""(?:^|[\s"'])(~?/[\w./~-]+)""", text)
    if folders:
        raise RemibenchError(
            f"{path} names {folders[0]}, a folder of this machine; give `results` and "
            "`data.search_path` relative to the repository, and run again"
        )


def _names(text: str, place: str) -> bool:
    return len(place) > 1 and re.search(rf"{re.escape(place)}(?![\w-])", text) is not None


def _by_hand(folder: Path) -> tuple[str, str]:
    """Title of the page that is there, empty if it has none, and the text written by hand."""
    path = folder / PAGE
    if not path.exists():
        return "", UNWRITTEN
    text = path.read_text(encoding="utf-8")
    title = re.match("# (.*)", text)
    parts = text.split(BEGIN)
    if len(parts) != 2 or parts[1].count(END) != 1:
        raise RemibenchError(
            f"{path} has no block between {BEGIN!r} and {END!r}; add these two lines around what "
            "is to be kept, or move the page away"
        )
    return title[1] if title else "", parts[1].partition(END)[0].strip()


def _facts(folder: Path, results: Results, config: dict[str, Any]) -> str:
    roles = ["target_train", "out_of_sample", "test", "shadow_train", "shadow_test"]
    sizes = [
        f"{DATASETS[row['dataset']]}: "
        + ", ".join(f"{row[role]:,} {role.replace('_', ' ')}" for role in roles)
        for row in results.datasets.to_dict("records")
    ]
    controls = config.get("controls", [])  # configs of earlier versions know none
    training, machine = config["training"], load_json(folder / "provenance.json")
    lines = {
        "Data": results.sources,
        "Images by role": "; ".join(sizes),
        "Architectures": ", ".join(ARCHITECTURES[a] for a in results.architectures),
        "Seeds": f"{len(config['seeds'])}: {', '.join(map(str, config['seeds']))}",
        "Forgotten": ", ".join(map(percent, results.ratios)),
        "Methods": ", ".join(METHODS[m] for m in results.methods if m not in controls),
        **({"Controls": ", ".join(METHODS[m] for m in controls)} if controls else {}),
        "Metrics": ", ".join(config["metrics"]),
        "Training": ", ".join(
            f"{name.replace('_', ' ')} {training[name]}"
            for name in ("epochs", "learning_rate", "batch_size", "precision")
        ),
        "Trainings that learned nothing": results.stalled or f"none of {len(results.training)}",
        "Ends of ReMI": results.stopping or "ReMI was not run",
        "Machine": f"{machine['cpu_count']} × {machine['cpu']}, {machine['memory_gib']} GiB; "
        f"Python {machine['python']}, torch {machine['libraries']['torch']}",
        "Code": _commit(machine),
        "Hours": _hours(folder),
    }
    return to_markdown(pd.DataFrame(lines.items(), columns=["", "what"]))


def _commit(machine: dict[str, Any]) -> str:
    if machine["git_commit"] is None:
        return f"remibench {machine['remibench']}, from a copy without history"
    changed = ", with changes that were not committed" if machine["git_modified"] else ""
    return f"remibench {machine['remibench']}, commit {machine['git_commit'][:12]}{changed}"


def _hours(folder: Path) -> str:
    if not (folder / BENCHMARKS).exists():
        return "not recorded"
    table = load_table(folder / BENCHMARKS, {"rule"})
    rules = [
        f"{row.rule} {row.hours:.2f} ({row.jobs:,} jobs)"
        for row in table.itertuples()
        if row.hours >= 0.005
    ]
    return f"{table['hours'].sum():.2f} of one core: {', '.join(rules)}"


def _numbers(results: Results) -> str:
    """Every published number of the cells that this tree is about, table by table."""
    table = scorecard.build(results)
    shown = table[
        table["dataset"].isin(["", *results.paper_names])
        & table["architecture"].isin(["", *results.architectures])
    ]
    run = shown[shown["ours"].notna()]
    parts = [
        f"The paper has {len(shown)} of its {len(table)} numbers on these datasets and "
        f"architectures; {len(shown) - len(run)} of them were not run, and are in the CSV alone. "
        "Ours is the mean over seeds, with its 95 % t-interval; the difference is ours − the "
        "paper's. [The rule of the verdicts](../../scorecard.md). Where the paper "
        "names no dataset or no architecture, ours is the mean over all that were run."
    ]
    for name, rows in run.groupby("table", sort=False):
        text = scorecard.layout(rows).drop(columns="table")
        for axis in ("dataset", "architecture"):
            if len(set(text[axis])) == 1:
                text = text.drop(columns=axis)
        interval = [
            ABSENT if low == ABSENT else f"{low} to {high}"
            for low, high in zip(text["95 % from"], text["to"], strict=True)
        ]
        place = text.columns.get_loc("95 % from")
        text = text.drop(columns=["95 % from", "to"])
        text.insert(place, "95 % interval", interval)
        parts.append(f"### {name}\n\n{to_markdown(text)}")
    return "\n\n".join(parts)


def _verdicts(results: Results) -> str:
    """Verdicts on every method, against retraining."""
    table = table_verdicts.build(results)
    text = table_verdicts.matrix(table)
    for axis in ("dataset", "architecture"):
        if len(set(text[axis])) == 1:
            text = text.drop(columns=axis)
    return (
        f"{table_verdicts.explain(table, '').strip()} MIA: gap of the white-box rate on the forget "
        "set; test: gap of accuracy, in points. All four gaps: `tables/table_verdicts`. "
        f"[The rule](../../statistics.md#verdicts-on-methods).\n\n{to_markdown(text)}"
    )


def _figures(folder: Path, results: Results) -> str:
    titles = {name: product.label for name, product in products(results.ratios).items()}
    pictures = [*sorted((folder / "figures").glob("*.svg")), folder / "scorecard" / "heatmap.svg"]
    lines = []
    for picture in pictures:
        name = picture.relative_to(folder).as_posix()
        label = titles.get(picture.stem, scorecard.TITLE)
        lines.append(f"[![{label}]({name}) {label}]({name})")
    gallery = "\n\n".join(lines)
    return (
        "A click enlarges. What they show: "
        f'[gallery](../../results.md).\n\n<div class="gallery" markdown>\n\n{gallery}\n\n</div>'
    )


def _files(folder: Path) -> str:
    described = {**DESCRIPTIONS, BENCHMARKS: HOURS}
    rows = []
    for name in sorted({path.name for path in folder.iterdir()} & set(described)):
        files = sorted(path for path in (folder / name).glob("*") if path.suffix in COPIED)
        if name == "figures":
            rows.append((f"{name}/", f"{len(files)} files: the figures above"))
            continue
        if not files:
            rows.append((f"[{name}]({name})", described[name]))
            continue
        stems: dict[str, list[str]] = {}
        for path in files:
            link = f"[{path.suffix[1:]}]({path.relative_to(folder).as_posix()})"
            stems.setdefault(path.stem, []).append(link)
        listed = [f"{stem.replace('_', ' ')} {' '.join(links)}" for stem, links in stems.items()]
        rows.append((f"{name}/", f"{described[name]}: {'; '.join(listed)}"))
    return to_markdown(pd.DataFrame(rows, columns=["file", "what it holds"]))
