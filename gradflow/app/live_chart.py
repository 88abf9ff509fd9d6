"""The live picture, for every page that has one: verdict, chart and ranges in one fragment, and what keeps it fast."""

import gc
from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from html import escape
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app.components import range_slider
from gradflow.app.counterexample import every_cell
from gradflow.app.errors import error_boundary
from gradflow.app.measurement import Measurement, measure, measured_kinds
from gradflow.app.scenario import CHOICES, MAX_HORIZON, RANGES, Scenario
from gradflow.app.streamlit_patches import disable_nagle, limit_malloc_arenas, patch_yield_points, release_memory
from gradflow.app.view import View

if TYPE_CHECKING:
    from gradflow.app.charts import Chart
    from gradflow.app.charts.base import Tables

HERE = Path(__file__).parent
SAMPLES = 7  # of a sweep, for its frame
_VISITORS = count(1)
Ranges = Callable[[dict[str, Any] | None], None]  # draws the ranges, for a click on this target
Also = Callable[[Measurement, View], None]
Verdict = Callable[[Measurement, View, bool], str]  # at rest?
HIDDEN_TEXT = {
    "factor": "",
    "total": "",
    **{f"factor{k}": "" for k in range(len(CHOICES["cell"]))},
}  # what a picture says of itself


def inject_css(large: bool = False) -> None:
    """The style of a page with a live picture; large: for a stage."""
    settle_process()
    st.html(HERE / "live_chart.css")
    if large:
        st.html(HERE / "stage.css")


def begin(ranges: Ranges, also: Also, verdict: Verdict | None, large: bool = False) -> None:
    """Draw the live picture, once the rest of the page is there; see `live_picture`."""
    message = get_ready(st.session_state.scenario)
    from gradflow.app.charts import (
        overview,  # never from inside the package: see test_structure
    )

    st.html(f"<style>{overview.IMAGE_LAYOUTS[large].style()}</style>")
    live_picture(st.container(key="verdict"), ranges, also, verdict)
    message.empty()  # it stays until the new picture is there: the old one is greyed as long


@st.fragment
def live_picture(top: DeltaGenerator, ranges: Ranges, also: Also, verdict: Verdict | None) -> None:
    """Draw the picture where it stands, and again at each move.

    Args:
        top: the container of the verdict.
        ranges: (target) -> None, draws the ranges that move it.
        also: (measurement, view) -> None, draws what else follows them.
        verdict: (measurement, view, at rest?) -> the sentence over it; None leaves out all that tells what the numbers
            mean, for a person who is to say it first.
    """
    with error_boundary():
        from gradflow.app import charts  # after the first paint

        moves = range_slider.take()
        view = st.session_state.view
        measurement = measure(st.session_state.scenario)
        markup, shown = prepare(measurement, view, moves, verdict)
        # All is computed. The chart takes longest to pack; what is small follows, so that all is sent in one go.
        spec = {**charts.specification(view.show, view.stage), "datasets": shown.datasets}
        st.vega_lite_chart(spec=spec, key="flow", width="stretch")
        top.html(markup)
        also(measurement, view)
        ranges(target(shown))  # the last, since what it hands back to the ranges invites the next report
        settle_memory(measured_kinds())
        settle_visitor()


def draw_chart(name: str, datasets: "Tables", key: str | None = None) -> None:
    """Draw a chart beside the live picture; its letters follow the page's theme.

    Args:
        name: of its specification.
        datasets: name -> Arrow table.
        key: of the element, where one specification is drawn more than once; else the name.
    """
    from gradflow.app import charts
    from gradflow.app.charts import base

    spec = {**charts.specification(name), "datasets": base.framed(datasets, dark=dark())}
    st.vega_lite_chart(spec=spec, key=key or name, width="stretch")


def dark() -> bool:
    """Whether the page is dark."""
    return st.context.theme.type == "dark"


def get_ready(scenario: Scenario) -> DeltaGenerator:
    """What lets people wait, with a message while they do: libraries, and the first measurement of a cell and size.

    Args:
        scenario: what is shown; the present view may show more: what is kept, or every cell.

    Returns:
        the place of the message, to be emptied.
    """
    place = st.empty()  # always there, so that what follows keeps its place on the page
    view = st.session_state.view
    needed = [*(every_cell(scenario).values() if view.show == "cells" else (scenario,)), view.kept]
    waiting = list({each.kind: each for each in needed if each and each.kind not in measured_kinds()}.values())
    if not waiting:
        return place
    with place.container(key="status"):
        line = st.empty()
        for k, each in enumerate(waiting, 1):
            what = "this cell and size" if len(waiting) == 1 else f"{each.cell}, {k} of {len(waiting)} cells"
            with line, st.spinner(f"Getting ready for {what}. This happens once."):
                from gradflow.engine.compile_cache import keep_compiled

                keep_compiled()
                measure(each)
        line.markdown("Drawing.")
    return place


class Shown(NamedTuple):
    """A chart on screen."""

    view: View
    domain: tuple[float, ...]
    steps: int  # of its lag axis
    datasets: "Tables"
    overflow: int | None
    images: dict[str, str]  # what lies under the canvas, name -> data URL
    playing: str | None


def prepare(
    measurement: Measurement, view: View, moves: range_slider.Moves, verdict: Verdict | None
) -> tuple[str, Shown]:
    """The verdict, as HTML, and the chart; while a drag goes through an overflow, the last good chart, greyed."""
    from gradflow.app import charts  # after the first paint
    from gradflow.app.charts import base, overview

    chart = charts.CHARTS[view.show]
    last: Shown | None = st.session_state.get("last")
    if last is not None and last.view.show != view.show:
        last = None
    broken = moves.held and last and last.overflow is None and measurement.overflow is not None
    if broken and last:
        sentence = f"The network overflows at step {measurement.overflow}; this was just before." if verdict else ""
        said, shown = "", last
    else:
        kept = kept_measurement(view.kept)
        at_rest = not (moves.held or moves.playing)
        sentence = verdict(measurement, view, at_rest) if verdict else ""
        said = chart.say(measurement, view) if verdict else ""
        domain = frame(chart, measurement, view, kept, moves, last)
        # a sweep of the horizon draws into its widest frame
        steps = MAX_HORIZON if moves.playing == "horizon" else len(measurement.cost)
        fields = {"dark": dark(), "horizon": steps} | ({} if verdict else HIDDEN_TEXT)
        datasets = base.framed(chart.data(measurement, view, kept, domain), **fields)
        if moves.playing:
            datasets = base.swept(datasets)
        images = overview.images(measurement, view, domain, steps) if view.show == "terms" else {}
        shown = Shown(view, domain, steps, datasets, measurement.overflow, images, moves.playing)
        st.session_state.last = shown
    seen = "said" if view.closer and not (view.stage and view.show == "terms") else "unseen"
    image = '<img alt="" decoding="sync"'
    tags = [f'{image} class={escape(name)} src="{escape(url)}">' for name, url in shown.images.items()]
    # plain HTML in one element: a quarter of the time that a header and a text take
    head, stop, rest = sentence.partition(". ")
    more = [f" <small>{escape(rest)}</small>"] if rest else []
    html = [f"<h2 class='{'broken' if broken else 'good'}'>{escape(head + stop.strip())}", *more, "</h2>"]
    return "".join([*html, f"<p class='{escape(seen)}'>{escape(said)}</p>", *tags]), shown


def frame(
    chart: "Chart",
    measurement: Measurement,
    view: View,
    kept: Measurement | None,
    moves: range_slider.Moves,
    last: Shown | None,
) -> tuple[float, ...]:
    """The frame of the axes: while something moves, the one that stands; for a sweep, one for all of it, bounded."""
    if moves.playing and not (last and last.playing == moves.playing):
        limits = RANGES[moves.playing]
        values = map(limits.snap, np.linspace(limits.low, limits.high, SAMPLES).tolist())
        changes: list[dict[str, Any]] = [{moves.playing: value} for value in values]
        sweep = [measure(replace(measurement.scenario, **changed)) for changed in changes]
        return chart.sweep_frame(view, measurement, kept, *sweep)
    if moves.held and last:
        return last.domain
    return chart.frame(view, measurement, kept)


def kept_measurement(scenario: Scenario | None) -> Measurement | None:
    """The measurement that stays in grey; computed once."""
    if scenario is None:
        return None
    if st.session_state.get("kept", (None,))[0] != scenario:
        st.session_state.kept = scenario, measure(scenario)
    return st.session_state.kept[1]


def target(shown: Shown) -> dict[str, Any] | None:
    """Where a click on the map sets time and lag."""
    if shown.view.show != "terms":
        return None
    from gradflow.app.charts import overview

    area = overview.IMAGE_LAYOUTS[shown.view.stage].area()
    return {"selector": ".st-key-picture canvas", "steps": shown.steps, **area}


@cache
def settle_process() -> None:
    """Once: what is moved is moved whole, many small messages do not wait for one another, visitors share memory."""
    patch_yield_points()
    disable_nagle()
    limit_malloc_arenas()


@lru_cache(maxsize=1)
def settle_memory(kinds: frozenset) -> None:
    """Whenever more is loaded: take it out of the garbage collector's rounds, which cost 100 ms each otherwise.

    Args:
        kinds: of scenarios that are compiled; each leaves much that stays.
    """
    settle()


def settle_visitor() -> None:
    """Once a visitor: take out what the visit keeps, too; now and then look for what those who left have left."""
    if "settled" not in st.session_state:
        st.session_state.settled = True
        settle() if next(_VISITORS) % 16 == 0 else gc.freeze()


def settle() -> None:
    """Collect all garbage; what is left is not looked at again until the next time."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    release_memory()
