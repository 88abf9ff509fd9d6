"""The address bar as the server knows it; what a page says of it may have left before the last change arrived there.

All that goes to the address bar is written here. What a page then reports is taken over where it is new, or where a
person went back in the browser's history, and put right where it is only late.
"""

from collections import deque

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

TOLD = 50  # links that a late report is known by


def catch_up():
    """Let `st.query_params` be what is true now; to be called first by each run, callback and fragment.

    Where that is news, `st.session_state.news` is set, for who takes it over.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None:
        return  # a download: it has no visitor
    if st.session_state.get("told_page") != context.page_script_hash or context.is_history_navigation:
        st.session_state.told_page, st.session_state.told = context.page_script_hash, deque(maxlen=TOLD)
    told, given = st.session_state.told, st.query_params.to_dict()
    if given not in told:
        told.append(given)
        st.session_state.news = True
    elif given != told[-1]:
        st.query_params.from_dict(told[-1])


def write(params):
    """Put these names and texts in place of all that are there."""
    st.query_params.from_dict(params)
    st.session_state.told.append(st.query_params.to_dict())


def put(name, text):
    """Give a name its text; None takes the name out."""
    changed = st.query_params.to_dict() | {name: text}
    write({name: text for name, text in changed.items() if text is not None})
