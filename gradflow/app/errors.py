"""What a page tells beside its numbers: notices, and an apology where something breaks.

Streamlit alone is needed here, so an apology can be made whatever else is broken.
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from html import escape
from urllib.parse import urlencode

import streamlit as st

from gradflow.app.url_state import catch_up


def notice(sentences: Sequence[str]) -> None:
    """Say what was not taken as it was given: one box, in which everything a person can type is literal text."""
    if sentences:
        st.html(f'<div class="notice" role="alert">{escape(" ".join(sentences))}</div>')


@contextmanager
def error_boundary() -> Iterator[None]:
    """Say sorry in place of what breaks."""
    try:
        yield
    except Exception:
        _show_errors(log())


def guarded(work: Callable) -> Callable:
    """A callback or a download that owns up later instead of breaking the page; to be made where it is handed over.

    A callback begins with what the address bar holds by now.
    """
    broken = _pending()

    @wraps(work)
    def wrapper(*args):
        try:
            catch_up()
            return work(*args)
        except Exception:
            broken.append(log())

    return wrapper


def show_pending_errors() -> None:
    """Say sorry for what broke outside the page, until it is closed; to be called by each full run."""
    if _pending():
        _show_errors(*_pending())
        st.button("Close", on_click=_pending().clear)


def log() -> str:
    """Write the present exception to the server's log, which alone gets it; the number it has there."""
    number = secrets.token_hex(3)
    logging.getLogger("gradflow").exception("error %s", number)
    return number


def record_error() -> None:
    """Own up to the present exception from the next full run on."""
    _pending().append(log())


def _show_errors(*numbers):
    st.error(f"Sorry, this did not work. The server's log has the reason under {', '.join(numbers)}.")
    st.caption("What was set, to send along or to open again:")
    st.code(f"{st.context.url or ''}?{urlencode(_set())}", language=None, wrap_lines=True)
    st.html(f'<a href="?{"embed=true" if st.context.is_embedded else ""}">Start again</a>')


def _set():
    """What a link carries; the address bar alone where nothing else can be told."""
    params = st.query_params.to_dict()
    with suppress(Exception):
        from gradflow.app.url_codec import link_params

        params |= link_params(st.session_state.scenario, st.session_state.view)
    return params


def _pending():
    return st.session_state.setdefault("broken", [])
