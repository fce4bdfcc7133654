"""Tables as CSV, LaTeX and HTML; figures as SVG and PNG; one theme for all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from remibench.checkpoints import atomic_path
from remibench.reporting.gather import write_csv
from remibench.reporting.results import METHODS, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HTML = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: left; }}
td {{ white-space: nowrap; }}
thead th {{ border-bottom: 2px solid #222; }}
</style></head><body><h1>{title}</h1><p>{note}</p>
{table}
</body></html>
"""


def format_cell(mean: float, low: float, high: float, paper: float, decimals: int) -> str:
    """``92.3 ± 0.4 [90.1]``: mean, half-width of the 95 % interval, the paper's number."""
    text = f"{mean:.{decimals}f}"
    if pd.notna(low):
        text += f" ± {(high - low) / 2:.{decimals}f}"
    if pd.notna(paper):
        text += f" [{paper:.{decimals}f}]"
    return text


def pivot(table: pd.DataFrame, rows: list[str], decimals: int) -> pd.DataFrame:
    """One formatted column per method, one line per cell; cells that were not run say so."""
    text = table.assign(
        text=[
            format_cell(row.mean_, row.low, row.high, row.paper, decimals)
            for row in table.rename(columns={"mean": "mean_"}).itertuples()
        ]
    )
    lines = text[rows].drop_duplicates()
    wide = text.pivot(index=rows, columns="method", values="text")  # noqa: PD010 - strings, unique
    wide = wide.reindex(pd.MultiIndex.from_frame(lines)).reindex(columns=list(METHODS))
    wide = wide.astype(object).fillna("not run").rename_axis(columns=None).reset_index()
    wide["forget_ratio"] = [percent(ratio) for ratio in wide["forget_ratio"]]
    return wide.rename(columns=METHODS | {name: name.replace("_", " ") for name in rows})


def note(table: pd.DataFrame, remarks: str) -> str:
    """How to read a formatted table, and what its readers must know."""
    seeds = sorted(set(table["seeds"]))
    count = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    text = f"Mean over {count} seed{'s' if seeds != [1] else ''} of one split"
    text += " ± half-width of the 95 % t-interval" if max(seeds) > 1 else " (one seed: no interval)"
    text += "; in brackets the paper's number, where it has that cell (full data, 64×64 pixels)."
    return f"{text} {remarks}"


def write_table(
    table: pd.DataFrame,
    remarks: str,
    title: str,
    rows: list[str],
    decimals: int,
    csv: Path,
    tex: Path,
    html: Path,
) -> None:
    """Write a table as tidy CSV (unrounded), and formatted as LaTeX and HTML.

    Args:
        table: Rows with mean, low, high, seeds and paper, and the columns ``rows`` and ``method``.
        remarks: What its readers must know (:attr:`Results.remarks`).
        title: Of the table.
        rows: Columns that make a line; methods make the columns.
        decimals: Digits after the point.
        csv, tex, html: Outputs.
    """
    write_csv(csv, table)
    write_formatted(pivot(table, rows, decimals), title, note(table, remarks), tex, html)


def write_formatted(
    wide: pd.DataFrame, title: str, explanation: str, tex: Path, html: Path
) -> None:
    """Write a table of formatted cells as LaTeX and HTML, with title and explanation."""
    caption = f"{title}. {explanation}".replace("%", r"\%").replace("_", r"\_")
    with atomic_path(tex) as temporary:
        escaped = wide.style.hide(axis="index").format(escape="latex")
        escaped = escaped.format_index(escape="latex", axis=1)
        latex = escaped.to_latex(hrules=True, caption=caption)
        temporary.write_text(
            latex.replace("±", r"$\pm$").replace("×", r"$\times$"), encoding="utf-8"
        )
    with atomic_path(html) as temporary:
        body = wide.to_html(index=False, border=0)
        temporary.write_text(
            _HTML.format(title=title, note=explanation, table=body), encoding="utf-8"
        )


def use_theme() -> None:
    """Set the theme of all figures, and make their files depend on their data alone."""
    import matplotlib as mpl
    import seaborn as sns

    mpl.use("agg")
    sns.set_theme(
        context="paper",
        style="whitegrid",
        rc={
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "font.sans-serif": ["DejaVu Sans"],
            "legend.frameon": False,
            "svg.fonttype": "none",
            "svg.hashsalt": "remibench",
        },
    )


def write_figure(figure: Figure, svg: Path, png: Path) -> None:
    """Write a figure as SVG and PNG, without dates, so that equal data give equal files."""
    import matplotlib.pyplot as plt

    with atomic_path(svg) as temporary:
        figure.savefig(temporary, metadata={"Date": None})
    with atomic_path(png) as temporary:
        figure.savefig(temporary, dpi=200, metadata={"Software": None})
    plt.close(figure)
