rule prepare_dataset:
    output:
        images=at("images"),
        labels=at("labels"),
        metadata=at("metadata"),
    log:
        log_of("prepare_dataset"),
    benchmark:
        benchmark_of("prepare_dataset")
    retries: 1  # a download may break off
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("prepare_dataset"),
    params:
        published_only=cfg.data.published_only,
        skip_unusable=cfg.data.skip_unusable,
        image_size=cfg.data.image_size,
        limit=cfg.data.limit,
        code=lambda w: code("prepare_dataset.py", f"data.{w.dataset}"),
    script:
        "../scripts/prepare_dataset.py"


rule split_dataset:
    input:
        metadata=at("metadata"),
    output:
        splits=at("splits"),
    log:
        log_of("split_dataset"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("split_dataset"),
    params:
        split_seed=cfg.data.split_seed,
        halves=cfg.data.halves,
        out_of_sample_fraction=cfg.data.out_of_sample_fraction,
        code=code("split_dataset.py"),
    script:
        "../scripts/split_dataset.py"
