"""Your network: the recording that the app was started with, on the map."""

from typing import Any

import streamlit as st

from gradflow.app import navigation, recorded, session
from gradflow.app.components.picture import picture
from gradflow.app.errors import error_boundary, notice
from gradflow.app.live_chart import dark, draw_chart, inject_css
from gradflow.app.ranges import Range
from gradflow.app.scenario import gate_names, weight_names
from gradflow.app.view import View
from gradflow.recording import Recording

SHOWN = ("terms", "factors", "shares", "totals", "truncation")


def page() -> None:
    inject_css()
    st.header("Your network", anchor=False)
    path = navigation.recording()
    try:
        recording = recorded.opened(path or "")
    except ValueError as error:
        notice([f"{error}."])
        return
    network(recording, path or "")


@st.fragment
def network(recording: Recording, path: str) -> None:
    """What is chosen, the picture, and every layer beside the others."""
    with error_boundary(session.link):
        session.receive_address()
        chosen, refused = choose(recording)
        session.send_address()
        if refused:
            notice([refused])
            return
        draw(recording, path, **chosen)


def choose(recording: Recording) -> tuple[dict[str, Any], str]:
    """The widgets, in two rows; the values they have, and why there is no picture."""
    cell = recorded.cell_of(recording)
    layers = recording.network.layers
    chosen: dict[str, Any] = {}
    with st.container(horizontal=True):
        if len(recording.inputs) > 1:
            chosen["sequence"] = _control("sequence", "Example", 0, Range(0, len(recording.inputs) - 1, 1))
        if len(layers) > 1:
            chosen["layer"] = _control("layer", "Layer", len(layers), tuple(range(1, len(layers) + 1))) - 1
        if len(layers[0]) > 1:
            way = _control("direction", "Direction", "forward", ("forward", "backward"))
            chosen["direction"] = ("forward", "backward").index(way)
        chosen["weight"] = _control("weight", "Weight", "weight_hh", weight_names(cell))
        if len(gate_names(cell)) > 1:
            chosen["gate"] = _control("gate", "Gate", "all", ("all", *gate_names(cell)))
        chosen["show"] = _control("show", "Chart", "terms", SHOWN)
        value, keyed = session.page_field("fresh", False, None)
        chosen["fresh"] = st.toggle("Beside the same sizes, freshly drawn", value, **keyed)
    defaults: dict[str, Any] = {"sequence": 0, "layer": len(layers) - 1, "direction": 0, "gate": "all"}
    chosen = defaults | chosen
    try:
        gmap = recording.maps(chosen["sequence"])[chosen["layer"]][chosen["direction"]]
    except ValueError as error:
        return chosen, f"{error}."
    if not gmap.causal:
        return chosen, "A cost reaches later steps of this layer too, so its terms have no lag: choose another one."
    steps = len(recording.inputs[chosen["sequence"]])
    last = recording.last_time(chosen["sequence"])
    if steps > 1:
        chosen["time"] = _control("time", "Time t", last, Range(0, steps - 1, 1))
    return {"time": 0} | chosen, ""


def _control(name: str, label: str, default: Any, allowed: Any) -> Any:
    """The widget of a field; its value, which the address bar holds where it is not the default."""
    value, keyed = session.page_field(name, default, allowed)
    how: dict[str, Any] = {"label": label, **keyed}
    if isinstance(allowed, Range):
        how |= {"min_value": allowed.low, "max_value": allowed.high, "step": allowed.step}
        return st.slider(value=value, width="stretch" if name == "time" else 260, **how)
    return st.selectbox(options=allowed, index=allowed.index(value), width=180, **how)


def draw(
    recording: Recording, path: str, show: str, sequence: int, time: int, weight: str, fresh: bool, **which: Any
) -> None:
    from gradflow.app import frame
    from gradflow.app.charts import CHARTS, overview, stack

    with st.spinner("Measuring every layer. For these sizes this compiles once."):
        measured = recorded.measure_layer(recording, sequence, time=time, weight=weight, **which)
        other = recorded.freshly_drawn(recording) if fresh else None
        again = {"time": time, "weight": weight, "called": recorded.FRESH, **which}
        kept = recorded.measure_layer(other, sequence, **again) if other else None
    view = View(closer=True, show=show)
    axes = CHARTS[show].frame(view, measured, kept)
    verdict = measured.reading.verdict
    sentence = f"On your recording: {verdict[0].lower()}{verdict[1:]}"
    st.html(f"<style>{overview.IMAGE_LAYOUTS[False].style()}</style>")
    with st.container(key="picture"):
        picture("flow", show, frame.drawn(measured, view, kept, axes, sentence, dark(), len(measured.cost)))
    of = weight if weight != "all" else "weight_hh"
    layers = recorded.by_layer(recording, sequence, time, of)
    rows = recorded.terms_by_layer(recording, sequence, time, of)
    beside = recorded.terms_by_layer(other, sequence, time, of) if other else {}
    draw_chart("stack", stack.data(rows, beside, time, len(measured.cost)))
    st.markdown(
        f"**The layers beside one another**, at t = {time}: what each step back multiplies the error by, how many of "
        "the nearest lags hold 90 % of the terms' size, what the far half of the lags holds, and the gradient."
    )
    head = "| layer | a step back | 90 % within | far half | gradient |\n| ---: | ---: | ---: | ---: | ---: |\n"
    st.markdown(head + "\n".join(f"| {' | '.join(row)} |" for row in layers))
    st.caption(
        f"{len(recording.inputs)} sequences, read from {path}. What is measured is the gradient of the recorded loss, "
        "as it enters at t, by each copy of the weights; every layer in its network."
    )


page()
