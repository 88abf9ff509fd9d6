"""Explore: move a control, watch every term of the gradient and their sum."""

import streamlit as st

from gradflow.app import session, toolbar
from gradflow.app.errors import notice
from gradflow.app.live_chart import begin, dress, kept_measurement
from gradflow.app.measurement import measure
from gradflow.app.sidebar import live_panels, sidebar


def page() -> None:
    notices = session.read_link()
    look = st.session_state.look
    if look.stage:
        st.set_page_config(initial_sidebar_state="collapsed")
    dress(look.stage)
    notice(notices)
    if not (look.stage or st.context.is_embedded):
        introduction()
    first, more = sidebar()
    words = toolbar.views() if look.closer else None
    picture = st.container(key="picture")
    if look.closer and not look.stage:
        toolbar.tools(files)
    if not (look.closer and look.stage):
        with st.container(horizontal=True, vertical_alignment="center", key="bottom"):
            words = toolbar.bottom()

    def define(measurement, look):
        if words is not None:
            from gradflow.app.glossary import definitions

            words.markdown(definitions(measurement, look) + f"\n\n{computed_on()}")

    with picture:
        verdict = lambda measurement, look, at_rest: measurement.said(at_rest)
        begin(lambda target: live_panels(first, more, target), define, verdict, look.stage)
    missing = select()[1]
    if missing:
        st.caption(missing)


def introduction() -> None:
    """What the page is, and what the letters stand for."""
    with st.container(key="introduction"):
        st.html(
            "<p>How a recurrent network's gradient adds up over time. <b>C(t)</b>: the error at time t; <b>δ</b>: that "
            "error on its way back; <b>W(t−u)</b>: the copy of the one weight W used u steps before; "
            "<b>dC(t)/dW(t−u)</b>: that copy's term.</p>"
        )


def computed_on() -> str:
    """The device, or why it is not the one asked for."""
    device, missing = select()
    return missing or f"Computed on {device}."


def select() -> tuple[str, str | None]:
    """What JAX computes on, and why it is not what was asked for; the engine is loaded by now."""
    from gradflow.engine.device import select_device

    return select_device()


def files() -> toolbar.Files:
    """What a person can take away: label -> (file name, media type, () -> bytes)."""
    from gradflow.app import charts, export
    from gradflow.app.charts import render

    scenario, look = st.session_state.scenario, st.session_state.look  # no callable below has a session

    def drawn(form):
        chart, measurement, kept = charts.CHARTS[look.show], measure(scenario), kept_measurement(look.kept)
        domain = chart.frame(look, measurement, kept)
        image = {"image": True} if look.show == "terms" else {}
        datasets = chart.data(measurement, look, kept, domain, **image)
        return render.convert(charts.file_specification(look.show), datasets, form)

    return {
        "Chart, PNG": ("gradflow.png", "image/png", lambda: drawn("png")),
        "Chart, SVG": ("gradflow.svg", "image/svg+xml", lambda: drawn("svg")),
        "Numbers, NPZ": (
            "gradflow.npz",
            "application/octet-stream",
            lambda: export.archive(scenario),
        ),
        "Scenario, JSON": ("gradflow.json", "application/json", lambda: export.to_json(scenario)),
    }


page()
