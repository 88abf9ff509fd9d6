"""What a page tells beside its numbers: notices, and an apology where something breaks.

Streamlit alone is needed here, so an apology can be made whatever else is broken.
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from html import escape
from urllib.parse import urlencode

import streamlit as st

Link = Callable[[], dict[str, str]]  # () -> what a link to what is set carries, name -> text


def notice(sentences: Sequence[str]) -> None:
    """Say what was not taken as it was given: one box, in which everything a person can type is literal text."""
    if sentences:
        st.html(f'<div class="notice" role="alert">{escape(" ".join(sentences))}</div>')


@contextmanager
def error_boundary(link: Link) -> Iterator[None]:
    """Say sorry in place of what breaks, with a link to what was set; where that breaks too, to what was opened."""
    try:
        yield
    except Exception:
        show_errors(log(), link=link)


def log() -> str:
    """Write the present exception to the server's log, which alone gets it; the number it has there."""
    number = secrets.token_hex(3)
    logging.getLogger("gradflow").exception("error %s", number)
    return number


def show_errors(*numbers: str, link: Link) -> None:
    """Say sorry for exceptions by their numbers in the log."""
    params = st.query_params.to_dict()
    with suppress(Exception):
        params |= link()
    st.error(f"Sorry, this did not work. The server's log has the reason under {', '.join(numbers)}.")
    st.caption("What was set, to send along or to open again:")
    st.code(f"{st.context.url or ''}?{urlencode(params)}", language=None, wrap_lines=True)
    st.html(f'<a href="?{"embed=true" if st.context.is_embedded else ""}">Start again</a>')
