"""What the app was started with."""

import sys


def recording() -> str | None:
    """The file after `streamlit run app.py --`, which *Your network* shows; None where there is none."""
    return next(iter(_files()), None)


def second() -> str | None:
    """The next one, which stands in grey beside it."""
    return next(iter(_files()[1:]), None)


def left_out() -> list[str]:
    """Further files, of which none is shown."""
    return _files()[2:]


def _files():
    return [each for each in sys.argv[1:] if not each.startswith("-")]
