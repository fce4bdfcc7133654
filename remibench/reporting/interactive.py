"""Tables as pages of their own: sortable, searchable, self-contained, readable without a network.

The browser's side is DataTables, from the bundle inside the package itables. Every page carries it
compressed (250 kB), since a page must open by itself and from inside Snakemake's report alike.
"""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from functools import cache
from html import escape
from pathlib import Path

import pandas as pd

MAX_ROWS = 20_000  # on a page; about 2 MB, and a browser still sorts it at once
DECIMALS = 4  # significant ones; the CSV files have all
CHOICES = 30  # up to so many different values a column has a list to choose from
LONG = 48  # letters: columns with longer texts are broken into lines
ABSENT = "–"  # what was not measured or does not apply
MISSING = ("not run", ABSENT)  # cells that begin so are sorted after all others

_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; }}
h1 {{ font-size: 1.4em; }}
p {{ max-width: 60em; }}
table {{ font-variant-numeric: tabular-nums; }}
table.dataTable {{ margin: 0 !important; width: auto !important; }}
table.dataTable td, table.dataTable th {{ padding: .25em .7em !important; white-space: nowrap; }}
table.dataTable td.number {{ text-align: right; }}
table.dataTable td.long {{
  min-width: 28em; max-width: 40em; overflow-wrap: anywhere; white-space: normal;
}}
table.dataTable thead th {{ position: sticky; top: 0; background: white; z-index: 1; }}
div.dt-container {{ width: max-content; max-width: none; }}
div.dt-layout-row, div.dt-layout-cell {{ gap: 2em; overflow: visible !important; }}
</style></head><body><h1>{title}</h1><p>{note}</p>{above}
<table id="table" class="display"><thead><tr>{heads}</tr></thead></table>
<noscript>This table needs JavaScript. The numbers are in the CSV files of the results.</noscript>
<script type="module">
const unpack = async (base64) => {{
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}};
const style = document.createElement("style");
style.textContent = await unpack("{css}");
document.head.prepend(style);
const module = new Blob([await unpack("{javascript}")], {{ type: "text/javascript" }});
const {{ default: DataTable }} = await import(URL.createObjectURL(module));

// One order for all cells, in either direction: numbers, then words, then what is missing.
const missing = {missing};
const key = (text) => {{
  if (missing.some((word) => text.startsWith(word))) return null;
  const number = parseFloat(text.replaceAll(",", "").replace("−", "-"));
  return Number.isNaN(number) ? text : number;
}};
const rank = (value) => (value === null ? 2 : typeof value === "string" ? 1 : 0);
const order = (sign) => (a, b) =>
  rank(a) - rank(b) || sign * (rank(a) === 1 ? a.localeCompare(b) : a - b);
DataTable.type("cell", {{ order: {{ pre: key, asc: order(1), desc: order(-1) }} }});

const rows = {rows};
new DataTable("#table", {{
  data: rows,
  columns: {columns},
  columnDefs: [{{ targets: "_all", type: "cell", render: DataTable.render.text() }}],
  autoWidth: false,
  deferRender: true,
  order: [],
  orderDescReverse: false,
  paging: rows.length > 100,
  pageLength: 50,
  lengthMenu: [50, 200, {{ label: "all", value: -1 }}],
  layout: {{
    topStart: [{{ buttons: [{{ extend: "csv", filename: {name} }}, "copy"] }}, "search"],
    topEnd: null,
    bottomStart: rows.length > 100 ? ["info", "pageLength", "paging"] : "info",
    bottomEnd: null,
  }},
}});
</script></body></html>
"""


def page(table: pd.DataFrame, title: str, note: str, name: str, above: str = "") -> str:
    """Show a table as a page; without a network, too.

    Args:
        table: Text is shown as it is, numbers with four significant digits, NaN as "–". Of more
            than 20,000 rows the first are shown, and the page says so.
        title: Of the page.
        note: How to read it.
        name: Of the file that its button "CSV" saves, without suffix.
        above: HTML between note and table.
    """
    shown = table.head(MAX_ROWS)
    if len(shown) < len(table):
        note += f" These are the first {len(shown):,} of {len(table):,} rows."
    css, javascript = _bundle()
    return _PAGE.format(
        title=escape(title),
        note=escape(note),
        above=above,
        css=css,
        javascript=javascript,
        missing=_json(MISSING),
        heads="".join(f"<th>{escape(str(label))}</th>" for label in shown),
        columns=_json([_column(shown[label]) for label in shown]),
        rows=_json(shown.map(_text).to_numpy().tolist()),
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


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if pd.isna(value):
        return ABSENT
    return f"{value:.{DECIMALS}g}" if isinstance(value, float) else str(value)


def _json(value: object) -> str:
    """JSON that may stand inside a script element."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _bundle() -> tuple[str, str]:
    """Style sheet and script of DataTables with its extensions, compressed, as base64."""
    from itables.options import dt_bundle

    paths = (Path(dt_bundle).with_suffix(".css"), Path(dt_bundle))
    packed = (gzip.compress(path.read_bytes(), mtime=0) for path in paths)
    css, javascript = (b64encode(data).decode() for data in packed)
    return css, javascript
