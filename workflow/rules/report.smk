"""Tables and figures, a rule a module, as these describe themselves; pages about the run.

What a run consists of (datasets, models, attacks, …) are pages of one rule, `overview`.
"""

from itertools import groupby
from operator import attrgetter

PAGES = constant(ROOT / "reporting" / "run" / "overview.py", "PAGES")
PRODUCTS = products(cfg.forget_ratios).values()
# For modules whose ``ALSO`` says so: read where it is measured.
COMPARED = {"across_seeds": at("across_seeds")} if cfg.across_seeds else {}
REPORTED = [  # what a run makes of all that can be made
    product
    for product in PRODUCTS
    if cfg.across_seeds or "across_seeds" not in product.inputs
]


for module, made in groupby(PRODUCTS, attrgetter("module")):
    made = list(made)
    name = module.rpartition(".")[2]

    rule:
        name:
            name
        input:
            **GATHERED,
            **{each: at(each) for each in made[0].inputs},
            **(COMPARED if constant(components("reporting")[name], "ALSO", ()) else {}),
        output:
            **product_files(made),
        log:
            log_of(name),
        localrule: True
        conda:
            ENVIRONMENT
        resources:
            **resources_for(name),
        params:
            products=made,
            code=source_digest("make_product.py", module),
        script:
            "../scripts/make_product.py"

    workflow.get_rule(name).docstring = f"{made[0].title}{', …' * (len(made) > 1)}."


rule overview:
    """Show what the run was made of and what came out of every part of it."""
    input:
        **GATHERED,
        hyperparameters=at("hyperparameters"),
        config=at("config"),
        provenance=at("provenance"),
        metadata=expand(at("metadata"), dataset=cfg.datasets),
        curves=cells(
            at("training_history"),
            role=["target", "shadow"],
        ),
    output:
        **{
            page: report(
                at("overview", page=page),
                caption=f"../report/overview_{page}.rst",
                category=category,
                labels={"item": title},
            )
            for page, (category, title) in PAGES.items()
        },
        svg=report(
            at("training_curves"),
            caption="../report/overview_training_curves.rst",
            category="Models",
            labels={"item": "training curves"},
        ),
        png=at("training_curves", suffix=".png"),
    log:
        log_of("overview"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("overview"),
    params:
        code=source_digest("overview.py"),
    script:
        "../scripts/overview.py"


rule summarise:
    """Write the main result as text, and the page that the report opens with."""
    input:
        **GATHERED,
        config=at("config"),
        figure=at("figure", product="figure_verdicts"),
    output:
        text=at("summary"),
        landing=at("landing"),
    log:
        log_of("summarise"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("summarise"),
    params:
        code=source_digest("summarise.py"),
    script:
        "../scripts/summarise.py"
