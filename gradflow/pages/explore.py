"""Explore: move a control, watch every term of the gradient and their sum."""

import streamlit as st

from gradflow import controls
from gradflow.messages import notice
from gradflow.pages.live_picture import begin, dress, kept_measurement

INTRODUCTION = (
    "See what each use of a recurrent network's one weight W adds to its gradient. **C(t)** is the error at time t; "
    "**W(t−u)** is the copy of W used u steps earlier; **dC(t)/dW(t−u)** is its term, and W gets the sum of all terms."
)


def page():
    notices = controls.read_link()
    look = st.session_state.look
    if look.stage:
        st.set_page_config(initial_sidebar_state="collapsed")
    dress(look.stage)
    notice(notices)
    if not (look.stage or st.context.is_embedded):
        st.container(key="introduction").markdown(INTRODUCTION)
    first, more = controls.sidebar()
    words = controls.views() if look.closer else None
    device = None  # where it is said that one is missing
    picture = st.container(key="picture")
    if look.closer and not look.stage:
        controls.tools(files)
    if not (look.closer and look.stage):
        with st.container(horizontal=True, vertical_alignment="center", key="bottom"):
            words = controls.bottom()
            device = st.empty()

    def define(measurement, look):
        if words is not None:
            from gradflow.definitions import definitions

            words.markdown(f"{definitions(measurement, look)}\n\n{computed_on()[0]}")

    with picture:
        verdict = lambda measurement, look, at_rest: measurement.said(at_rest)
        begin(lambda target: controls.live_panels(first, more, target), define, verdict, look.stage)
    if device is not None and computed_on()[1]:
        device.caption(computed_on()[1])  # the engine is loaded by now


def computed_on():
    """The device in a sentence, and why it is not the one asked for, or None."""
    from gradflow.flow import select_device

    device, notice = select_device()
    return f"Computed on {device}.", notice


def files():
    """What a person can take away: label -> (file name, media type, () -> bytes)."""
    from gradflow import charts, takeaway
    from gradflow.charts import export

    scenario, look = st.session_state.scenario, st.session_state.look  # no callable below has a session

    def drawn(form):
        chart, measurement, kept = charts.CHARTS[look.show], scenario.measure(), kept_measurement(look.kept)
        domain = chart.frame(look, measurement, kept)
        image = {"image": True} if look.show == "terms" else {}
        datasets = chart.data(measurement, look, kept, domain, **image)
        return export.convert(charts.file_specification(look.show), datasets, form)

    return {
        "Chart, PNG": ("gradflow.png", "image/png", lambda: drawn("png")),
        "Chart, SVG": ("gradflow.svg", "image/svg+xml", lambda: drawn("svg")),
        "Numbers, NPZ": (
            "gradflow.npz",
            "application/octet-stream",
            lambda: takeaway.archive(scenario),
        ),
        "Scenario, JSON": ("gradflow.json", "application/json", lambda: takeaway.to_json(scenario)),
    }


page()
