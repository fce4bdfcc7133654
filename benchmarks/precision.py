"""Do bf16 and fp32 give the same results? Two evaluations of the same grid, paired by seed.

``python -m benchmarks.precision FP32/evaluation.csv BF16/evaluation.csv`` prints Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.timing import table
from remibench.analysis.results import METHODS
from remibench.analysis.statistics import t_interval

RATIO = 0.1
METRICS = {  # label: subset, metric, function of its values
    "test accuracy, %": ("test", "accuracy", lambda share: 100 * share),
    "white-box MIA on the forget set": ("forget", "mia_whitebox_rate", np.asarray),
    "black-box MIA on the forget set": ("forget", "mia_blackbox_rate", np.asarray),
    "log10 of the efficacy score": ("forget", "efficacy", np.log10),
}


def rows(single: pd.DataFrame, mixed: pd.DataFrame) -> Iterator[list[str]]:
    """One row per metric and method."""
    keys = ["dataset", "architecture", "seed", "method", "forget_ratio", "subset", "metric"]
    pairs = single.merge(mixed, on=keys, suffixes=("_fp32", "_bf16"))
    pairs = pairs[pairs["forget_ratio"] == RATIO]
    for label, (subset, metric, function) in METRICS.items():
        chosen = pairs[(pairs["subset"] == subset) & (pairs["metric"] == metric)]
        for method, values in chosen.groupby("method", sort=False):
            fp32, bf16 = (function(values[f"value_{p}"].to_numpy()) for p in ("fp32", "bf16"))
            low, high = t_interval(bf16 - fp32)
            yield [
                label,
                METHODS[method],
                len(values),
                f"{fp32.mean():.3f} ({fp32.std(ddof=1):.3f})",
                f"{bf16.mean():.3f} ({bf16.std(ddof=1):.3f})",
                f"{(bf16 - fp32).mean():+.3f} ({low:+.3f} to {high:+.3f})",
                "yes" if low <= 0 <= high else "**no**",
            ]


def main() -> None:
    """Print the table."""
    single, mixed = (pd.read_csv(path) for path in sys.argv[1:])
    note = (
        f"The default grid, {RATIO:.0%} forgotten: means over seeds (standard deviation), and the "
        "paired difference bf16 − fp32 with its 95 % t-interval."
    )
    columns = ["metric", "method", "seeds", "fp32", "bf16", "difference", "0 in the interval"]
    print(table("Precision", columns, rows(single, mixed), note))


if __name__ == "__main__":
    main()
