"""Save the resolved config, every cell's parameters, versions, commit and machine."""

import yaml

from remibench.checkpoints import atomic_path, save_json, save_table
from remibench.provenance import environment
from remibench.runtime import job

with job(snakemake):
    with atomic_path(snakemake.output.config) as temporary:
        text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
    save_table(snakemake.output.hyperparameters, snakemake.params.hyperparameters)
    record = {**environment(), "threads_per_job": snakemake.params.threads_per_job}
    save_json(snakemake.output.provenance, record)
