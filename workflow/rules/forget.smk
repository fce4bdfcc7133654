rule score_members:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        attack="<results>/attacks/{dataset}/{architecture}/{seed}/mf_whitebox.safetensors",
    output:
        scores="<results>/forget/{dataset}/{architecture}/{seed}/scores.npy",
    params:
        device=cfg.device,
        code=lambda w: code(
            "score_members.py", "attacks.whitebox", f"models.{w.architecture}"
        ),
    log:
        "<results>/logs/score_members/{dataset}/{architecture}/{seed}.log",
    threads: 1
    resources:
        gpu=GPU,
    conda:
        ENVIRONMENT
    script:
        "../scripts/score_members.py"


rule select_forget_set:
    localrule: True
    input:
        labels=DATA["labels"],
        splits=DATA["splits"],
        scores=branch(
            cfg.forgetting.selection == "membership",
            then="<results>/forget/{dataset}/{architecture}/{seed}/scores.npy",
            otherwise=[],
        ),
    output:
        forget="<results>/forget/{dataset}/{architecture}/{seed}/{ratio}.npy",
    params:
        selection=cfg.forgetting.selection,
        split_seed=cfg.data.split_seed,
        code=code("select_forget_set.py"),
    log:
        "<results>/logs/select_forget_set/{dataset}/{architecture}/{seed}/{ratio}.log",
    conda:
        ENVIRONMENT
    script:
        "../scripts/select_forget_set.py"
