"""What no text on a page may hold."""

import re

_NO_NUMBER = re.compile(r"(?<![A-Za-z.])(nan|inf|infinity)(?![A-Za-z])", re.IGNORECASE)
_NO_VALUE = re.compile(r"\b(undefined|null)\b", re.IGNORECASE)
_MEANT = re.compile("inf or NaN|NaN where it gives up")  # of what float32 reports


def missing_number(text):
    """Where a text has a number that is none, but for where the page speaks of such numbers."""
    return _NO_NUMBER.search(_MEANT.sub("", text))


def missing_value(text):
    """The same of a text in the browser, where JavaScript has further words for it."""
    return missing_number(text) or _NO_VALUE.search(text)
