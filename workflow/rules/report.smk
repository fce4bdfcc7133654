"""Tables and figures: one rule each, from a module of remibench/reporting and a caption.

Those of plug-ins are all made, and their docstrings are their captions.

The paper's appendix repeats figures at other forget ratios: the same module, other options.
What a run consists of (datasets, models, attacks, …) are pages of one rule, `overview`.
"""

TABLES = {  # name of the module and of the caption: title
    "table1_dataset_statistics": "I: data statistics",
    "table2_hyperparameters": "II: hyper-parameters",
    "table3_classification_accuracy": "III: classification accuracy",
    "table4_whitebox_mia": "IV: white-box membership inference",
    "table5_latency": "V: latency",
    "table6_cross_method": "VI: cross-method evaluation",
    "table_gaps": "beyond the paper: gaps to retraining",
    "table_verdicts": "beyond the paper: verdicts on every method",
}
TARGET, ATTACKS = "figure01_target_accuracy", "figure02_attack_accuracy"
MIA, EFFICACY = "figure03_mia_before_after", "figure04_efficacy"
MF, GUIDES = "figure05_mf_during_unlearning", "figure06_mf_by_guide"
FIGURES = {  # name: module and caption, its options, title
    "figure01_target_accuracy": (TARGET, {}, "01: accuracy of the targets"),
    "figure02_attack_accuracy": (ATTACKS, {}, "02: accuracy of MF and MIA"),
    "figure03_mia_before_after": (
        MIA,
        {"ratio": 0.25},
        "03: MIA before and after, 25%",
    ),
    "figure04_efficacy": (EFFICACY, {}, "04: efficacy scores"),
    "figure05_mf_during_unlearning": (MF, {}, "05: MF during ReMI"),
    "figure06_mf_by_guide": (GUIDES, {"ratio": 0.25}, "06: MF by guide, 25%"),
    "figure07_mia_before_after": (MIA, {"ratio": 0.5}, "07: MIA before and after, 50%"),
    "figure08_mia_before_after": (MIA, {"ratio": 0.1}, "08: MIA before and after, 10%"),
    "figure09_mia_before_after": (MIA, {"ratio": 0.01}, "09: MIA before and after, 1%"),
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
    "figure_gaps": (
        "figure_gaps",
        {"ratio": 0.1},
        "beyond the paper: gaps to retraining, 10%",
    ),
    "figure_verdicts": (
        "figure_verdicts",
        {},
        "beyond the paper: leak against utility",
    ),
}
PAGES = (
    {  # name in remibench/reporting/run/overview.py and of the caption: category, title
        "datasets": ("Datasets", "images and splits"),
        "files": ("Datasets", "files and checksums"),
        "trainings": ("Models", "trainings from scratch"),
        "attacks": ("Attacks", "membership models on the targets"),
        "runs": ("Unlearning", "every model"),
        "evaluation": ("Unlearning", "all metrics, over seeds"),
        "configuration": ("Run", "configuration"),
        "hyperparameters": ("Run", "parameters of every cell"),
        "provenance": ("Run", "provenance"),
    }
)
CAPTIONS = {}  # of plug-ins: shown by workflow/report/plugin.rst
for name, file in plugin_modules("reporting").items():
    if name in TABLES or name in FIGURES:
        sys.exit(f"{file}: the name {name!r} is taken by the paper's; rename the file")
    title, CAPTIONS[name] = title_and_caption(file)
    if name.startswith("table"):
        TABLES[name] = title
    else:
        FIGURES[name] = (name, {}, title)


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
                caption=f"../report/{'plugin' if table in CAPTIONS else table}.rst",
                category="Tables",
                labels={"table": escaped(title)},
            ),
        log:
            f"<results>/logs/{table}.log",
        localrule: True
        conda:
            ENVIRONMENT
        resources:
            **needs(table),
        params:
            module=module_name("reporting", table),
            caption=verbatim(CAPTIONS.get(table, "")),
            code=code("table.py", module_name("reporting", table)),
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
                caption=f"../report/{'plugin' if module in CAPTIONS else module}.rst",
                category="Figures",
                labels={"figure": escaped(title)},
            ),
            png=f"<results>/figures/{figure}.png",
        log:
            f"<results>/logs/{figure}.log",
        localrule: True
        conda:
            ENVIRONMENT
        resources:
            **needs(figure),
        params:
            module=module_name("reporting", module),
            options=options,
            caption=verbatim(CAPTIONS.get(module, "")),
            code=code("figure.py", module_name("reporting", module)),
        script:
            "../scripts/figure.py"


rule overview:
    input:
        **GATHERED,
        hyperparameters="<results>/hyperparameters.csv",
        config="<results>/config.yaml",
        provenance="<results>/provenance.json",
        metadata=expand(at("metadata"), dataset=cfg.datasets),
        curves=cells(
            at("training_history"),
            role=["target", "shadow"],
        ),
    output:
        **{
            page: report(
                f"<results>/overview/{page}.html",
                caption=f"../report/overview_{page}.rst",
                category=category,
                labels={"item": title},
            )
            for page, (category, title) in PAGES.items()
        },
        svg=report(
            "<results>/overview/training_curves.svg",
            caption="../report/overview_training_curves.rst",
            category="Models",
            labels={"item": "training curves"},
        ),
        png="<results>/overview/training_curves.png",
    log:
        "<results>/logs/overview.log",
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        **needs("overview"),
    params:
        code=code("overview.py"),
    script:
        "../scripts/overview.py"


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
    resources:
        **needs("summarise"),
    params:
        code=code("summarise.py"),
    script:
        "../scripts/summarise.py"
