"""What a page of a table shows, without a browser."""

import json
import re
from html import unescape

import pandas as pd


def shown(page):
    """The cells of a page, as text."""
    heads = [unescape(head) for head in re.findall("<th>(.*?)</th>", page)]
    rows = re.search("^const rows = (.*);$", page, flags=re.MULTILINE)[1]
    return pd.DataFrame(json.loads(rows), columns=heads)


def note(page):
    """What stands above the table."""
    return unescape(re.search("<p>(.*?)</p>", page, flags=re.DOTALL)[1])
