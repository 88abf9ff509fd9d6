"""The pages under Streamlit's `AppTest`, without a browser: opened by a link, moved, and read."""

import json
import re
from html import unescape

from streamlit.testing.v1 import AppTest

from support.paths import APP

MORE = {"time", "input_gain", "write_every"}  # the ranges under "More"


def new_page(page="explore", *, more=False, **params):
    """A page as a link opens it, before its first run; more: with "More" unfolded."""
    at = AppTest.from_file(str(APP), default_timeout=120)
    at.query_params.update({name: value if isinstance(value, list) else str(value) for name, value in params.items()})
    if more:
        at.session_state["more"] = True
    if page != "explore":
        at.switch_page(f"gradflow/app/pages/{page}.py")
    return at


def open_explore(more=True, **params):
    return checked(new_page(more=more, **params).run())


def open_lessons(**params):
    return checked(new_page("lessons", **params).run())


def checked(at):
    assert not at.exception
    assert not at.error
    return at


def drag(at, held=None, **values):
    """What the live range reports while a finger moves, or with held=None, when it has let go."""
    for key, fields in (("ranges", values.keys() - MORE), ("more_ranges", values.keys() & MORE)):
        if fields:
            turn = at.session_state["state"].reports.get(key, 0) + 1
            report = {"values": {name: values[name] for name in fields}, "held": held, "turn": turn}
            at.session_state[key] = {"moved": report}
    return checked(at.run())


def widget(at, field):
    """The widget that sets a field."""
    kinds = ("selectbox", "segmented_control", "number_input", "text_input", "slider", "toggle")
    (found,) = (each for kind in kinds for each in at.get(kind) if (each.key or "").split(" ")[0] == field)
    return found


def button(at, label):
    return next(button for button in at.button if button.label == label)


def press(at, label):
    return button(at, label).click().run()


def link(at):
    """The address bar, name -> text."""
    return {name: text if isinstance(text, str) else text[-1] for name, text in at.query_params.items()}


def components(at):
    """What our own components are given, key -> data."""
    return {each.proto.id.rpartition("-")[2]: json.loads(each.proto.json)[0] for each in at.get("bidi_component")}


def record(at):
    """The live picture, as `frame.frame` returns it."""
    return components(at)["flow"]["record"]


def verdict(at):
    return " ".join(filter(None, record(at)["sentence"]))


def notices(at):
    """The sentences in the boxes of notices."""
    bodies = [html.proto.body for html in at.get("html") if 'class="notice"' in html.proto.body]
    return [unescape(re.fullmatch("<div .*?>(.*)</div>", body)[1]) for body in bodies]


def shown(at):
    return at.session_state["state"].scenario


def view_of(at):
    return at.session_state["state"].view


def training_of(at):
    """What is trained, or was; None where nothing is."""
    return at.session_state["visit"].get("training")
