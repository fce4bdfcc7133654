"""Tables and figures, a rule each, as their modules describe themselves; pages about the run.

What a run consists of (datasets, models, attacks, …) are pages of one rule, `overview`.
"""

PAGES = constant(ROOT / "reporting" / "run" / "overview.py", "PAGES")
PRODUCTS = products(cfg.forget_ratios).values()
REPORTED = [  # what a run makes of all that can be made
    product
    for product in PRODUCTS
    if cfg.across_seeds or "across_seeds" not in product.inputs
]


for product in PRODUCTS:

    rule:
        name:
            product.name
        input:
            **GATHERED,
            **{name: at(name) for name in product.inputs},
        output:
            **product_files(product),
        log:
            log_of(product.name),
        localrule: True
        conda:
            ENVIRONMENT
        resources:
            **resources_for(product.name),
        params:
            kind=product.kind,
            module=product.module,
            options=product.options,
            caption=verbatim(product.caption),
            code=source_digest("make_product.py", product.module),
        script:
            "../scripts/make_product.py"


rule overview:
    input:
        **GATHERED,
        hyperparameters="<results>/hyperparameters.csv",
        config="<results>/config.yaml",
        provenance="<results>/provenance.json",
        metadata=expand(at("metadata"), dataset=cfg.datasets),
        curves=cells(
            at("training_history"),
            role=["target", "shadow"],
        ),
    output:
        **{
            page: report(
                f"<results>/overview/{page}.html",
                caption=f"../report/overview_{page}.rst",
                category=category,
                labels={"item": title},
            )
            for page, (category, title) in PAGES.items()
        },
        svg=report(
            "<results>/overview/training_curves.svg",
            caption="../report/overview_training_curves.rst",
            category="Models",
            labels={"item": "training curves"},
        ),
        png="<results>/overview/training_curves.png",
    log:
        "<results>/logs/overview.log",
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
    input:
        **GATHERED,
    output:
        "<results>/summary.txt",
    log:
        "<results>/logs/summarise.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("summarise"),
    params:
        code=source_digest("summarise.py"),
    script:
        "../scripts/summarise.py"
