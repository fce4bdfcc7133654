rule unlearn:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        forget="<results>/forget/{dataset}/{architecture}/{seed}/{ratio}.npy",
        guide=lambda w: branch(
            method_spec(w).guide,
            then=f"<results>/attacks/{w.dataset}/{w.architecture}/{w.seed}/mf_{method_spec(w).guide}.safetensors",
            otherwise=[],
        ),
    output:
        model=UNLEARNED["model"] if cfg.keep_unlearned else temp(UNLEARNED["model"]),
        history=UNLEARNED["history"],
        cost=UNLEARNED["cost"],
    log:
        "<results>/logs/unlearn/{dataset}/{architecture}/{seed}/{method}/{ratio}.log",
    benchmark:
        "<results>/benchmarks/unlearn/{dataset}/{architecture}/{seed}/{method}/{ratio}.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("unlearn"),
    params:
        module=lambda w: method_spec(w).module,
        parameters=lambda w: cfg.unlearning.parameters(
            w.method, w.dataset, w.architecture, float(w.ratio)
        ),
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
