"""Files of the repository that the library reads, where pip puts them and in a clone."""

from __future__ import annotations

import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]


def shipped(*parts: str) -> Path:
    """The path of a file of the repository: in the clone, or else where pip installed it.

    What pip installs is listed in ``pyproject.toml`` (``tool.setuptools.data-files``).
    """
    cloned = ROOT.joinpath(*parts)
    return (
        cloned if cloned.exists() else Path(sysconfig.get_path("data"), "share/remibench", *parts)
    )
