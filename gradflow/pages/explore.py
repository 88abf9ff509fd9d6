"""Explore: move a control, watch every term of the gradient and their sum."""

import gc
import logging
import secrets
from contextlib import contextmanager
from html import escape
from typing import NamedTuple

import streamlit as st

from gradflow import controls

STYLE = """<style>
.st-key-picture h2 { min-height: 2.6em; margin: 0; padding: 0; font-weight: 600; line-height: 1.3;
  font-size: clamp(1.1rem, 0.55rem + 1vw, 1.75rem); font-variant-numeric: tabular-nums; }
.st-key-picture:has(.broken) .stVegaLiteChart { opacity: 0.35; filter: grayscale(1); }
.st-key-picture [data-testid="stElementToolbar"] { display: none; }  /* it would cover the verdict */
.st-key-status { position: fixed; inset: auto 1.5rem 1.5rem auto; width: fit-content; padding: 0.75rem 1rem; z-index: 9;
  border: 1px solid; border-radius: 0.5rem; backdrop-filter: blur(12px); }
@media (max-width: 640px) {  /* the controls under the picture, not over it */
  [data-testid="stSidebar"][data-collapsed="false"] { position: fixed !important; inset: auto 0 0 0 !important;
    width: 100vw !important; min-width: 0; max-width: none; height: 45dvh !important; min-height: 0;
    box-shadow: 0 0 12px rgb(0 0 0 / 0.3); }
  .st-key-picture h2 { min-height: 5.2em; }
  .stMain { padding-bottom: 45dvh; }
}
</style>"""
DEFINITIONS = r"""
A recurrent network uses **one weight many times**. $W(t-u)$ is the copy used $u$ steps before time $t$: $u$ is
the **lag**. The cost at time $t$ has one gradient for each copy, a **term**, and training uses their **sum**:

$$\frac{dC(t)}{dW} = \sum_{u=0}^{t} \frac{dC(t)}{dW(t-u)}$$

The height of a point is the norm of a term, on a scale of powers of ten. The **factor** is what one step back
multiplies a term by, fitted to all terms.
"""


def page():
    notices = controls.read_link()
    st.html(STYLE)
    if notices:
        st.warning(" ".join(notices))
    explore(*controls.sidebar())
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.popover("What am I looking at?", type="tertiary"):
            st.markdown(DEFINITIONS)
        st.caption(computed_on())


def computed_on():
    """The device, or why it is not the one asked for."""
    from gradflow.flow import select_device

    device, notice = select_device()
    return notice or f"Computed on {device}."


@st.fragment
def explore(first, more):
    with apology():
        scenario, held = controls.live(first, more)
        picture = st.container(key="picture")
        measurement = measure(scenario)
        with picture:
            draw(measurement, held)
        settle_memory()


def measure(scenario):
    """The measurement; a message if the first of this cell and size lets people wait."""
    if (scenario.cell, scenario.hidden) in compiled():
        return scenario.measure()
    with st.container(key="status"), st.spinner("Getting ready for this cell and size. This happens once."):
        measurement = scenario.measure()
    compiled().add((scenario.cell, scenario.hidden))
    return measurement


def draw(measurement, held):
    """The verdict and the picture; while a drag goes through an overflow, the last good picture, greyed."""
    from gradflow import charts  # after the first paint

    last = st.session_state.get("last")
    broken = held and last and last.overflow is None and measurement.overflow is not None
    if broken:
        verdict = f"The network overflows at step {measurement.overflow}; this was just before."
        shown = last
    else:
        verdict = measurement.reading.verdict
        domain = last.domain if held and last else charts.decades(measurement)
        shown = Shown(domain, charts.flow_data(measurement, domain), measurement.overflow)
        st.session_state.last = shown
    st.html(f"<h2 class='{'broken' if broken else 'good'}'>{escape(verdict)}</h2>")  # a quarter of st.header's time
    st.vega_lite_chart(spec={**charts.flow_spec(), "datasets": shown.datasets}, key="flow", width="stretch")


class Shown(NamedTuple):
    """A picture on screen."""

    domain: tuple
    datasets: dict
    overflow: int | None


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
