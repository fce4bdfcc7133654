"""Every image compared over all seeds: part of a run if `across_seeds` lists what to measure."""

ACROSS_SEEDS = [
    at("across_seeds"),
    "<results>/tables/table_across_seeds.csv",
    "<results>/figures/figure_across_seeds.svg",
]


rule evaluate_across_seeds:
    input:
        unlearned=all_seeds("{method}"),
        retrained=all_seeds("retrain"),
    output:
        at("compared"),
    log:
        log_of("evaluate_across_seeds"),
    benchmark:
        benchmark_of("evaluate_across_seeds")
    wildcard_constraints:
        method=EVALUABLE,
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **needs("evaluate_across_seeds"),
    params:
        metrics=cfg.across_seeds,
        code=code(
            "evaluate_across_seeds.py",
            *(f"evaluation.across_seeds.{metric}" for metric in cfg.across_seeds),
        ),
    script:
        "../scripts/evaluate_across_seeds.py"


rule gather_across_seeds:
    input:
        compared_across_seeds,
    output:
        at("across_seeds"),
    log:
        log_of("gather_across_seeds"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("gather_across_seeds"),
    params:
        code=code("gather_across_seeds.py"),
    script:
        "../scripts/gather_across_seeds.py"


rule table_across_seeds:
    input:
        **GATHERED,
        across_seeds=at("across_seeds"),
    output:
        csv="<results>/tables/table_across_seeds.csv",
        tex="<results>/tables/table_across_seeds.tex",
        html=report(
            "<results>/tables/table_across_seeds.html",
            caption="../report/table_across_seeds.rst",
            category="Tables",
            labels={"table": "beyond the paper: image by image, across seeds"},
        ),
    log:
        "<results>/logs/table_across_seeds.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("table_across_seeds"),
    params:
        module=module_name("reporting", "table_across_seeds"),
        code=code("table.py", module_name("reporting", "table_across_seeds")),
    script:
        "../scripts/table.py"


rule figure_across_seeds:
    input:
        **GATHERED,
        across_seeds=at("across_seeds"),
    output:
        svg=report(
            "<results>/figures/figure_across_seeds.svg",
            caption="../report/figure_across_seeds.rst",
            category="Figures",
            labels={"figure": "beyond the paper: image by image, across seeds"},
        ),
        png="<results>/figures/figure_across_seeds.png",
    log:
        "<results>/logs/figure_across_seeds.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("figure_across_seeds"),
    params:
        module=module_name("reporting", "figure_across_seeds"),
        options={},
        code=code("figure.py", module_name("reporting", "figure_across_seeds")),
    script:
        "../scripts/figure.py"
