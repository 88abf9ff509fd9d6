"""The address bar as the server knows it; what a page says of it may have left before the last change arrived there.

All that goes to the address bar is written here. What a page then reports is taken over where it is new, or where a
person went back in the browser's history, and is otherwise only late.

A callback only writes: whatever is sent may be the place where Streamlit breaks off a run that another is to follow,
and what a person did would be half done. The run sends.
"""

from collections import deque

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

TOLD = 50  # links that a late report is known by


def catch_up() -> None:
    """Take over what the page says of its address; to be called first by each run, callback and fragment.

    Where that is news, `st.session_state.news` is set, for who reads it.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return  # a download: it has no visitor
    if st.session_state.get("told_page") != context.page_script_hash or context.is_history_navigation:
        st.session_state.before = read() if "told" in st.session_state else {}
        st.session_state.told_page, st.session_state.told = context.page_script_hash, deque(maxlen=TOLD)
    given = st.query_params.to_dict()
    if given not in st.session_state.told:
        st.session_state.told.append(given)
        st.session_state.sent = given
        st.session_state.news = True


def enter(page: str) -> None:
    """Keep what the page before this one had in its address, and take out what this one had when it was left.

    Args:
        page: its title; to be called by each full run, after `catch_up`.
    """
    if (last := st.session_state.get("page")) != page:
        away = st.session_state.setdefault("away_from", {})
        if last is not None:
            away[last] = st.session_state.before
        st.session_state.page, st.session_state.returned_to = page, away.pop(page, None)


def left(page: str) -> dict[str, str] | None:
    """The address of a page when it was left; None where it is open, or was never."""
    return st.session_state.away_from.get(page)


def read() -> dict[str, str]:
    """The address bar, name -> text."""
    return st.session_state.told[-1]


def write(params: dict[str, str]) -> None:
    """Put these names and texts in place of all that are there."""
    st.session_state.told.append(params)


def put(name: str, text: str | None) -> None:
    """Give a name its text; None takes the name out."""
    changed = read() | {name: text}
    write({name: text for name, text in changed.items() if text is not None})


def send() -> None:
    """Let the page have what was written; to be called by a run or a fragment, after what may write.

    It need not be sent if the page has it, and nothing else is on the way there.
    """
    there = [(name, text) for name in st.query_params for text in st.query_params.get_all(name)]
    if sorted(there) != sorted(read().items()) or st.session_state.sent != read():
        st.query_params.from_dict(read())
        st.session_state.sent = read()
