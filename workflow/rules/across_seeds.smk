"""Every image compared over all seeds: part of a run if `across_seeds` lists a metric."""


rule evaluate_across_seeds:
    """Compare one method's models of all seeds with the retrained ones."""
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
        **resources_for("evaluate_across_seeds"),
    params:
        metrics=cfg.across_seeds,
        code=source_digest(
            "evaluate_across_seeds.py",
            *(f"evaluation.across_seeds.{metric}" for metric in cfg.across_seeds),
        ),
    script:
        "../scripts/evaluate_across_seeds.py"


rule gather_across_seeds:
    """Join what was compared across seeds."""
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
        **resources_for("gather_across_seeds"),
    params:
        code=source_digest("gather_across_seeds.py"),
    script:
        "../scripts/gather_across_seeds.py"
