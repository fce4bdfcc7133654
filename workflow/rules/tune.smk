"""Variants of methods: each is unlearned and evaluated like any other method."""


rule list_candidates:
    """Write what every variant of a method stands for."""
    output:
        at("candidates"),
    log:
        log_of("list_candidates"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("list_candidates"),
    params:
        variants=cfg.variant_rows(),
        code=source_digest("list_candidates.py"),
    script:
        "../scripts/list_candidates.py"


rule choose_candidates:
    """Judge all candidates of a search, and write the best as a config overlay."""
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
        **resources_for("choose_candidates"),
    params:
        searched=cfg.searched(),
        code=source_digest("choose_candidates.py"),
    script:
        "../scripts/choose_candidates.py"


rule judge_readings:
    """Judge all readings of a method's loss against the paper and retraining."""
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
        **resources_for("judge_readings"),
    params:
        code=source_digest("judge_readings.py"),
    script:
        "../scripts/judge_readings.py"


rule trace_unlearning:
    """Show what unlearning does to the attacks' scores, epoch by epoch."""
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
        **resources_for("trace_unlearning"),
    params:
        code=source_digest("trace_unlearning.py"),
    script:
        "../scripts/trace_unlearning.py"


rule tune:
    """Search for hyper-parameters (config/tune.yaml)."""
    input:
        rules.choose_candidates.output,


rule study:
    """Judge the readings of ReMI's loss (config/study_remi.yaml)."""
    input:
        rules.judge_readings.output,


rule mechanism:
    """Trace what ReMI does to the attacks' scores (config/mechanism.yaml)."""
    input:
        cells(at("trace"), ratio=cfg.forget_ratios),
