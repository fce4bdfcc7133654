"""Proportional effectiveness: ReMI's part of the reduction that it and Fisher make together."""

import pandas as pd


def proportional_effectiveness(before: float, fisher: float, remi: float) -> float:
    """ReMI's reduction of the MIA accuracy as a share of ReMI's plus Fisher's, in [0, 1].

    The paper defines it in words only, as ReMI's part of the total reduction. It is undefined
    (NaN) when the two together reduce nothing; a method that raises the accuracy counts as no
    reduction.
    """
    reductions = [max(before - after, 0.0) for after in (remi, fisher)]
    return reductions[0] / sum(reductions) if sum(reductions) > 0 else float("nan")


def effectiveness(rows: pd.DataFrame) -> pd.DataFrame:
    """Proportional effectiveness per dataset and seed, averaged over architectures.

    Args:
        rows: Rows with dataset, architecture, seed, method and value (MIA accuracy on D_f).
    """
    needed = ["original", "fisher", "remi_whitebox"]
    wide = rows.pivot_table(
        index=["dataset", "architecture", "seed"], columns="method", values="value"
    ).reindex(columns=needed)
    wide["value"] = [proportional_effectiveness(*row) for row in wide[needed].to_numpy()]
    return wide.reset_index().groupby(["dataset", "seed"], as_index=False)["value"].mean()
