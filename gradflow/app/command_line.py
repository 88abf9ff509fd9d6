"""What the app was started with."""

import sys


def recording() -> str | None:
    """The file after `streamlit run app.py --`, which *Your network* shows; None where there is none."""
    return next((each for each in sys.argv[1:] if not each.startswith("-")), None)
