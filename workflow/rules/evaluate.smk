rule evaluate:
    """Measure one method's unlearned models of all forget ratios."""
    input:
        **DATA,
        target=at("model", role="target"),
        shadow=at("model", role="shadow"),
        forget=expand(at("forget_set"), ratio=cfg.forget_ratios, allow_missing=True),
        models=lambda w: (
            [at("model", role="target")]
            if w.method == ORIGINAL
            else expand(at("unlearned"), ratio=cfg.forget_ratios, **w)
        ),
        costs=lambda w: (
            []
            if w.method == ORIGINAL
            else expand(at("cost"), ratio=cfg.forget_ratios, **w)
        ),
        attacks=expand(
            at("attack"),
            adversary=["mf", "mia"],
            attack=cfg.attacks,
            allow_missing=True,
        ),
        attributes=SELECTION_ATTRIBUTES,
    output:
        table=at("metrics"),
        scores=at("predictions"),
    log:
        log_of("evaluate"),
    benchmark:
        benchmark_of("evaluate")
    wildcard_constraints:
        method=EVALUABLE,
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("evaluate"),
    params:
        **SELECTION,
        ratios=cfg.forget_ratios,
        metrics=cfg.metrics,
        published=lambda w: rates_of_paper(w.architecture),
        training=cfg.training.model_dump(exclude={"epochs"}),
        device=cfg.device,
        code=lambda w: source_digest(
            "evaluate.py",
            SELECTION_MODULE,
            *(f"attacks.{attack}" for attack in cfg.attacks),
            f"models.{w.architecture}",
            *(f"evaluation.metrics.{metric}" for metric in cfg.metrics),
        ),
    script:
        "../scripts/evaluate.py"


rule gather:
    """Join the CSV files of all cells, and list every cell's parameters."""
    input:
        evaluation=cells(at("metrics"), method=[*cfg.methods, *cfg.controls]),
        attacks=cells(
            at("attack_quality"),
            adversary=["mf", "mia"],
            attack=cfg.attacks,
        ),
        histories=cells(
            at("unlearning_history"),
            method=[
                method
                for method in [*cfg.methods, *cfg.controls]
                if method != ORIGINAL
            ],
            ratio=cfg.forget_ratios,
        ),
        training=cells(
            at("training_history"),
            role=["target", "shadow"],
        ),
        datasets=expand(at("metadata"), dataset=cfg.datasets),
        splits=expand(at("splits"), dataset=cfg.datasets),
    output:
        evaluation=at("evaluation"),
        attacks=at("attacks"),
        histories=at("histories"),
        training=at("training"),
        datasets=at("datasets"),
        hyperparameters=at("hyperparameters"),
    log:
        log_of("gather"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("gather"),
    params:
        ratios=cfg.forget_ratios,
        selection=cfg.forgetting.described,
        restricts=selection_restricts(cfg.forgetting.selection),
        unsearched=cfg.unsearched(),
        hyperparameters=list(cfg.hyperparameters()),
        code=source_digest("gather.py"),
    script:
        "../scripts/gather.py"


rule gather_scores:
    """Join the per-image scores of all models as curves, and show the forget images."""
    input:
        **{
            name: expand(at(name), dataset=cfg.datasets)
            for name in ("images", "labels", "metadata")
        },
        scores=cells(at("predictions"), method=[*cfg.methods, *cfg.controls]),
        sheets=expand(
            at("predictions"),
            dataset=cfg.datasets,
            architecture=cfg.architectures,
            seed=cfg.seeds[0],
            method=ORIGINAL,
        ),
    output:
        curves=at("curves"),
        forget_images=at("forget_images"),
    log:
        log_of("gather_scores"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("gather_scores"),
    params:
        code=source_digest("gather_scores.py"),
    script:
        "../scripts/gather_scores.py"


rule record_provenance:
    """Save the resolved config, versions and machine."""
    input:
        at("evaluation"),
    output:
        config=at("config"),
        provenance=at("provenance"),
    log:
        log_of("record_provenance"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("record_provenance"),
    params:
        config=cfg.model_dump(),
        threads_per_job=THREADS,
        plugins=plugin_digests(),
        code=source_digest("record_provenance.py"),
    script:
        "../scripts/record_provenance.py"
