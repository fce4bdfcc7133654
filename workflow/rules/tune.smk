"""Search of hyper-parameters: a candidate is unlearned and evaluated like any other method."""


def candidates(wildcards):
    """Evaluations of all candidates, of retraining and of the target itself."""
    if not cfg.tune:
        sys.exit(
            "config: `tune` lists no candidates; lay config/tune.yaml over your config"
        )
    searched = [name for method in cfg.tune for name in cfg.candidates(method)]
    return cells(
        "<results>/evaluation/{dataset}/{architecture}/{seed}/{method}.csv",
        method=[ORIGINAL, "retrain", *searched],
    )


rule choose_candidates:
    input:
        **GATHERED,
        candidates=candidates,
        hyperparameters="<results>/hyperparameters.csv",
    output:
        trials="<results>/tune/trials.csv",
        values=expand("<results>/tune/{method}.csv", method=cfg.tune),
        overlay="<results>/tune/overlay.yaml",
        csv="<results>/tune/table2_hyperparameters.csv",
        tex="<results>/tune/table2_hyperparameters.tex",
        html="<results>/tune/table2_hyperparameters.html",
    log:
        "<results>/logs/choose_candidates.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        searched=cfg.searched(),
        code=code("choose_candidates.py"),
    script:
        "../scripts/choose_candidates.py"


rule tune:
    input:
        rules.choose_candidates.output,
