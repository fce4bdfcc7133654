rule fit_attack:
    """Fit one membership model and measure it on the target."""
    input:
        **DATA,
        target=at("model", role="target"),
        fitted_on=branch(
            lambda w: w.adversary == "mf",
            then=at("model", role="target"),
            otherwise=at("model", role="shadow"),
        ),
    output:
        attack=at("attack"),
        metrics=at("attack_quality"),
    log:
        log_of("fit_attack"),
    benchmark:
        benchmark_of("fit_attack")
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("fit_attack"),
    params:
        fit=lambda w: getattr(
            getattr(cfg.adversaries, w.adversary), w.attack
        ).model_dump(),
        precision=cfg.training.precision,
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: source_digest(
            "fit_attack.py", f"attacks.{w.attack}", f"models.{w.architecture}"
        ),
    script:
        "../scripts/fit_attack.py"
