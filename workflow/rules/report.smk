"""Tables and figures: one rule each, from a module of remibench/reporting and a caption.

The paper's appendix repeats figures at other forget ratios: the same module, other options.
"""

from glob import glob

GATHERED = {
    "evaluation": "<results>/evaluation.csv",
    "histories": "<results>/histories.csv",
    "datasets": "<results>/datasets.csv",
    "training": "<results>/training.csv",
    "attacks": "<results>/attacks.csv",
    "published": sorted(glob("paper/*.csv")),
}
TABLES = {  # name of the module and of the caption: title
    "table1_dataset_statistics": "I: data statistics",
    "table2_hyperparameters": "II: hyper-parameters",
    "table3_classification_accuracy": "III: classification accuracy",
    "table4_whitebox_mia": "IV: white-box membership inference",
    "table5_latency": "V: latency",
    "table6_cross_method": "VI: cross-method evaluation",
}
TARGET, ATTACKS = "figure01_target_accuracy", "figure02_attack_accuracy"
MIA, EFFICACY = "figure03_mia_before_after", "figure04_efficacy"
MF, GUIDES = "figure05_mf_during_unlearning", "figure06_mf_by_guide"
FIGURES = {  # name: module and caption, its options, title
    "figure01_target_accuracy": (TARGET, {}, "1: accuracy of the targets"),
    "figure02_attack_accuracy": (ATTACKS, {}, "2: accuracy of MF and MIA"),
    "figure03_mia_before_after": (MIA, {"ratio": 0.25}, "3: MIA before and after, 25%"),
    "figure04_efficacy": (EFFICACY, {}, "4: efficacy scores"),
    "figure05_mf_during_unlearning": (MF, {}, "5: MF during ReMI"),
    "figure06_mf_by_guide": (GUIDES, {"ratio": 0.25}, "6: MF by guide, 25%"),
    "figure07_mia_before_after": (MIA, {"ratio": 0.5}, "7: MIA before and after, 50%"),
    "figure08_mia_before_after": (MIA, {"ratio": 0.1}, "8: MIA before and after, 10%"),
    "figure09_mia_before_after": (MIA, {"ratio": 0.01}, "9: MIA before and after, 1%"),
    "figure10_blackbox_mia": (
        MIA,
        {"ratio": 0.01, "access": "blackbox"},
        "10: black-box MIA, 1%",
    ),
    "figure11_blackbox_mia": (
        MIA,
        {"ratio": 0.1, "access": "blackbox"},
        "11: black-box MIA, 10%",
    ),
    "figure12_blackbox_mia": (
        MIA,
        {"ratio": 0.25, "access": "blackbox"},
        "12: black-box MIA, 25%",
    ),
    "figure13_blackbox_mia": (
        MIA,
        {"ratio": 0.5, "access": "blackbox"},
        "13: black-box MIA, 50%",
    ),
    "figure14_mf_by_guide": (GUIDES, {"ratio": 0.01}, "14: MF by guide, 1%"),
    "figure15_mf_by_guide": (GUIDES, {"ratio": 0.1}, "15: MF by guide, 10%"),
    "figure16_mf_by_guide": (GUIDES, {"ratio": 0.5}, "16: MF by guide, 50%"),
}


for table, title in TABLES.items():

    rule:
        name:
            table
        input:
            **GATHERED,
            hyperparameters="<results>/hyperparameters.csv",
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


for figure, (module, options, title) in FIGURES.items():

    rule:
        name:
            figure
        input:
            **GATHERED,
        output:
            svg=report(
                f"<results>/figures/{figure}.svg",
                caption=f"../report/{module}.rst",
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
            module=module,
            options=options,
            code=code("figure.py", f"reporting.{module}"),
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
