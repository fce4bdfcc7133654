"""Controls: what forgets nothing, made from the target and evaluated like any method."""


rule make_control:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        forget="<results>/forget/{dataset}/{architecture}/{seed}/{ratio}.npy",
        retrained=lambda w: (
            expand(UNLEARNED["model"], **{**w, "method": "retrain"})[0]
            if "retrained" in uses(w)
            else []
        ),
        attack=lambda w: branch(
            "attack" in uses(w),
            then=f"<results>/attacks/{w.dataset}/{w.architecture}/{w.seed}/mia_whitebox.safetensors",
            otherwise=[],
        ),
        published=lambda w: TABLE_IV if "published" in uses(w) else [],
    output:
        model=UNLEARNED["model"] if cfg.keep_unlearned else temp(UNLEARNED["model"]),
        history=UNLEARNED["history"],
        cost=UNLEARNED["cost"],
    log:
        "<results>/logs/make_control/{dataset}/{architecture}/{seed}/{method}/{ratio}.log",
    benchmark:
        "<results>/benchmarks/make_control/{dataset}/{architecture}/{seed}/{method}/{ratio}.tsv"
    wildcard_constraints:
        method="|".join(CONTROLS),
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **needs("make_control"),
    params:
        precision=cfg.training.precision,
        device=cfg.device,
        code=lambda w: code(
            "make_control.py",
            f"models.{w.architecture}",
            f"controls.{w.method}",
            *(["attacks.whitebox"] if "attack" in uses(w) else []),
        ),
    script:
        "../scripts/make_control.py"
