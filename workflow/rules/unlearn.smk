rule unlearn:
    input:
        **DATA,
        target=at("model", role="target"),
        forget=at("forget_set"),
        guide=lambda w: branch(
            entry(w).guide,
            then=at("attack", attack="mf", access=entry(w).guide or ""),
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
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **needs("unlearn"),
    params:
        module=lambda w: entry(w).module,
        parameters=lambda w: cfg.parameters(
            w.method, w.dataset, w.architecture, float(w.ratio)
        ),
        may_diverge=lambda w: w.method not in METHODS,  # a variant then counts as destroyed
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: code(
            "unlearn.py",
            f"models.{w.architecture}",
            f"unlearning.{entry(w).module}",
            *([f"attacks.{entry(w).guide}"] if entry(w).guide else []),
        ),
    script:
        "../scripts/unlearn.py"
