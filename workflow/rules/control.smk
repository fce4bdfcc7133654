"""Controls: models that forget nothing, made from the target and evaluated like any method."""

CONTROLLED = expand(at("unlearned"), ratio=cfg.forget_ratios, allow_missing=True)


rule make_control:
    """Make a control of one target and forget set: an altered model that forgets nothing."""
    input:
        **DATA,
        target=at("model", role="target"),
        forget=expand(at("forget_set"), ratio=cfg.forget_ratios, allow_missing=True),
        retrained=lambda w: (
            expand(
                at("unlearned"),
                **{**w, "method": "retrain"},
                ratio=cfg.forget_ratios,
            )
            if "retrained" in uses(w)
            else []
        ),
        attack=lambda w: branch(
            "attack" in uses(w),
            then=at("attack", adversary="mia", attack="whitebox"),
            otherwise=[],
        ),
    output:
        models=CONTROLLED if cfg.keep_unlearned else temp(CONTROLLED),
        histories=expand(
            at("unlearning_history"), ratio=cfg.forget_ratios, allow_missing=True
        ),
        costs=expand(at("cost"), ratio=cfg.forget_ratios, allow_missing=True),
    log:
        log_of("make_control"),
    benchmark:
        benchmark_of("make_control")
    wildcard_constraints:
        method="|".join(CONTROLS),
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("make_control"),
    params:
        ratios=cfg.forget_ratios,
        precision=cfg.training.precision,
        published=lambda w: (
            rates_of_paper(w.architecture) if "published" in uses(w) else {}
        ),
        device=cfg.device,
        code=lambda w: source_digest(
            "make_control.py",
            f"models.{w.architecture}",
            f"controls.{w.method}",
            *(["attacks.whitebox"] if "attack" in uses(w) else []),
        ),
    script:
        "../scripts/make_control.py"
