rule train_model:
    """Train one classifier: the target or the shadow."""
    input:
        **DATA,
    output:
        model=at("model"),
        history=at("training_history"),
    log:
        log_of("train_model"),
    benchmark:
        benchmark_of("train_model")
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("train_model"),
    params:
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: source_digest("train_model.py", f"models.{w.architecture}"),
    script:
        "../scripts/train_model.py"
