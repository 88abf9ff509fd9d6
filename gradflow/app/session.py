"""What Streamlit keeps of a visit: the one user of `st.session_state`, and of the address bar.

`state()` is what a person has set, `dispatch` the only way to change it, in one assignment. A callback only dispatches:
whatever is sent may be the place where Streamlit breaks off a run that another is to follow, and what a person did
would be half done. The run sends, and each full run takes over what a first visit, a link or the back button brought.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from gradflow.app import state as app_state
from gradflow.app.errors import log, notice, show_errors
from gradflow.app.labels import LABELS
from gradflow.app.state import AppState, Chosen, Event, Opened, Put, Read, Reported, Sent, Told, update
from gradflow.app.url_codec import read, write

names = app_state.names


def state() -> AppState:
    """What a person has set."""
    return st.session_state.setdefault("state", AppState())


def dispatch(event: Event) -> AppState:
    """Let an event change the state; the new one."""
    st.session_state.state = changed = update(state(), event)
    return changed


def visit() -> dict[str, Any]:
    """What else is kept as long as a visit lasts, by name."""
    return st.session_state.setdefault("visit", {})


def receive_address() -> None:
    """Take over what the page says of its address; to be called first by each run, callback and fragment."""
    context = get_script_run_ctx(suppress_warning=True)
    if context is not None:  # else a download: it has no visitor
        dispatch(Reported(st.query_params.to_dict(), context.page_script_hash, context.is_history_navigation))


def open_page(title: str) -> None:
    """Enter a page; to be called by each full run, after `receive_address`."""
    dispatch(Opened(title))


def left(page: str) -> dict[str, str] | None:
    """The address of a page when it was left; None where it is open, or was never."""
    kept = state().pages.get(page)
    return None if kept is None or kept.left is None else dict(kept.left)


def read_link(*own: str) -> list[str]:
    """Adopt what the address bar says, where it is news, and tidy it; to be called by each full run.

    Args:
        own: names in the address bar that the page reads itself.

    Returns:
        One sentence for each value that could not be used as it was, also of a control that was moved.
    """
    address = state().address
    repeated = tuple(name for name in address if len(st.query_params.get_all(name)) > 1)
    said = dispatch(Read(own, repeated)).notices
    dispatch(Told())
    send_address()
    return list(said)


def send_address() -> None:
    """Let the page have its address; to be called by a run or a fragment, after what may change it.

    It need not be sent if the page has it, and nothing else is on the way there.
    """
    there = [(name, text) for name in st.query_params for text in st.query_params.get_all(name)]
    address = dict(state().address)
    if sorted(there) != sorted(address.items()) or state().sent != address:
        st.query_params.from_dict(address)
        dispatch(Sent())


def put(name: str, text: str | None) -> None:
    """Give a name of the page's own its text in the address; None takes the name out."""
    dispatch(Put(name, text))


def link() -> dict[str, str]:
    """What a link to what is set carries; before it is read, the address as it is."""
    now = state()
    return dict(now.address) if now.unread else app_state.link(now)


# ------------------------------------------------------------------------------------------ callbacks


def callback(work: Callable) -> Callable:
    """A callback or a download that begins with what the address bar holds, and breaks without breaking the page.

    To be made where it is handed over.
    """
    broken = _broken()

    @wraps(work)
    def wrapper(*args):
        try:
            receive_address()
            return work(*args)
        except Exception:
            broken.append(log())

    return wrapper


def on(event: Event) -> Callable:
    """A callback that dispatches an event."""
    return callback(lambda: dispatch(event))


def show_pending_errors() -> None:
    """Say sorry for what broke outside the page, until it is closed; to be called by each full run."""
    if _broken():
        show_errors(*_broken(), link=link)
        st.button("Close", on_click=_broken().clear)


def record_error() -> None:
    """Own up to the present exception from the next full run on."""
    _broken().append(log())


def _broken():
    """The numbers of exceptions that a person has not been told of, or has not closed."""
    return visit().setdefault("broken", [])


# ------------------------------------------------------------------------------------------ widgets


def choice(widget: Callable, field: str, options: Sequence, value: object, **how: Any) -> Any:
    """A widget that chooses among options."""
    first = {"index": options.index(value)} if widget is st.selectbox else {"default": value}
    return widget(options=options, **first, **described(field, value), **how)


def switch(field: str, **how: Any) -> bool:
    """A switch of the view or the scenario."""
    now = state()
    value = getattr(now.scenario if hasattr(now.scenario, field) else now.view, field)
    return st.toggle(value=value, **described(field, value), **how)


def described(field: str, value: object) -> dict[str, Any]:
    """What every widget of a field is given that is to show a value: its words, its key, what follows when it moves."""
    label, sentence = LABELS[field]
    return {"label": label, "help": sentence, **keyed(field, value, lambda *moved: dispatch(Chosen(*moved)))}


def keyed(field: str, value: object, chosen: Callable[[str, Any], object]) -> dict[str, Any]:
    """The key of the widget of a field that is to show a value, and what follows when it moves: chosen(field, value).

    A widget that is to show another value than it last had is another widget, which starts with that value. So nothing
    need be told to a page that may miss it, and what the page still reports of the old widget is no one's move.
    """
    versions = visit().setdefault("versions", {})
    if field not in versions or widget_value(field) != value:
        versions[field] = versions.get(field, 0) + 1
    key = _key(field)

    def moved():
        if key == _key(field):
            chosen(field, st.session_state[key])

    return {"key": key, "on_change": callback(moved)}


def page_field(name: str, default: Any, allowed: Any) -> tuple[Any, dict[str, Any]]:
    """A field that a page reads itself: its value, and the key of its widget and what follows when that moves.

    The address holds it where it is not the default, and is tidied, with a notice, where it holds what is not allowed.
    """
    value, wrong = read(name, state().address.get(name, write(default)), default, allowed)
    if wrong:
        notice([wrong])
        put(name, write(value))
    return value, keyed(name, value, lambda field, now: put(field, None if now == default else write(now)))


def widget_value(field: str) -> Any:
    """The value that the widget of a field, or a component, has; None where there is none."""
    return st.session_state.get(_key(field))


def _key(field):
    version = visit().get("versions", {}).get(field, 1)
    return field if version == 1 else f"{field} {version}"
