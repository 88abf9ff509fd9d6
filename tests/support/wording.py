"""What no text on a page may hold."""

import re

_NO_NUMBER = re.compile(r"(?<![A-Za-z.])(nan|inf|infinity|none|undefined|null)(?![A-Za-z])", re.IGNORECASE)


def missing_number(text):
    """Where a text has a number that is none; "inf or NaN" is what the page calls what float32 reports."""
    return _NO_NUMBER.search(text.replace("inf or NaN", ""))
