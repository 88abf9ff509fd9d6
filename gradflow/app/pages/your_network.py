"""Your network: the recording that the app was started with, on the map."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app import command_line, recorded, session
from gradflow.app.components import range_slider
from gradflow.app.components.picture import style
from gradflow.app.errors import error_boundary, notice
from gradflow.app.labels import LABELS
from gradflow.app.live_chart import dark, draw_chart, draw_frame, inject_css, target
from gradflow.app.recorded import Look
from gradflow.app.scenario import GATE_FIELDS
from gradflow.app.view import SHOWN
from gradflow.cells import CELLS
from gradflow.recording import Recording

HERE = Path(__file__).parent
RANGES = "network_ranges"
TRAINED = "as trained"
MISSING = (
    "“Your network” shows a recording, and this server was started without one; where the file is, "
    "“streamlit run app.py -- seen.npz” opens it, and this link with it."
)


def page() -> None:
    inject_css()
    path = command_line.recording()
    if path is None:
        notice([MISSING])
        return
    try:
        recording = recorded.opened(path)
    except ValueError as error:
        notice([f"{error}."])
        return
    session.visit().pop("held", None)  # of a drag that was under way when the page was left
    look, notices = recorded.read_look(recording, session.state().address)
    for name in notices:
        session.put(name, recorded.link(recording, look).get(name))
    session.send_address()
    left = command_line.left_out()
    too_many = [f"Two recordings can stand beside one another; left out: {', '.join(left)}."] if left else []
    notice([*too_many, *dict.fromkeys(notices.values())])
    place = choose(recording, look)
    with st.container(horizontal=True, vertical_alignment="center", key="views"):
        how = {"format_func": SHOWN.get, "required": True, "label_visibility": "collapsed"}
        choice(recording, look, "show", st.segmented_control, "Chart", default=look.show, **how)
        second = command_line.second()
        other = Path(second).name.replace("_", r"\_") if second else recorded.FRESH
        choice(recording, look, "fresh", st.toggle, f"Beside {other}", value=look.fresh)
    message = st.empty()
    if refused := get_ready(recording, look, message):
        message.empty()
        notice([refused])
        return
    from gradflow.app.charts import terms

    st.html(f"<style>{terms.IMAGE_LAYOUTS[False].style()} {style(look.show)}</style>")
    live(recording, path, place)
    message.empty()


def get_ready(recording: Recording, look: Look, message: DeltaGenerator) -> str:
    """Draw for the first time, which compiles, with a message meanwhile; why there is no picture, or ""."""
    asked = recorded.ask(recording, look, dark=dark())
    if asked.compiled:
        return ""
    with message.container(key="status"), st.spinner("Measuring every layer. For these sizes this compiles once."):
        try:
            if not recorded.layer_map(recording, look).causal:
                return recorded.without_lags(recording, look)
            recorded.draw_frame(asked)
        except ValueError as error:
            return f"{error}."
    return ""


def choose(recording: Recording, look: Look) -> DeltaGenerator:
    """What is chosen from a list, in the sidebar; the place of the ranges, under it."""
    top = len(recording.network.layers)
    words = {
        "sequence": ("Example", str),
        "layer": ("Layer", lambda layer: f"{layer}, the top" if layer == top else str(layer)),
        "direction": ("Direction", str),
        "weight": (LABELS["weight"][0], str),
        "gate": (LABELS["gate"][0], CELLS[recorded.cell_of(recording)].label),
    }
    allowed = recorded.limits(recording, look.sequence)
    options = {name: allowed[name] for name in words} | {"sequence": range(len(recording.inputs))}
    offered = [name for name in words if len(options[name]) > 1]
    with st.sidebar:
        columns = st.columns(2)
        for k, name in enumerate(offered):
            label, told = words[name]
            how = {"options": options[name], "index": options[name].index(getattr(look, name)), "format_func": told}
            with columns[k % 2]:
                choice(recording, look, name, st.selectbox, label, **how)
        return st.container()


def choice(recording: Recording, look: Look, name: str, widget: Any, label: str, **how: Any) -> None:
    """A widget of a field, whose value the address holds where it is not the default."""
    if widget is st.segmented_control:
        how["options"] = recorded.SHOWN

    def chosen(name, value):
        session.put(name, recorded.link(recording, replace(look, **{name: value})).get(name))
        if name == "sequence":  # which may be of another length
            session.put("time", None)
            session.put("lag", None)

    widget(label, **how, **session.keyed(name, getattr(look, name), chosen))


@st.fragment
def live(recording: Recording, path: str, place: DeltaGenerator) -> None:
    """The picture, the layers beside one another, and in their place the ranges that move both."""
    with error_boundary(lambda: dict(session.state().address)):
        look, moves = moved(recording)
        if look.changed:
            st.html(HERE / "changed_network.css")
        else:
            st.html("<style></style>")
        with st.container(key="picture"):
            request = lambda **how: recorded.ask(recording, look, **how)
            steps = draw_frame(moves, look.view, request, recorded.draw_frame)
        every_layer(recording, look, path, not moves.held)
        with place:
            ranges(recording, look, target(look.view, steps))


def moved(recording: Recording) -> tuple[Look, range_slider.Interaction]:
    """What is shown now, with what the ranges report; what has come to rest goes to the address bar."""
    held = session.visit().setdefault("held", {})
    values, moves = range_slider.read_own(RANGES)
    held |= values
    address = dict(session.state().address)
    for name in recorded.LIVE:
        if name in held:
            address.pop(name, None)
            address |= {} if held[name] is None else {name: str(held[name])}
    look, _ = recorded.read_look(recording, address)
    if not moves.held:
        for name in [name for name in recorded.LIVE if name in held]:
            session.put(name, recorded.link(recording, look).get(name))
        held.clear()
        session.send_address()
    return look, moves


def ranges(recording: Recording, look: Look, target: dict[str, Any] | None) -> None:
    """The gates of the layer and the gain of its W_hh, as trained or what if; the time and the lag."""
    limits, rest = recorded.limits(recording, look.sequence), recorded.openness(recording, look)
    one = f", layer {look.layer}" if len(recording.network.layers) > 1 else ""
    drawn = []
    for name in ("time", "lag", *GATE_FIELDS, "gain"):
        if name not in limits or limits[name].high == 0:
            continue
        value, how = getattr(look, name), {}
        words = LABELS[name]
        if name in rest:
            words = f"{words[0]}{one}", "Held at this value at every step, in every unit; ↺ leaves it as trained."
            how = {"initial": value is None, "unset": {"words": TRAINED, "value": rest[name], "told": True}}
            value = rest[name] if value is None else value
        elif name == "gain":
            words = f"Gain × trained{one}", "Multiplies W_hh of this layer; 1 is as trained."
            unset = {"words": TRAINED, "value": 1, "told": False}
            how = {"unset": unset, "curve": range_slider.CURVES["factor"]}
        elif name == "lag":
            how = {"cap": look.time}
        drawn.append(range_slider.described(name, limits[name], words, value, **how))
    swept = any(each["name"] != "lag" for each in drawn)
    range_slider.draw_ranges(RANGES, drawn, play=swept, target=target)


def every_layer(recording: Recording, look: Look, path: str, at_rest: bool) -> None:
    """The terms of all layers in one chart, their numbers in a table, and what it is that is measured."""
    from gradflow.app.charts import stack

    grey, called, refused = None, "", ""
    if look.fresh:
        try:
            grey, called = recorded.beside(recording, look)
        except ValueError as error:
            refused = f" {error}."
    names = recorded.labels(recording, look.sequence)
    rows = recorded.terms_by_layer(recording, look)
    beside = recorded.terms_by_layer(grey, look.unchanged) if grey else {}
    if len(rows) + len(beside) > 1:  # else it is the chart above
        draw_chart("stack", stack.data(rows, beside, called, look.time, names))
    changed = recorded.changes(recording, look)
    with_it = f", with {changed}" if changed else ""
    st.markdown(
        f"**The layers beside one another**, at t = {look.time}{with_it}: what each step "
        "back multiplies the error by, how many of the nearest lags hold 90 % of the terms' size, what the far half of "
        f"the lags holds, and the gradient, {recorded.which(recording, look)}."
    )
    head = "| layer | a step back | 90 % within | far half | gradient |\n| ---: | ---: | ---: | ---: | ---: |\n"
    st.markdown(head + "\n".join(f"| {' | '.join(row)} |" for row in recorded.by_layer(recording, look, at_rest)))
    count = "1 sequence" if len(recording.inputs) == 1 else f"{len(recording.inputs)} sequences"
    st.caption(
        f"{count}, read from {path}. What is measured is the gradient of the recorded loss, "
        "as it enters at t, by each copy of the weights; every layer in its network."
        + (" dL/dy(t) stays as it was recorded, though the outputs are others now." if changed else "")
        + f" {recorded.biases(recording, look)}{refused}"
    )


page()
