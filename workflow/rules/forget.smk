rule score_members:
    """Compute white-box MF's membership probability of every training image."""
    input:
        **DATA,
        target=at("model", role="target"),
        attack=at("attack", adversary="mf", attack="whitebox"),
    output:
        scores=at("membership_scores"),
    log:
        log_of("score_members"),
    benchmark:
        benchmark_of("score_members")
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("score_members"),
    params:
        device=cfg.device,
        precision=cfg.training.precision,
        code=lambda w: source_digest(
            "score_members.py", "attacks.whitebox", f"models.{w.architecture}"
        ),
    script:
        "../scripts/score_members.py"


rule measure_losses:
    """Measure the target's cross-entropy on every training image."""
    input:
        **DATA,
        target=at("model", role="target"),
    output:
        losses=at("losses"),
    log:
        log_of("measure_losses"),
    benchmark:
        benchmark_of("measure_losses")
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("measure_losses"),
    params:
        device=cfg.device,
        precision=cfg.training.precision,
        code=lambda w: source_digest("measure_losses.py", f"models.{w.architecture}"),
    script:
        "../scripts/measure_losses.py"


rule select_forget_set:
    """Choose the forget set of one ratio."""
    input:
        **DATA,
        attributes=SELECTION_ATTRIBUTES,
        membership=(
            at("membership_scores") if "membership" in cfg.forgetting.uses else []
        ),
        losses=(  # of all seeds, which so forget the same
            expand(at("losses"), seed=cfg.seeds, allow_missing=True)
            if "losses" in cfg.forgetting.uses
            else []
        ),
        listed=cfg.forgetting.parameters.get("path", []),
    output:
        forget=at("forget_set"),
    log:
        log_of("select_forget_set"),
    priority: earlier_seeds_first
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("select_forget_set"),
    params:
        **SELECTION,
        code=source_digest("select_forget_set.py", SELECTION_MODULE),
    script:
        "../scripts/select_forget_set.py"
