rule train_model:
    input:
        **DATA,
    output:
        model=at("model"),
        history=at("training_history"),
    log:
        log_of("train_model"),
    benchmark:
        benchmark_of("train_model")
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **needs("train_model"),
    params:
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: code("train_model.py", f"models.{w.architecture}"),
    script:
        "../scripts/train_model.py"
