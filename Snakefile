from snakemake.utils import min_version

from remibench.config.folders import locate

min_version("9.27")


configfile: str(locate("config.yaml"))


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/forget.smk"
include: "workflow/rules/unlearn.smk"
include: "workflow/rules/control.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/across_seeds.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/scorecard.smk"
include: "workflow/rules/tune.smk"


rule all:
    """Make everything: models, attacks, tables, figures and pages of the report."""
    default_target: True
    input:
        reported,
        at("summary"),
        reported_products(),
        expand(at("overview"), page=PAGES),
        at("scorecard"),
        at("comparisons"),
