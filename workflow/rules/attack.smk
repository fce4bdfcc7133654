rule fit_attack:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        fitted_on=branch(
            lambda w: w.attack == "mf",
            then="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
            otherwise="<results>/models/{dataset}/{architecture}/{seed}/shadow.safetensors",
        ),
    output:
        attack="<results>/attacks/{dataset}/{architecture}/{seed}/{attack}_{access}.safetensors",
        metrics="<results>/attacks/{dataset}/{architecture}/{seed}/{attack}_{access}.csv",
    log:
        "<results>/logs/fit_attack/{dataset}/{architecture}/{seed}/{attack}_{access}.log",
    benchmark:
        "<results>/benchmarks/fit_attack/{dataset}/{architecture}/{seed}/{attack}_{access}.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("fit_attack"),
    params:
        fit=lambda w: getattr(getattr(cfg.adversaries, w.attack), w.access).model_dump(),
        precision=cfg.training.precision,
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: source_digest(
            "fit_attack.py", f"attacks.{w.access}", f"models.{w.architecture}"
        ),
    script:
        "../scripts/fit_attack.py"
