"""remibench: evaluation of machine unlearning guided by membership fingerprinting (ReMI).

The functions for models and data of your own are those of :mod:`remibench.api`; they are imported
when they are first asked for, since the command and many jobs never import torch.
"""

from importlib import import_module

__version__ = "0.1.0"
_API = ("Audit", "Data", "audit", "evaluate", "fit_attack", "load_data", "unlearn")


def __getattr__(name: str) -> object:
    if name in _API:
        # By name: to the graph of imports, which re-runs jobs, this package imports nothing.
        return getattr(import_module("remibench.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_API])
