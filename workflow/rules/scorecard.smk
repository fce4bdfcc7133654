"""The published numbers beside ours, and every method tested against retraining."""


rule scorecard:
    """Put the published numbers beside ours: table, counts, heat map."""
    input:
        **GATHERED,
        hyperparameters=at("hyperparameters"),
    output:
        csv=at("scorecard"),
        tex=at("scorecard", suffix=".tex"),
        html=report(
            at("scorecard", suffix=".html"),
            caption="../report/scorecard.rst",
            category="Scorecard",
            labels={"scorecard": "every published number beside ours"},
        ),
        counts=at("counts"),
        counts_html=report(
            at("counts", suffix=".html"),
            caption="../report/scorecard_counts.rst",
            category="Scorecard",
            labels={"scorecard": "verdicts per table"},
        ),
        svg=report(
            at("heat_map"),
            caption="../report/scorecard_heatmap.rst",
            category="Scorecard",
            labels={"scorecard": "heat map"},
        ),
        png=at("heat_map", suffix=".png"),
    log:
        log_of("scorecard"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("scorecard"),
    params:
        code=source_digest("scorecard.py"),
    script:
        "../scripts/scorecard.py"


rule compare_methods:
    """Compare every method with retraining, and give rates their intervals."""
    input:
        **GATHERED,
    output:
        comparisons=at("comparisons"),
        html=report(
            at("comparisons", suffix=".html"),
            caption="../report/scorecard_comparisons.rst",
            category="Scorecard",
            labels={"scorecard": "methods against retraining"},
        ),
        rates=at("rates"),
    log:
        log_of("compare_methods"),
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("compare_methods"),
    params:
        code=source_digest("compare_methods.py"),
    script:
        "../scripts/compare_methods.py"
