rule prepare_dataset:
    """Load a raw dataset and store it resized."""
    output:
        images=at("images"),
        labels=at("labels"),
        metadata=at("metadata"),
        attributes=at("attributes"),
    log:
        log_of("prepare_dataset"),
    benchmark:
        benchmark_of("prepare_dataset")
    retries: 1  # a download may break off
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("prepare_dataset"),
    params:
        published_only=cfg.data.published_only,
        skip_unusable=cfg.data.skip_unusable,
        image_size=cfg.data.image_size,
        limit=cfg.data.limit,
        code=lambda w: source_digest("prepare_dataset.py", f"data.{w.dataset}"),
    script:
        "../scripts/prepare_dataset.py"


rule split_dataset:
    """Give every role its images."""
    input:
        labels=at("labels"),
        metadata=at("metadata"),
    output:
        splits=at("splits"),
    log:
        log_of("split_dataset"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("split_dataset"),
    params:
        split_seed=cfg.data.split_seed,
        swap=cfg.data.swap_target_and_shadow,
        out_of_sample_fraction=cfg.data.out_of_sample_fraction,
        code=source_digest("split_dataset.py"),
    script:
        "../scripts/split_dataset.py"
