"""Tables and figures: a module of remibench/reporting and a caption of the same name each."""

from glob import glob

TABLES = {
    "table3_classification_accuracy": "III: classification accuracy",
    "table4_whitebox_mia": "IV: white-box membership inference",
}
FIGURES = {
    "figure3_mia_before_after": "3: membership inference before and after",
    "figure4_efficacy": "4: efficacy scores",
    "figure5_mf_during_unlearning": "5: membership fingerprinting during ReMI",
}
GATHERED = {
    "evaluation": "<results>/evaluation.csv",
    "histories": "<results>/histories.csv",
    "datasets": "<results>/datasets.csv",
    "training": "<results>/training.csv",
    "published": sorted(glob("paper/*.csv")),
}


for table, title in TABLES.items():

    rule:
        name:
            table
        input:
            **GATHERED,
        output:
            csv=f"<results>/tables/{table}.csv",
            tex=f"<results>/tables/{table}.tex",
            html=report(
                f"<results>/tables/{table}.html",
                caption=f"../report/{table}.rst",
                category="Tables",
                labels={"table": title},
            ),
        log:
            f"<results>/logs/{table}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            module=table,
            code=code("table.py", f"reporting.{table}"),
        script:
            "../scripts/table.py"


for figure, title in FIGURES.items():

    rule:
        name:
            figure
        input:
            **GATHERED,
        output:
            svg=report(
                f"<results>/figures/{figure}.svg",
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"figure": title},
            ),
            png=f"<results>/figures/{figure}.png",
        log:
            f"<results>/logs/{figure}.log",
        localrule: True
        conda:
            ENVIRONMENT
        params:
            module=figure,
            code=code("figure.py", f"reporting.{figure}"),
        script:
            "../scripts/figure.py"


rule summarise:
    input:
        **GATHERED,
    output:
        "<results>/summary.txt",
    log:
        "<results>/logs/summarise.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code("summarise.py"),
    script:
        "../scripts/summarise.py"
