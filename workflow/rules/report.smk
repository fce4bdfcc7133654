"""Tables and figures, each a job; pages about the run.

What a run consists of (datasets, models, attacks, …) are pages of one rule, `overview`.
"""

PAGES = constant(ROOT / "reporting" / "run" / "overview.py", "PAGES")


rule table:
    """Make a table."""
    input:
        unpack(further_inputs),
        **GATHERED,
    output:
        **product_files("table"),
    log:
        log_of("table"),
    wildcard_constraints:
        product=names_of_products("table"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("table"),
    params:
        product=lambda w: PRODUCTS[w.product],
        code=lambda w: source_digest("make_product.py", PRODUCTS[w.product].module),
    script:
        "../scripts/make_product.py"


use rule table as figure with:
    output:
        **product_files("figure"),
    log:
        log_of("figure"),
    wildcard_constraints:
        product=names_of_products("figure"),


workflow.get_rule("figure").docstring = "Draw a figure."


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
