"""Tables as pages of their own: sortable, searchable, self-contained, readable without a network.

The browser's side is DataTables, from the bundle inside the package itables. Every page carries it
compressed (250 kB), since a page must open by itself and from inside Snakemake's report alike.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader, Template

MAX_ROWS = 20_000  # on a page; about 2 MB, and a browser still sorts it at once
DECIMALS = 4  # significant ones; the CSV files have all
CHOICES = 30  # up to so many different values a column has a list to choose from
LONG = 48  # letters: columns with longer texts are broken into lines
MINUS = "−"  # in every text; a hyphen is none
KEYS = (  # columns that name a line
    *("dataset", "architecture", "model", "forget ratio", "method", "seed", "subset", "quantity"),
    *("guide", "judge", "parameter", "metric", "table", "key", "property"),
)
ABSENT = "–"  # what was not measured or does not apply
MISSING = ("not run", ABSENT)  # cells that begin so are sorted after all others


def page(table: pd.DataFrame, title: str, note: str, name: str, above: str = "") -> str:
    """Show a table as a page; without a network, too.

    Args:
        table: Text is shown as it is, numbers with four significant digits, NaN as "–". Of more
            than 20,000 rows the first are shown, and the page says so.
        title: Title of the page.
        note: Explanation of the table for its readers.
        name: Name of the file that the page's button "CSV" saves, without suffix.
        above: HTML between note and table.
    """
    shown = table.head(MAX_ROWS)
    if len(shown) < len(table):
        note += f" These are the first {len(shown):,} of {len(table):,} rows."
    css, javascript = _bundle()
    return template("page.html.j2").render(
        title=title,
        note=note,
        above=above,
        css=css,
        javascript=javascript,
        missing=_json(MISSING),
        heads=[str(label) for label in shown],
        columns=_json([_column(shown[label]) for label in shown]),
        keys=_keys(shown),
        rows=_json(shown.map(cell_text).to_numpy().tolist()),
        name=_json(name),
    )


def _column(values: pd.Series) -> dict[str, object]:
    """A column's filter and its style: a list of its values where they repeat, else a search."""
    number = pd.api.types.is_numeric_dtype(values)
    different = values.nunique(dropna=False)
    if different <= CHOICES and 2 * different <= len(values):
        content = "searchList"
    else:
        content = "searchNumber" if number else "searchText"
    control = [{"extend": "dropdown", "icon": "search", "content": [content]}]
    long = not number and values.astype(str).str.len().max() > LONG
    style = "number" if number else "long" if long else ""
    return {"columnControl": control, "className": style}


def _keys(table: pd.DataFrame) -> int:
    """Number of columns that name a line: they stay in sight when the table is scrolled."""
    return next((k for k, label in enumerate(table) if label not in KEYS), 0)


def cell_text(value: object) -> str:
    """A cell as its readers see it: numbers with four significant digits, NaN as a dash."""
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ABSENT
    if isinstance(value, float):
        return f"{value:.{DECIMALS}g}".replace("-", MINUS)
    return str(value)


def _json(value: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def template(name: str) -> Template:
    """A template of this folder; what it shows is escaped unless it says otherwise."""
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, keep_trailing_newline=True)
    return environment.get_template(name)


@cache
def _bundle() -> tuple[str, str]:
    """Style sheet and script of DataTables with its extensions, compressed, as base64."""
    folder = find_spec("itables").submodule_search_locations[0]  # its import takes .3 s
    paths = (Path(folder, "html", f"dt_bundle.{suffix}") for suffix in ("css", "js"))
    packed = (gzip.compress(path.read_bytes(), mtime=0) for path in paths)
    css, javascript = (b64encode(data).decode() for data in packed)
    return css, javascript
