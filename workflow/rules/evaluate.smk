rule evaluate:
    input:
        **DATA,
        forget=expand(
            "<results>/forget/{{dataset}}/{{architecture}}/{{seed}}/{ratio}.npy",
            ratio=cfg.forget_ratios,
        ),
        models=lambda w: (
            ["<results>/models/{dataset}/{architecture}/{seed}/target.safetensors"]
            if w.method == ORIGINAL
            else expand(UNLEARNED + ".safetensors", ratio=cfg.forget_ratios, **w)
        ),
        costs=lambda w: (
            []
            if w.method == ORIGINAL
            else expand(UNLEARNED + ".json", ratio=cfg.forget_ratios, **w)
        ),
        attacks=expand(
            "<results>/attacks/{{dataset}}/{{architecture}}/{{seed}}/{attack}_{access}.safetensors",
            attack=["mf", "mia"],
            access=ACCESSES,
        ),
    output:
        "<results>/evaluation/{dataset}/{architecture}/{seed}/{method}.csv",
    wildcard_constraints:
        method="|".join([ORIGINAL, *METHODS]),
    params:
        ratios=cfg.forget_ratios,
        metrics=cfg.metrics,
        device=cfg.device,
        code=lambda w: code(
            "evaluate.py",
            "attacks.whitebox",
            "attacks.blackbox",
            f"models.{w.architecture}",
            *(f"metrics.{metric}" for metric in cfg.metrics),
        ),
    log:
        "<results>/logs/evaluate/{dataset}/{architecture}/{seed}/{method}.log",
    benchmark:
        "<results>/benchmarks/evaluate/{dataset}/{architecture}/{seed}/{method}.tsv"
    threads: 1
    resources:
        gpu=GPU,
    conda:
        ENVIRONMENT
    script:
        "../scripts/evaluate.py"


rule gather:
    localrule: True
    input:
        evaluation=cells(
            "<results>/evaluation/{dataset}/{architecture}/{seed}/{method}.csv",
            method=cfg.methods,
        ),
        attacks=cells(
            "<results>/attacks/{dataset}/{architecture}/{seed}/{attack}_{access}.csv",
            attack=["mf", "mia"],
            access=ACCESSES,
        ),
        histories=cells(
            UNLEARNED + ".history.csv",
            method=[method for method in cfg.methods if method != ORIGINAL],
            ratio=cfg.forget_ratios,
        ),
        datasets=expand(DATA["metadata"], dataset=cfg.datasets),
        splits=expand(DATA["splits"], dataset=cfg.datasets),
    output:
        evaluation="<results>/evaluation.csv",
        attacks="<results>/attacks.csv",
        histories="<results>/histories.csv",
        datasets="<results>/datasets.csv",
    params:
        code=code("gather.py"),
    log:
        "<results>/logs/gather.log",
    conda:
        ENVIRONMENT
    script:
        "../scripts/gather.py"


rule record_provenance:
    localrule: True
    input:
        "<results>/evaluation.csv",
    output:
        config="<results>/config.yaml",
        provenance="<results>/provenance.json",
    params:
        config=cfg.model_dump(),
        code=code("record_provenance.py"),
    log:
        "<results>/logs/record_provenance.log",
    conda:
        ENVIRONMENT
    script:
        "../scripts/record_provenance.py"
