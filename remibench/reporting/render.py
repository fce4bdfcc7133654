"""Tables as CSV, LaTeX and HTML; figures as SVG and PNG; one theme for all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from remibench.analysis.quantities import Quantity, mathematical
from remibench.analysis.results import METHODS, Results, count_seeds, displayed, percent
from remibench.analysis.verdicts import NOT_MEASURABLE, NOT_RUN
from remibench.artifacts.io import atomic_path
from remibench.artifacts.tables import write_csv
from remibench.components.display import NAMES
from remibench.components.guards import is_plugin
from remibench.components.plugins import broken, call
from remibench.components.products import Product
from remibench.reporting.html_page import ABSENT, KEYS, MINUS, page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Columns that a table can do without where all lines have one value, and what the value is of.
AXES = {"dataset": "", "architecture": "", "forget ratio": " forgotten"}
NAMED = ("quantity", "method")  # keys of which single values can be left out
LETTERS = 120  # in a line of a LaTeX table
ALL = "all"  # on an axis: for every value of it
LINES_PER_PAGE = 40  # LaTeX tables that are longer are broken over pages
LATEX = str.maketrans({sign: f"\\{sign}" for sign in "%_&#$"})
SYMBOLS = str.maketrans({"±": r"$\pm$", "×": r"$\times$", "−": "$-$", "λ": r"$\lambda$"})


def format_cell(
    mean: float,
    low: float,
    high: float,
    paper: float,
    decimals: int,
    *,
    scale: float = 1.0,
    sign: str = "",
) -> str:
    """``92.3 ± 0.4 [90.1]``: mean, half-width of the 95 % interval, the paper's number.

    Args:
        mean, low, high: The mean, NaN for what was not run, and its interval, NaN for none.
        paper: The paper's number, as it is shown; NaN for none.
        decimals: Number of decimal places of all numbers.
        scale: Factor by which mean and interval are multiplied.
        sign: ``+`` to show the sign of positive means, too.
    """
    if pd.isna(mean):
        return NOT_RUN
    text = f"{mean * scale:{sign}.{decimals}f}"
    if pd.notna(low):
        text += f" ± {(high - low) / 2 * scale:.{decimals}f}"
    if pd.notna(paper):
        text += f" [{paper:.{decimals}f}]"
    return text.replace("-", MINUS).replace("inf", "∞")


def format_gap(gap: float, low: float, high: float, quantity: Quantity) -> str:
    """``+0.620 ± 0.050``: mean gap and half-width of its interval, as the quantity is shown."""
    shown = {"scale": quantity.scale, "sign": "+"}
    return format_cell(gap, low, high, float("nan"), quantity.decimals, **shown)


def name_absence(row: tuple | None, remark: str = NOT_MEASURABLE) -> str:
    """Say why a cell has no number: its row is missing, or was measured and its remark says so."""
    return NOT_MEASURABLE if row is not None and remark == NOT_MEASURABLE else NOT_RUN


def spread(table: pd.DataFrame, rows: list[str], by: str, columns: list[str]) -> pd.DataFrame:
    """One line per combination of ``rows`` and one column per value of ``by``.

    Every combination of the values of ``rows`` has a line, so that a cell that was not run says so.

    Args:
        table: Formatted cells in ``text``, one per combination of ``rows`` and ``by``.
        rows: Columns that make a line; their values keep their order of appearance.
        by: Column whose values make the columns.
        columns: Values of ``by``, in the order of display.
    """
    lines = pd.MultiIndex.from_product([table[name].unique() for name in rows], names=rows)
    wide = table.pivot(index=rows, columns=by, values="text")  # noqa: PD010 - strings, unique
    if len(rows) == 1:
        wide.index = pd.MultiIndex.from_arrays([wide.index], names=rows)
    wide = wide.reindex(lines).reindex(columns=columns).astype(object).fillna(NOT_RUN)
    wide = wide.rename_axis(columns=None).reset_index()
    if "forget_ratio" in rows:
        wide["forget_ratio"] = [percent(ratio) for ratio in wide["forget_ratio"]]
    return wide.rename(columns={name: name.replace("_", " ") for name in rows})


def pivot(table: pd.DataFrame, rows: list[str], decimals: int) -> pd.DataFrame:
    """One formatted column per method, one line per cell; cells that were not run say so."""
    numbers = table[["mean", "low", "high", "paper"]].itertuples(index=False)
    text = table.assign(text=[format_cell(*number, decimals) for number in numbers])
    return spread(text, rows, "method", displayed(table["method"])).rename(columns=METHODS)


def readable(table: pd.DataFrame, **labels: str) -> pd.DataFrame:
    """Columns under their labels, axes first; ratios as percentages, methods by their labels."""
    axes = ["dataset", "architecture", "model", "method", "forget_ratio", "seed"]
    axes = [axis for axis in axes if axis in table]
    table = table[axes + [column for column in table if column not in axes]]
    if "forget_ratio" in table:
        ratios = table["forget_ratio"].map(percent, na_action="ignore")
        table = table.assign(forget_ratio=ratios.astype(object))
    if "method" in table:
        table = table.assign(method=table["method"].map(METHODS))
    return table.rename(columns={"forget_ratio": "forget ratio", **labels})


def settings(record: Mapping) -> pd.DataFrame:
    """Nested settings, one line per value: ``training.epochs``, 50."""
    return pd.DataFrame(_flatten(record), columns=["key", "value"])


def _flatten(record: Mapping, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", listed(value)


def listed(value: object) -> str:
    """A setting's value as text: the elements of a list with commas, "none" for nothing."""
    if value is None or value in ([], {}):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def means(table: pd.DataFrame) -> str:
    """Meaning of the numbers in a table of means: a sentence without its full stop."""
    seeds = count_seeds(table.loc[table["mean"].notna(), "seeds"])
    text = f"Mean over {seeds} of one split"
    return text + (
        " (no interval)" if seeds == "1 seed" else " ± half-width of the 95 % t-interval"
    )


def note(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of a formatted table of means for its readers, with the remarks on the run."""
    paper = "in brackets the paper's number, where it has that cell (full data, 64×64 pixels)"
    return f"{means(table)}; {paper}. {remarks}"


def write_table(
    table: pd.DataFrame,
    wide: pd.DataFrame,
    title: str,
    explanation: str,
    csv: Path,
    tex: Path,
    html: Path,
) -> None:
    """Write a table as tidy CSV (unrounded), and formatted as LaTeX and HTML.

    Args:
        table: The tidy numbers.
        wide: The same numbers as formatted cells.
        title: Title of the table.
        explanation: Explanation of the table for its readers, with the remarks on the run.
        csv, tex, html: Outputs.
    """
    write_csv(csv, table)
    write_formatted(wide, title, explanation, tex, html)


def make_product(product: Product, results: Results, **paths: Path) -> None:
    """Make a table, ``paths`` as in :func:`write_table`, or a figure, as in :func:`write_figure`.

    Raises:
        RemibenchError: A function of its module returned something else than promised, or a
            plug-in's one without rows, or one in which nothing is drawn or said; names its file.
    """
    module, plugin = import_module(product.module), is_plugin(product.module)
    if plugin:  # a metric that was not measured is then an error
        results = replace(results, asked_by=product.module)
    if product.kind == "figure":
        from matplotlib.figure import Figure

        use_theme()
        figure = call(module, "draw", Figure, results, **product.options)
        if plugin and not figure.texts and not any(map(_shows, figure.axes)):
            raise broken(product.module, "`draw` drew nothing: nothing that it looks for was run")
        write_figure(figure, **paths)
        return
    table = call(module, "build", pd.DataFrame, results, **product.options)
    if plugin and table.empty:
        raise broken(product.module, "`build` returned no rows: nothing that it looks for was run")
    wide = call(module, "layout", pd.DataFrame, table)
    write_table(table, wide, product.title, module.explain(table, results.remarks), **paths)


def _shows(axis: Axes) -> bool:
    """Tell whether something is drawn or written in a panel: a line without points is nothing."""
    from matplotlib.collections import PathCollection

    drawn = (
        len(each.get_offsets())
        if isinstance(each, PathCollection)
        else sum(len(path.vertices) for path in each.get_paths())
        for each in axis.collections
    )
    lines = (len(line.get_xdata()) for line in axis.lines)
    return any((*axis.patches, *axis.images, *axis.texts)) or any(lines) or any(drawn)


def write_formatted(
    wide: pd.DataFrame, title: str, explanation: str, tex: Path, html: Path
) -> None:
    """Write a table of formatted cells as LaTeX and HTML, with title and explanation.

    Axes that have one value in all lines, and what was not run at all, are said in the explanation.
    """
    wide, unrun = without_unrun(name_cells(wide))
    wide, common = without_constant(wide)
    methods = METHODS.values()  # which the remarks on the run name
    unsaid = [name for name in unrun if name not in methods or name not in explanation]
    absent = f"Not run or not measured: {'; '.join(unsaid)}." if unsaid else ""
    explanation = " ".join(filter(None, (common, explanation, absent)))
    with atomic_path(tex) as temporary:
        latex = _to_latex(wide, title, explanation, Path(tex).stem)
        temporary.write_text(latex, encoding="utf-8")
    write_page(html, wide, title, explanation)


def name_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Datasets and architectures as a person writes them."""
    columns = [column for column in NAMES if column in table]
    return table.assign(
        **{column: table[column].map(NAMES[column].__getitem__) for column in columns}
    )


def without_constant(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Drop the axes that have one value in all lines, and say it in a sentence; or nothing."""
    if len(table) < 2:
        return table, ""
    axes = [axis for axis in AXES if axis in table and len(table[axis].drop_duplicates()) == 1]
    values = [f"{table[axis].iloc[0]}{AXES[axis]}" for axis in axes if table[axis].notna().all()]
    values = [value for value in values if value != ALL]
    return table.drop(columns=axes), f"All lines: {', '.join(values)}." if values else ""


def without_unrun(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Drop columns, quantities and methods that were run nowhere; return their names, too.

    A line of another cell that was not run stays, and says so. A table of nothing else stays whole.
    """
    unrun = [column for column in table if len(table) and table[column].eq(NOT_RUN).all()]
    rest = table.drop(columns=unrun)
    for axis in [name for name in NAMED if name in table]:
        numbers = rest.drop(columns=[column for column in rest if column in KEYS])
        empty = numbers.eq(NOT_RUN).all(axis=1).groupby(rest[axis], sort=False).all()
        gone = empty.index[empty]
        unrun += [name for name in gone if name not in unrun]
        rest = rest[~rest[axis].isin(gone)]
    if rest.empty or len(rest.columns) < 2 or not unrun:
        return table, []
    return rest.reset_index(drop=True), unrun


def _to_latex(wide: pd.DataFrame, title: str, explanation: str, name: str) -> str:
    """A table as wide as the page, in small type; over several pages if it is long.

    Needs the packages array, booktabs and longtable, and 6.5 inches. Every column has room for its
    longest word and, as far as the page has, for its longest text; others are broken into lines.
    Where that is too wide, a half-width stands below its number; where it still is, type is
    smaller and words are hyphenated. Columns of numbers are flush right, so that their decimals
    stand below each other; an axis is written where it changes; the label is ``tab:`` and the name
    of the file.
    """
    numbers = {label for label in wide if wide[label].astype(str).map(_is_number).all()}
    texts = {label: [label, *wide[label].astype(str)] for label in wide}
    least = _widths(texts, "±±±±")  # as wide as four digits
    if below := sum(least) > LETTERS:
        least = _widths(texts, " ±±")
    whole = [1 + max(map(len, column)) for column in texts.values()]
    spare = max(0, min(1, (LETTERS - sum(least)) / max(1, sum(whole) - sum(least))))
    letters = [few + spare * (many - few) for few, many in zip(least, whole, strict=True)]
    columns = [
        rf">{{\ragged{'left' if label in numbers else 'right'}\arraybackslash\hspace{{0pt}}}}"
        rf"p{{\dimexpr {count / sum(letters):.4f}\linewidth-2\tabcolsep\relax}}"
        for label, count in zip(wide, letters, strict=True)
    ]
    long = len(wide) * (1 + below) > LINES_PER_PAGE
    styled = _once(wide).style.hide(axis="index").format(escape="latex")
    latex = styled.format_index(escape="latex", axis=1).to_latex(
        caption=(f"{title}. {explanation}".translate(LATEX), title.translate(LATEX)),
        label=f"tab:{name}",
        column_format="".join(columns),
        environment="longtable" if long else "table*",
        hrules=True,
    )
    size = r"\tiny" if sum(least) > LETTERS else r"\scriptsize"
    size += r"\setlength{\tabcolsep}{2pt}"
    if long:
        latex = re.sub(
            r"^\\caption\[\]\{.*\} \\\\\n", "", latex, flags=re.MULTILINE
        )  # again on each page
        latex = f"\\begingroup{size}\\setlength{{\\LTcapwidth}}{{\\linewidth}}\n{latex}\\endgroup\n"
    else:  # a float is set in the size of the page
        latex = latex.replace("\\begin{table*}", f"\\begin{{table*}}{size}")
    latex = mathematical(latex.replace(" ± ", " ±~" if below else "~±~").replace(r"\_", "_"))
    label = rf"\label{{tab:{name}}}"
    head, tail = latex.split(label)  # a label keeps its underscores
    latex, tail = (_escape_underscores(part).translate(SYMBOLS) for part in (head, tail))
    return latex + label + tail


def _escape_underscores(latex: str) -> str:
    """Underscores outside ``$…$``, with leave to break the line behind them."""
    parts = re.split(r"(\$[A-Z]_\w\$)", latex)
    return "".join(
        part if number % 2 else part.replace("_", r"\_\allowbreak ")
        for number, part in enumerate(parts)
    )


def _is_number(text: str) -> bool:
    return re.match(r"[+−]?[\d.]", text) is not None or text in (NOT_RUN, NOT_MEASURABLE, ABSENT)


def _once(wide: pd.DataFrame) -> pd.DataFrame:
    """Leave out an axis where it and all axes before it are those of the line above."""
    wide, same = wide.copy(), pd.Series(data=True, index=wide.index)
    for axis in [column for column in wide.columns[:-1] if column in AXES]:
        values = wide[axis]
        same &= values.eq(values.shift())
        wide[axis] = values.mask(same, "")
    return wide


def _widths(texts: dict[str, list[str]], plus_minus: str) -> list[int]:
    """Letters that each column needs for its longest word, with ``plus_minus`` for its signs."""
    words = (" ".join(column).replace(" ± ", plus_minus).split(" ") for column in texts.values())
    return [1 + max(map(len, column)) for column in words]


def to_markdown(table: pd.DataFrame) -> str:
    """A table of texts in Markdown, a line each."""
    escaped = table.astype(str).map(lambda text: text.replace("|", r"\|"))
    lines = [list(table.columns), ["---"] * len(table.columns), *escaped.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_page(path: str | Path, table: pd.DataFrame, title: str, explanation: str) -> None:
    """Write a table as a page that can be sorted and searched, see :func:`html_page.page`.

    Axes that have one value in all lines are said in the explanation.
    """
    table, common = without_constant(name_cells(table))
    explanation = " ".join(filter(None, (common, explanation)))
    with atomic_path(path) as temporary:
        text = page(table, title, explanation, Path(path).stem)
        temporary.write_text(text, encoding="utf-8")


def use_theme() -> None:
    """Set the theme of all figures, and make their files depend on their data alone."""
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rc_file(Path(__file__).with_name("theme.mplstyle"))


def write_figure(figure: Figure, svg: Path, png: Path) -> None:
    """Write a figure as SVG and PNG, without dates, so that equal data give equal files."""
    import matplotlib.pyplot as plt

    with atomic_path(svg) as temporary:
        figure.savefig(temporary, metadata={"Date": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary, dpi=300, metadata={"Software": None})
    plt.close(figure)
