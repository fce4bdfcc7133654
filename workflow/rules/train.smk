"""Target and shadow models: trained, or brought in."""

ROLES = {"target", "shadow"}
NOTHING = r"(?!)"  # matches no wildcard


rule train_model:
    """Train one classifier: the target or the shadow."""
    input:
        **DATA,
    output:
        model=at("model"),
        history=at("training_history"),
    log:
        log_of("train_model"),
    benchmark:
        benchmark_of("train_model")
    wildcard_constraints:
        role="|".join(ROLES - cfg.models.brought) or NOTHING,
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("train_model"),
    params:
        training=cfg.training.model_dump(),
        device=cfg.device,
        progress=PROGRESS,
        code=lambda w: source_digest("train_model.py", f"models.{w.architecture}"),
    script:
        "../scripts/train_model.py"


rule import_model:
    """Bring in one classifier in place of training it."""
    input:
        **DATA,
        checkpoint=checkpoint,
    output:
        model=at("model"),
        history=at("training_history"),
    log:
        log_of("import_model"),
    benchmark:
        benchmark_of("import_model")
    wildcard_constraints:
        role="|".join(cfg.models.brought) or NOTHING,
    priority: earlier_seeds_first
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        **resources_for("import_model"),
    params:
        digest=lambda w: sha256(checkpoint(w)),  # a copy may be as old as the first
        precision=cfg.training.precision,
        code=lambda w: source_digest("import_model.py", f"models.{w.architecture}"),
    script:
        "../scripts/import_model.py"
