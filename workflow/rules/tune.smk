"""Variants of methods: each is unlearned and evaluated like any other method."""


rule list_candidates:
    output:
        at("candidates"),
    log:
        log_of("list_candidates"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("list_candidates"),
    params:
        variants=cfg.variant_rows(),
        code=code("list_candidates.py"),
    script:
        "../scripts/list_candidates.py"


rule choose_candidates:
    input:
        **GATHERED,
        candidates=at("candidates"),
        evaluated=evaluated_variants,
        hyperparameters=at("hyperparameters"),
    output:
        trials=at("trials"),
        values=expand(at("searched_values"), method=cfg.variants),
        overlay=at("overlay"),
        csv=at("search_table"),
        tex=at("search_table", suffix=".tex"),
        html=at("search_table", suffix=".html"),
        svg=expand(at("search_figure"), method=cfg.variants),
        png=expand(at("search_figure", suffix=".png"), method=cfg.variants),
    log:
        log_of("choose_candidates"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("choose_candidates"),
    params:
        searched=cfg.searched(),
        code=code("choose_candidates.py"),
    script:
        "../scripts/choose_candidates.py"


rule judge_readings:
    input:
        **GATHERED,
        candidates=at("candidates"),
        evaluated=evaluated_variants,
    output:
        evaluation=at("readings_evaluation"),
        csv=at("readings"),
        md=at("readings", suffix=".md"),
        tex=at("readings", suffix=".tex"),
        html=at("readings", suffix=".html"),
    log:
        log_of("judge_readings"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("judge_readings"),
    params:
        code=code("judge_readings.py"),
    script:
        "../scripts/judge_readings.py"


rule trace_unlearning:
    input:
        candidates=at("candidates"),
        scores=lambda w: expand(
            at("predictions"), method=[ORIGINAL, "retrain", *traced()], **w
        ),
        histories=lambda w: expand(at("unlearning_history"), method=traced(), **w),
    output:
        table=at("trace"),
        rates=at("trace_rates"),
        rates_png=at("trace_rates", suffix=".png"),
        spread=at("trace_distributions"),
        spread_png=at("trace_distributions", suffix=".png"),
    log:
        log_of("trace_unlearning"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("trace_unlearning"),
    params:
        code=code("trace_unlearning.py"),
    script:
        "../scripts/trace_unlearning.py"


rule tune:
    input:
        rules.choose_candidates.output,


rule study:
    input:
        rules.judge_readings.output,


rule mechanism:
    input:
        cells(at("trace"), ratio=cfg.forget_ratios),
