"""The published numbers beside ours, and every method tested against retraining."""


rule scorecard:
    """Put the published numbers beside ours: table, counts, heat map."""
    input:
        **GATHERED,
        hyperparameters="<results>/hyperparameters.csv",
    output:
        csv="<results>/scorecard/scorecard.csv",
        tex="<results>/scorecard/scorecard.tex",
        html=report(
            "<results>/scorecard/scorecard.html",
            caption="../report/scorecard.rst",
            category="Scorecard",
            labels={"scorecard": "every published number beside ours"},
        ),
        counts="<results>/scorecard/counts.csv",
        counts_html=report(
            "<results>/scorecard/counts.html",
            caption="../report/scorecard_counts.rst",
            category="Scorecard",
            labels={"scorecard": "verdicts per table"},
        ),
        svg=report(
            "<results>/scorecard/heatmap.svg",
            caption="../report/scorecard_heatmap.rst",
            category="Scorecard",
            labels={"scorecard": "heat map"},
        ),
        png="<results>/scorecard/heatmap.png",
    log:
        "<results>/logs/scorecard.log",
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
        comparisons="<results>/statistics/comparisons.csv",
        html=report(
            "<results>/statistics/comparisons.html",
            caption="../report/scorecard_comparisons.rst",
            category="Scorecard",
            labels={"scorecard": "methods against retraining"},
        ),
        rates="<results>/statistics/rates.csv",
    log:
        "<results>/logs/compare_methods.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **resources_for("compare_methods"),
    params:
        code=source_digest("compare_methods.py"),
    script:
        "../scripts/compare_methods.py"
