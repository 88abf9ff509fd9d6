"""Explore: move a control, watch every term of the gradient and their sum."""

import gc
import logging
import secrets
from contextlib import contextmanager
from dataclasses import replace
from html import escape
from typing import NamedTuple

import numpy as np
import streamlit as st

from gradflow import controls
from gradflow.scenario import RANGES

STYLE = """<style>
.st-key-picture { position: relative; container-type: inline-size; }
.st-key-picture h2 { min-height: 2.6em; margin: 0; padding: 0; font-weight: 600; line-height: 1.3;
  font-size: clamp(1.1rem, 0.55rem + 1vw, 1.75rem); font-variant-numeric: tabular-nums; }
.st-key-picture p { min-height: 3em; margin: 0; line-height: 1.5; font-variant-numeric: tabular-nums; }
.st-key-picture p.unseen { position: absolute; width: 1px; height: 1px; min-height: 0; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
.st-key-picture img { position: absolute; left: 52px; bottom: 44px; width: calc(100% - 64px); height: 142px;
  max-width: none; image-rendering: pixelated; }  /* under the map's panel, see charts/picture.py */
@container (max-width: 674px) { .st-key-picture img { height: 160px; } }
.st-key-picture .stElementContainer:first-child { position: static; }
.st-key-picture .stVegaLiteChart { position: relative; z-index: 1; }
.st-key-picture:has(.broken) :is(.stVegaLiteChart, img) { opacity: 0.35; filter: grayscale(1); }
.st-key-picture [data-testid="stElementToolbar"] { display: none; }  /* it would cover the verdict */
.st-key-status { position: fixed; inset: auto 1.5rem 1.5rem auto; width: fit-content; padding: 0.75rem 1rem; z-index: 9;
  border: 1px solid; border-radius: 0.5rem; backdrop-filter: blur(12px); }
@media (max-width: 640px) {  /* the controls under the picture, not over it */
  [data-testid="stSidebar"][data-collapsed="false"] { position: fixed !important; inset: auto 0 0 0 !important;
    width: 100vw !important; min-width: 0; max-width: none; height: 45dvh !important; min-height: 0;
    box-shadow: 0 0 12px rgb(0 0 0 / 0.3); }
  .st-key-views button { padding-inline: 0.55rem; }
  .st-key-picture h2 { min-height: 5.2em; }
  .st-key-picture p { min-height: 6em; }
  .stMain { padding-bottom: 45dvh; }
}
</style>"""
STAGE = """<style>
.stMainBlockContainer { padding-top: 0.75rem; }
.stAppHeader { background: none; pointer-events: none; }
.stAppHeader button { pointer-events: auto; }
.st-key-picture img { left: 64.5px; bottom: 51px; width: calc(100% - 76.5px); height: 124px; }
@container (max-width: 674px) { .st-key-picture img { height: 150px; } }
.st-key-picture h2 { font-size: clamp(1.4rem, 0.8rem + 1.1vw, 2.6rem); min-height: 2.6em; }
.st-key-picture p { font-size: 1.25rem; }
</style>"""


def page():
    notices = controls.read_link()
    look = st.session_state.look
    if look.stage:
        st.set_page_config(initial_sidebar_state="collapsed")
    st.html(STYLE + (STAGE if look.stage else ""))
    if notices:
        st.warning(" ".join(notices))
    first, more = controls.sidebar()
    if look.closer:
        controls.views()
    picture = st.container(key="picture")
    if look.closer:
        controls.tools(files)
    with st.container(horizontal=True, vertical_alignment="center"):
        words = controls.bottom()
        st.caption(computed_on())
    with picture:
        explore(first, more, words)


def computed_on():
    """The device, or why it is not the one asked for."""
    from gradflow.flow import select_device

    device, notice = select_device()
    return notice or f"Computed on {device}."


@st.fragment
def explore(first, more, words):
    with apology():
        moves = controls.take()
        look = st.session_state.look
        measurement = measure(st.session_state.scenario)
        verdict, shown = prepare(measurement, look, moves)
        # All is computed: what follows is sent in one go, so that the browser draws once.
        controls.live_panels(first, more, target(shown, measurement))
        st.html(verdict)
        spec = {**specification(look), "datasets": shown.datasets}
        st.vega_lite_chart(spec=spec, key="flow", width="stretch")
        if words is not None:
            from gradflow.definitions import definitions

            words.markdown(definitions(measurement, look))
        settle_memory()


def measure(scenario):
    """The measurement; a message if the first of this cell and size lets people wait."""
    if (scenario.cell, scenario.hidden) in compiled():
        return scenario.measure()
    with st.container(key="status"), st.spinner("Getting ready for this cell and size. This happens once."):
        measurement = scenario.measure()
    compiled().add((scenario.cell, scenario.hidden))
    return measurement


class Shown(NamedTuple):
    """A chart on screen."""

    look: object
    domain: tuple
    datasets: dict
    overflow: int | None
    image: str  # what lies under the canvas
    playing: str | None


def prepare(measurement, look, moves):
    """The verdict, as HTML, and the chart; while a drag goes through an overflow, the last good chart, greyed."""
    from gradflow import charts  # after the first paint

    chart, last = charts.CHARTS[look.show], st.session_state.get("last")
    if last is not None and last.look.show != look.show:
        last = None
    broken = moves.held and last and last.overflow is None and measurement.overflow is not None
    if broken:
        sentence = f"The network overflows at step {measurement.overflow}; this was just before."
        said, shown = "", last
    else:
        kept = kept_measurement(look.kept)
        sentence, said = measurement.reading.verdict, chart.say(measurement, look)
        domain = frame(chart, measurement, look, kept, moves, last)
        datasets = chart.data(measurement, look, kept, domain)
        image = charts.map_image(measurement, look, domain) if look.show == "terms" else ""
        shown = st.session_state.last = Shown(look, domain, datasets, measurement.overflow, image, moves.playing)
    seen = "said" if look.closer and not (look.stage and look.show == "terms") else "unseen"
    map_image = f'<img alt="" decoding="sync" src="{shown.image}">' if shown.image else ""
    # plain HTML in one element: a quarter of the time that a header and a text take
    html = f"<h2 class='{'broken' if broken else 'good'}'>{escape(sentence)}</h2><p class={seen}>{escape(said)}</p>"
    return html + map_image, shown


def frame(chart, measurement, look, kept, moves, last):
    """The frame of the axes: while something moves, the one that stands; for a sweep, one that holds all of it."""
    if moves.playing and not (last and last.playing == moves.playing):
        limits = RANGES[moves.playing]
        values = map(limits.snap, np.linspace(limits.low, limits.high, 5).tolist())
        sweep = [replace(measurement.scenario, **{moves.playing: value}).measure() for value in values]
        return chart.widest(*(chart.domain(each, look) for each in (measurement, *sweep)))
    if moves.held and last:
        return last.domain
    return chart.widest(*(chart.domain(each, look) for each in (measurement, kept) if each))


def kept_measurement(scenario):
    """The measurement that stays in grey; computed once."""
    if scenario is None:
        return None
    if st.session_state.get("kept", (None,))[0] != scenario:
        st.session_state.kept = scenario, scenario.measure()
    return st.session_state.kept[1]


def specification(look):
    from gradflow import charts

    return charts.specification(look.show, look.stage)


def target(shown, measurement):
    """Where a click on the map sets time and lag."""
    if not shown.look.closer or shown.look.show != "terms":
        return None
    from gradflow.charts.picture import LARGE_EDGES, MAP_EDGES

    edges = LARGE_EDGES if shown.look.stage else MAP_EDGES
    return {"selector": ".st-key-picture canvas", "horizon": len(measurement.cost), **edges}


def files():
    """What a person can take away: label -> (file name, media type, () -> bytes)."""
    from gradflow import charts, takeaway
    from gradflow.charts import export

    scenario, look = st.session_state.scenario, st.session_state.look

    def drawn(form):
        chart, measurement, kept = charts.CHARTS[look.show], scenario.measure(), kept_measurement(look.kept)
        domain = chart.widest(*(chart.domain(each, look) for each in (measurement, kept) if each))
        image = {"image": True} if look.show == "terms" else {}
        datasets = chart.data(measurement, look, kept, domain, **image)
        return export.convert(charts.file_specification(look.show), datasets, form)

    return {
        "Chart, PNG": ("gradflow.png", "image/png", lambda: drawn("png")),
        "Chart, SVG": ("gradflow.svg", "image/svg+xml", lambda: drawn("svg")),
        "Numbers, NPZ": ("gradflow.npz", "application/octet-stream", lambda: takeaway.archive(scenario)),
        "Scenario, JSON": ("gradflow.json", "application/json", lambda: takeaway.to_json(scenario)),
    }


@st.cache_resource(show_spinner=False)
def compiled():
    """Cells and sizes that were measured before."""
    return set()


@st.cache_resource(show_spinner=False)
def settle_memory():
    """Once everything is loaded: take it out of the garbage collector's rounds, which cost 100 ms each."""
    gc.collect()
    gc.freeze()


@contextmanager
def apology():
    """Say sorry, with a number to look for in the server's log, which alone gets the traceback."""
    try:
        yield
    except Exception:
        number = secrets.token_hex(3)
        logging.getLogger("gradflow").exception("error %s", number)
        st.error(f"Sorry, this did not work. The server's log has the reason under {number}.")
        st.html('<a href="?">Start again</a>')


with apology():
    page()
