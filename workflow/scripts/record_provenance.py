"""Save the resolved config, versions, commit and machine."""

import yaml

from remibench.artifacts.io import atomic_path, save_json
from remibench.jobs.provenance import environment
from remibench.jobs.script import job

with job(snakemake):
    with atomic_path(snakemake.output.config) as temporary:
        text = yaml.safe_dump(snakemake.params.config, sort_keys=False, allow_unicode=True)
        temporary.write_text(text, encoding="utf-8")
    record = {**environment(), "threads_per_job": snakemake.params.threads_per_job}
    save_json(snakemake.output.provenance, record)
