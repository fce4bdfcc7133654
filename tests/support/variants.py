"""Variants by what they stand for: ``fisher,alpha=1e-06`` becomes ``fisher~01`` and its table."""

import pandas as pd


def name_variants(table):
    """Replace ``method,parameter=value,…`` in ``method``; return the table and the candidates."""
    names, rows = {}, []
    for text in sorted(set(table["method"])):
        method, *values = text.split(",")
        if not values:
            continue
        number = 1 + sum(name.startswith(f"{method}~") for name in names.values())
        names[text] = f"{method}~{number:02}"
        rows += [(names[text], method, *value.split("=", 1)) for value in values]
    candidates = pd.DataFrame(rows, columns=["variant", "method", "parameter", "value"])
    return table.assign(method=table["method"].replace(names)), candidates
