"""The tables and figures of a results tree, made in this process.

In a run each of them is a job, which takes longer to start than to draw. That the rules
make them all is seen in the smoke grid.
"""

from remibench.analysis.results import Results
from remibench.components.products import products
from remibench.reporting.render import make_product

# Targets: what they are made of.
GATHERED = ["evaluation.csv", "hyperparameters.csv", "curves.csv", "config.yaml"]
SUFFIXES = {"table": ("csv", "tex", "html"), "figure": ("png", "svg")}


def make_products(tree, ratios):
    """Make every table and figure of a tree without comparisons across seeds; name and text."""
    results = Results.of_tree(tree)
    for product in products(ratios).values():
        if "across_seeds" not in product.inputs:
            place = tree / f"{product.kind}s" / product.name
            place.parent.mkdir(exist_ok=True)
            paths = {suffix: place.with_suffix(f".{suffix}") for suffix in SUFFIXES[product.kind]}
            make_product(product, results, **paths)
            yield product.name, paths[SUFFIXES[product.kind][-1]].read_text()
