"""Search of hyper-parameters: a candidate is unlearned and evaluated like any other method."""

TRACE = "<results>/mechanism/{dataset}/{architecture}/{seed}/{ratio}"


rule choose_candidates:
    input:
        **GATHERED,
        candidates=candidates,
        hyperparameters="<results>/hyperparameters.csv",
    output:
        trials="<results>/tune/trials.csv",
        values=expand("<results>/tune/{method}.csv", method=cfg.tune),
        overlay="<results>/tune/overlay.yaml",
        csv="<results>/tune/table2_hyperparameters.csv",
        tex="<results>/tune/table2_hyperparameters.tex",
        html="<results>/tune/table2_hyperparameters.html",
        svg=expand("<results>/tune/{method}.svg", method=cfg.tune),
        png=expand("<results>/tune/{method}.png", method=cfg.tune),
    log:
        "<results>/logs/choose_candidates.log",
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
    input:
        **GATHERED,
        candidates=candidates,
    output:
        evaluation="<results>/study/evaluation.csv",
        csv="<results>/study/readings.csv",
        md="<results>/study/readings.md",
        tex="<results>/study/readings.tex",
        html="<results>/study/readings.html",
    log:
        "<results>/logs/judge_readings.log",
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
    input:
        scores=lambda w: expand(
            EVALUATED["scores"], method=[ORIGINAL, "retrain", *traced()], **w
        ),
        histories=lambda w: expand(UNLEARNED["history"], method=traced(), **w),
    output:
        table=f"{TRACE}.csv",
        rates=f"{TRACE}_rates.svg",
        rates_png=f"{TRACE}_rates.png",
        spread=f"{TRACE}_distributions.svg",
        spread_png=f"{TRACE}_distributions.png",
    log:
        "<results>/logs/trace_unlearning/{dataset}/{architecture}/{seed}/{ratio}.log",
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
    input:
        rules.choose_candidates.output,


rule study:
    input:
        rules.judge_readings.output,


rule mechanism:
    input:
        cells(f"{TRACE}.csv", ratio=cfg.forget_ratios),
