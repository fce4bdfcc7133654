"""Table V: seconds of unlearning, the part of ReMI's membership loss, and speed-up.

Seconds are measured from a loaded model and forget set to the unlearned model; of ReMI also the
part that its membership loss takes, and the speed-up over retraining. In brackets the paper's
numbers (UTKFace, on another machine): compare ratios, not seconds.

With several cells, the last line has two speed-ups: the ratio of the means of all cells, which is
how the paper computes its 3.48×, and the median of the cells' own ratios. The former is dominated
by the slowest cells. Speed says nothing about what was forgotten.
"""

import pandas as pd

from remibench.analysis.results import BY_METHOD, CELL, METHODS, Results, displayed, percent
from remibench.analysis.verdicts import NOT_RUN
from remibench.reporting.html_page import ABSENT
from remibench.reporting.render import format_cell, means

TITLE = "Latency of unlearning (seconds)"
ALL = "all cells"
ACCESS = {"remi_whitebox": "white-box", "remi_blackbox": "black-box"}


def build(results: Results) -> pd.DataFrame:
    """Seconds per cell and method, and a row of all cells per method.

    Returns:
        ``dataset`` (``all cells`` in the last rows), ``architecture``, ``forget_ratio``,
        ``method``; ``mean``, ``low``, ``high``, ``seeds`` of the seconds; ``attack_loss`` and its
        share of the seconds; ``speedup``, the mean seconds of retraining over the method's;
        ``speedup_median``, in the rows of all cells, the median of the cells' speed-ups;
        the same of the paper (``paper…``; in the rows of all cells that of its UTKFace table).
    """
    table = results.summary("seconds").drop(columns="subset")
    parts = results.summary("seconds_attack_loss")[[*BY_METHOD, "mean"]]
    table = table.merge(parts.rename(columns={"mean": "attack_loss"}), how="left", on=BY_METHOD)
    paper = results.published[results.published["table"] == "Table V"]
    seconds, parts = (
        paper[paper["metric"] == metric].rename(columns={"value": name})[[*BY_METHOD, name]]
        for metric, name in (("seconds", "mean"), ("seconds_attack_loss", "attack_loss"))
    )
    paper = _with_speedup(seconds.merge(parts, how="left", on=BY_METHOD))
    table = _with_speedup(table)
    table["paper_dataset"] = table["dataset"].map(results.paper_names).astype(object)
    numbers = ["mean", "attack_loss", "attack_loss_share", "speedup", "speedup_median"]
    columns = {name: f"paper_{name}" for name in numbers} | {"mean": "paper"}
    renamed = paper.rename(columns=columns | {"dataset": "paper_dataset"})
    table.loc[table["dataset"] == ALL, "paper_dataset"] = ALL
    keys = ["paper_dataset", *BY_METHOD[1:]]
    joined = table.merge(renamed, how="left", on=keys).drop(columns="paper_dataset")
    return joined.astype({"seeds": "Int64"})


def _with_speedup(table: pd.DataFrame) -> pd.DataFrame:
    """Add share and speed-up, and a row per method for all cells that retraining has, too."""
    base = table[table["method"] == "retrain"].set_index(CELL)["mean"].rename("retrain")
    table = table.join(base, on=CELL)
    rows = []
    for method, cells in table.dropna(subset=["retrain"]).groupby("method", sort=False):
        sums = cells[["mean", "attack_loss", "retrain"]].mean()
        ratios = cells["retrain"] / cells["mean"]
        axes = {"dataset": ALL, "architecture": "", "forget_ratio": float("nan")}
        rows.append({**axes, "method": method, **sums, "speedup_median": ratios.median()})
    columns = [*table.columns, "speedup_median"]
    if rows:
        table = pd.concat([table, pd.DataFrame(rows, columns=columns)], ignore_index=True)
    table = table.reindex(columns=columns)
    table["attack_loss_share"] = table["attack_loss"] / table["mean"]
    table["speedup"] = table["retrain"] / table["mean"]
    return table.drop(columns="retrain")


def layout(table: pd.DataFrame) -> pd.DataFrame:
    """One line per cell, seconds of every method; for ReMI also L_G's part and speed-up.

    The last line is of all cells, if there are several: its axes that are the same in all of them
    have that value, so that they can be left out like those of any table.
    """
    axes = [list(dict.fromkeys(table.loc[table["dataset"] != ALL, name])) for name in CELL]
    axes[-1] = [percent(ratio) for ratio in axes[-1]]
    words = {cell: cell for cell in pd.MultiIndex.from_product(axes)}
    if len(words) > 1:
        of_all = [values[0] if len(values) == 1 else ABSENT for values in axes]
        of_all[of_all.index(ABSENT)] = "mean of all cells"
        words[ALL, "", percent(float("nan"))] = of_all
    numbers = {
        (row.dataset, row.architecture, percent(row.forget_ratio), row.method): row
        for row in table.itertuples()
    }
    lines = []
    for cell, named in words.items():
        line = dict(zip(("dataset", "architecture", "forget ratio"), named, strict=True))
        for method in displayed(table["method"])[1:]:
            row = numbers.get((*cell, method))
            line[f"{METHODS[method]} (s)"] = _seconds(row)
            if access := ACCESS.get(method):
                line[f"of it L_G ({access})"] = _part(row)
                line[f"Speed-up ({access})"] = _speedup(row)
        lines.append(line)
    return pd.DataFrame(lines)


def _seconds(row: tuple | None) -> str:
    return NOT_RUN if row is None else format_cell(row.mean, row.low, row.high, row.paper, 1)


def _part(row: tuple | None) -> str:
    if row is None or pd.isna(row.attack_loss):
        return NOT_RUN
    text = f"{row.attack_loss:.1f} s ({row.attack_loss_share:.0%})"
    if pd.notna(row.paper_attack_loss):
        text += f" [{row.paper_attack_loss:.1f} s, {row.paper_attack_loss_share:.0%}]"
    return text


def _speedup(row: tuple | None) -> str:
    if row is None or pd.isna(row.speedup):
        return NOT_RUN
    if row.dataset != ALL:
        paper = "" if pd.isna(row.paper_speedup) else f" [{row.paper_speedup:.2f}×]"
        return f"{row.speedup:.2f}×{paper}"
    text = f"{row.speedup:.2f}×, median {row.speedup_median:.2f}×"
    if pd.notna(row.paper_speedup):
        text += f" [{row.paper_speedup:.2f}×, {row.paper_speedup_median:.2f}×]"
    return text


def explain(table: pd.DataFrame, remarks: str) -> str:
    """Explanation of the formatted table for its readers."""
    return (
        f"{means(table)}. L_G: ReMI's membership loss. Speed-up: mean seconds of retraining over "
        "the method's; where there is a line of all cells, it has the ratio of the means (one slow "
        "cell can decide it), then the median of the cells' ratios. In brackets the paper's "
        f"UTKFace numbers on its own machine; seconds of two machines do not compare. {remarks}"
    )
