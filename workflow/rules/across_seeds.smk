"""Every image compared over all seeds: part of a run if `across_seeds` lists what to measure."""

ACROSS_SEEDS = [
    "<results>/across_seeds.csv",
    "<results>/tables/table_across_seeds.csv",
    "<results>/figures/figure_across_seeds.svg",
]


rule evaluate_across_seeds:
    input:
        unlearned=all_seeds("{method}"),
        retrained=all_seeds("retrain"),
    output:
        "<results>/across_seeds/{dataset}/{architecture}/{method}.csv",
    log:
        "<results>/logs/evaluate_across_seeds/{dataset}/{architecture}/{method}.log",
    benchmark:
        "<results>/benchmarks/evaluate_across_seeds/{dataset}/{architecture}/{method}.tsv"
    wildcard_constraints:
        method=f"{ORIGINAL}|{METHOD}",
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
        "<results>/across_seeds.csv",
    log:
        "<results>/logs/gather_across_seeds.log",
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
        across_seeds="<results>/across_seeds.csv",
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
        across_seeds="<results>/across_seeds.csv",
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
