rule train_model:
    input:
        **DATA,
    output:
        model="<results>/models/{dataset}/{architecture}/{seed}/{role}.safetensors",
        history="<results>/models/{dataset}/{architecture}/{seed}/{role}.history.csv",
    log:
        "<results>/logs/train_model/{dataset}/{architecture}/{seed}/{role}.log",
    benchmark:
        "<results>/benchmarks/train_model/{dataset}/{architecture}/{seed}/{role}.tsv"
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
