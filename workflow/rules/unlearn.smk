rule unlearn:
    """Make one target model forget one forget set by one method."""
    input:
        **DATA,
        target=at("model", role="target"),
        forget=at("forget_set"),
        guide=lambda w: branch(
            method_spec(w).guide,
            then=at("attack", adversary="mf", attack=method_spec(w).guide or ""),
            otherwise=[],
        ),
    output:
        model=at("unlearned") if cfg.keep_unlearned else temp(at("unlearned")),
        history=at("unlearning_history"),
        cost=at("cost"),
    log:
        log_of("unlearn"),
    benchmark:
        benchmark_of("unlearn")
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("unlearn"),
    params:
        module=lambda w: method_spec(w).module,
        parameters=lambda w: cfg.parameters(
            w.method, w.dataset, w.architecture, float(w.ratio)
        ),
        may_diverge=lambda w: w.method not in METHODS,  # a variant then counts as destroyed
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: source_digest(
            "unlearn.py",
            f"models.{w.architecture}",
            f"unlearning.{method_spec(w).module}",
            *([f"attacks.{method_spec(w).guide}"] if method_spec(w).guide else []),
        ),
    script:
        "../scripts/unlearn.py"
