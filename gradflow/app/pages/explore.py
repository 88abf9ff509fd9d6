"""Explore: move a control, watch every term of the gradient and their sum."""

import streamlit as st

from gradflow.app import session, toolbar
from gradflow.app.errors import notice
from gradflow.app.live_chart import draw_picture, inject_css
from gradflow.app.measurement import measure
from gradflow.app.sidebar import live_panels, sidebar


def page() -> None:
    notices = session.read_link()
    view = session.state().view
    if view.stage:
        st.set_page_config(initial_sidebar_state="collapsed")
    inject_css(view.stage)
    notice(notices)
    if not (view.stage or st.context.is_embedded):
        introduction()
    first, more = sidebar()
    words = toolbar.views() if view.closer else None
    picture = st.container(key="picture")
    if view.closer and not view.stage:
        toolbar.tools(files)
    if not (view.closer and view.stage):
        with st.container(horizontal=True, vertical_alignment="center", key="bottom"):
            words = toolbar.bottom()

    def define(measurement, view):
        if words is not None:
            from gradflow.app.glossary import definitions

            words.markdown(definitions(measurement, view) + f"\n\n{computed_on()}")

    with picture:
        draw_picture(lambda target: live_panels(first, more, target), define, large=view.stage)
    missing = select()[1]
    if missing:
        st.caption(missing)


def introduction() -> None:
    """What the page is, and what the letters stand for."""
    with st.container(key="introduction"):
        st.html(
            "<p>How a recurrent network's gradient adds up over time. <b>C(t)</b>: the cost at time t; <b>δ</b>: its "
            "derivative by the units' inputs, carried back; <b>W(t−u)</b>: the copy of the one weight W used u steps "
            "before; <b>dC(t)/dW(t−u)</b>: that copy's term, drawn by its size.</p>"
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

    scenario, view = session.state().scenario, session.state().view  # no callable below has a session

    def drawn(form):
        chart, measurement = charts.CHARTS[view.show], measure(scenario)
        kept = measure(view.kept) if view.kept else None
        domain = chart.frame(view, measurement, kept)
        image = {"image": True} if view.show == "terms" else {}
        datasets = chart.data(measurement, view, kept, domain, **image)
        return render.convert(charts.file_specification(view.show), datasets, form)

    return {
        "Chart, PNG": ("gradflow.png", "image/png", lambda: drawn("png")),
        "Chart, SVG": ("gradflow.svg", "image/svg+xml", lambda: drawn("svg")),
        "Numbers, NPZ": ("gradflow.npz", "application/octet-stream", lambda: export.archive(scenario)),
        "Scenario, JSON": ("gradflow.json", "application/json", lambda: export.to_json(scenario)),
    }


page()
