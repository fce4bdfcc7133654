"""Reading of the docstrings' cross-references for the reference page."""

import re
from typing import Any

import griffe

ROLE = re.compile(r":\w+:`~?(?P<name>[^`]+)`")


class Roles(griffe.Extension):
    """Turn :func:`remibench.training.fit` into code: the page is Markdown."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(r"`\g<name>`", obj.docstring.value)
