"""Numbers and their percent sign stay on one line."""

import re
from typing import Any

PRINTED = re.compile(r"(<pre.*?</pre>)", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Put a non-breaking space before every percent sign, except in what is printed."""
    parts = PRINTED.split(html)
    parts[::2] = [re.sub(r"(?<=\d) %", "\u00a0%", part) for part in parts[::2]]
    return "".join(parts)
