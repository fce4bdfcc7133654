rule score_members:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        attack="<results>/attacks/{dataset}/{architecture}/{seed}/mf_whitebox.safetensors",
    output:
        scores="<results>/forget/{dataset}/{architecture}/{seed}/scores.npy",
    log:
        "<results>/logs/score_members/{dataset}/{architecture}/{seed}.log",
    benchmark:
        "<results>/benchmarks/score_members/{dataset}/{architecture}/{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("score_members"),
    params:
        device=cfg.device,
        precision=cfg.training.precision,
        code=lambda w: source_digest(
            "score_members.py", "attacks.whitebox", f"models.{w.architecture}"
        ),
    script:
        "../scripts/score_members.py"


rule measure_losses:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
    output:
        losses="<results>/forget/{dataset}/{architecture}/{seed}/losses.npy",
    log:
        "<results>/logs/measure_losses/{dataset}/{architecture}/{seed}.log",
    benchmark:
        "<results>/benchmarks/measure_losses/{dataset}/{architecture}/{seed}.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("measure_losses"),
    params:
        device=cfg.device,
        precision=cfg.training.precision,
        code=lambda w: source_digest("measure_losses.py", f"models.{w.architecture}"),
    script:
        "../scripts/measure_losses.py"


rule select_forget_set:
    input:
        labels=DATA["labels"],
        splits=DATA["splits"],
        scores=branch(
            cfg.forgetting.selection,
            cases={
                "membership": [
                    "<results>/forget/{dataset}/{architecture}/{seed}/scores.npy"
                ],
                "memorised": expand(  # of all seeds, which so forget the same
                    "<results>/forget/{{dataset}}/{{architecture}}/{seed}/losses.npy",
                    seed=cfg.seeds,
                ),
            },
            otherwise=[],
        ),
    output:
        forget="<results>/forget/{dataset}/{architecture}/{seed}/{ratio}.npy",
    log:
        "<results>/logs/select_forget_set/{dataset}/{architecture}/{seed}/{ratio}.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("select_forget_set"),
    params:
        selection=cfg.forgetting.selection,
        split_seed=cfg.data.split_seed,
        code=source_digest("select_forget_set.py"),
    script:
        "../scripts/select_forget_set.py"
