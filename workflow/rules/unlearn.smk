rule unlearn:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        forget="<results>/forget/{dataset}/{architecture}/{seed}/{ratio}.npy",
        guide=lambda w: branch(
            METHODS[w.method].guide,
            then=f"<results>/attacks/{w.dataset}/{w.architecture}/{w.seed}/mf_{METHODS[w.method].guide}.safetensors",
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
        gpu=GPU,
    params:
        module=lambda w: METHODS[w.method].module,
        parameters=lambda w: cfg.unlearning.parameters(
            w.method, w.dataset, w.architecture, float(w.ratio)
        ),
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: code(
            "unlearn.py",
            f"models.{w.architecture}",
            f"unlearning.{METHODS[w.method].module}",
            *(
                [f"attacks.{METHODS[w.method].guide}"]
                if METHODS[w.method].guide
                else []
            ),
        ),
    script:
        "../scripts/unlearn.py"
