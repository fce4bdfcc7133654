"""Surroundings of a job: what no result may depend on, decided in one place.

Jobs inherit the environment of Snakemake, and it that of a notebook, a shell's start-up files or a
continuous-integration service.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SET = {  # variable → the value that every job has
    "MPLBACKEND": "agg",  # a notebook's back end is not installed here, or draws to a screen
    "PYTHONIOENCODING": "utf-8",  # messages have signs that LANG=C has not
    "PYTHONUTF8": "1",
}
REMOVED = (
    # They choose other kernels or precisions, and so change numbers.
    "ATEN_CPU_CAPABILITY",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "MKL_CBWR",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "MATPLOTLIBRC",
    "PYTHONINSPECT",  # a script would wait for input at its end
    "PYTHONOPTIMIZE",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONVERBOSE",
    "PYTHONWARNINGS",  # `error` makes every library's warning the end of a job
)


def isolate(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take from an environment what would change a job's result or end it; change it in place."""
    environment.update(SET)
    for name in REMOVED:
        environment.pop(name, None)
