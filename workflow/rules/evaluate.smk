rule evaluate:
    input:
        **DATA,
        target="<results>/models/{dataset}/{architecture}/{seed}/target.safetensors",
        forget=expand(
            "<results>/forget/{{dataset}}/{{architecture}}/{{seed}}/{ratio}.npy",
            ratio=cfg.forget_ratios,
        ),
        models=lambda w: (
            ["<results>/models/{dataset}/{architecture}/{seed}/target.safetensors"]
            if w.method == ORIGINAL
            else expand(UNLEARNED["model"], ratio=cfg.forget_ratios, **w)
        ),
        costs=lambda w: (
            []
            if w.method == ORIGINAL
            else expand(UNLEARNED["cost"], ratio=cfg.forget_ratios, **w)
        ),
        attacks=expand(
            "<results>/attacks/{{dataset}}/{{architecture}}/{{seed}}/{attack}_{access}.safetensors",
            attack=["mf", "mia"],
            access=cfg.attacks,
        ),
    output:
        table=EVALUATED["table"],
        scores=EVALUATED["scores"],
    log:
        "<results>/logs/evaluate/{dataset}/{architecture}/{seed}/{method}.log",
    benchmark:
        "<results>/benchmarks/evaluate/{dataset}/{architecture}/{seed}/{method}.tsv"
    wildcard_constraints:
        method=f"{ORIGINAL}|{METHOD}",
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("evaluate"),
    params:
        ratios=cfg.forget_ratios,
        metrics=cfg.metrics,
        precision=cfg.training.precision,
        optimiser=cfg.training.model_dump(exclude={"epochs", "precision"}),
        device=cfg.device,
        code=lambda w: source_digest(
            "evaluate.py",
            *(f"attacks.{access}" for access in cfg.attacks),
            f"models.{w.architecture}",
            *(f"evaluation.metrics.{metric}" for metric in cfg.metrics),
        ),
    script:
        "../scripts/evaluate.py"


rule gather:
    input:
        evaluation=cells(EVALUATED["table"], method=cfg.methods),
        attacks=cells(
            "<results>/attacks/{dataset}/{architecture}/{seed}/{attack}_{access}.csv",
            attack=["mf", "mia"],
            access=cfg.attacks,
        ),
        histories=cells(
            UNLEARNED["history"],
            method=[method for method in cfg.methods if method != ORIGINAL],
            ratio=cfg.forget_ratios,
        ),
        training=cells(
            "<results>/models/{dataset}/{architecture}/{seed}/{role}.history.csv",
            role=["target", "shadow"],
        ),
        datasets=expand(DATA["metadata"], dataset=cfg.datasets),
        splits=expand(DATA["splits"], dataset=cfg.datasets),
    output:
        evaluation="<results>/evaluation.csv",
        attacks="<results>/attacks.csv",
        histories="<results>/histories.csv",
        training="<results>/training.csv",
        datasets="<results>/datasets.csv",
    log:
        "<results>/logs/gather.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("gather"),
    params:
        code=source_digest("gather.py"),
    script:
        "../scripts/gather.py"


rule record_provenance:
    input:
        "<results>/evaluation.csv",
    output:
        config="<results>/config.yaml",
        hyperparameters="<results>/hyperparameters.csv",
        provenance="<results>/provenance.json",
    log:
        "<results>/logs/record_provenance.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("record_provenance"),
    params:
        config=cfg.model_dump(),
        hyperparameters=list(cfg.hyperparameters()),
        threads_per_job=THREADS,
        plugins=plugin_digests(),
        code=source_digest("record_provenance.py"),
    script:
        "../scripts/record_provenance.py"
