rule unlearn:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        forget="<results>/forget/{dataset}/{architecture}/{seed}/{ratio}.npy",
        guide=lambda w: (
            f"<results>/attacks/{w.dataset}/{w.architecture}/{w.seed}"
            f"/mf_{METHODS[w.method].guide}.safetensors"
            if METHODS[w.method].guide
            else []
        ),
    output:
        model="<results>/unlearned/{dataset}/{architecture}/{seed}/{method}/{ratio}.safetensors",
        history="<results>/unlearned/{dataset}/{architecture}/{seed}/{method}/{ratio}.history.csv",
        cost="<results>/unlearned/{dataset}/{architecture}/{seed}/{method}/{ratio}.json",
    params:
        module=lambda w: METHODS[w.method].module,
        parameters=lambda w: getattr(cfg.unlearning, w.method).model_dump(),
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress="<results>/progress",
        code=lambda w: code(
            "unlearn.py",
            "attacks.whitebox",
            "attacks.blackbox",
            f"models.{w.architecture}",
            f"unlearning.{METHODS[w.method].module}",
        ),
    log:
        "<results>/logs/unlearn/{dataset}/{architecture}/{seed}/{method}/{ratio}.log",
    benchmark:
        "<results>/benchmarks/unlearn/{dataset}/{architecture}/{seed}/{method}/{ratio}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    conda:
        ENVIRONMENT
    script:
        "../scripts/unlearn.py"
