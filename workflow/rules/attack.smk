rule fit_attack:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        fitted_on=lambda w: (
            "<results>/models/{dataset}/{architecture}/{seed}/"
            + {"mf": "target", "mia": "shadow"}[w.attack]
            + ".safetensors"
        ),
    output:
        attack="<results>/attacks/{dataset}/{architecture}/{seed}/{attack}_{access}.safetensors",
        metrics="<results>/attacks/{dataset}/{architecture}/{seed}/{attack}_{access}.csv",
    params:
        fit=lambda w: getattr(getattr(cfg.attacks, w.attack), w.access).model_dump(),
        device=cfg.device,
        progress="<results>/progress",
        code=lambda w: code(
            "fit_attack.py", f"attacks.{w.access}", f"models.{w.architecture}"
        ),
    log:
        "<results>/logs/fit_attack/{dataset}/{architecture}/{seed}/{attack}_{access}.log",
    benchmark:
        "<results>/benchmarks/fit_attack/{dataset}/{architecture}/{seed}/{attack}_{access}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    conda:
        ENVIRONMENT
    script:
        "../scripts/fit_attack.py"
