"""The live picture, for every page that has one: sentence, chart and ranges in one fragment, and what keeps it fast."""

from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app import first_view, session
from gradflow.app.components import range_slider
from gradflow.app.components.picture import picture, style
from gradflow.app.counterexample import needed
from gradflow.app.errors import error_boundary
from gradflow.app.measurement import Measurement, measure, measured_kinds
from gradflow.app.memory import freeze_garbage, limit_malloc_arenas
from gradflow.app.scenario import Scenario
from gradflow.app.streamlit_patches import disable_nagle, patch_yield_points
from gradflow.app.view import View

if TYPE_CHECKING:
    from gradflow.app.charts.base import Tables
    from gradflow.app.frame import Request

HERE = Path(__file__).parent
Ranges = Callable[[dict[str, Any] | None], None]  # draws the ranges, for a click on this target
Also = Callable[[Measurement, View], None]


def inject_css(large: bool = False) -> None:
    """The style of a page with a live picture; large: for a stage."""
    patch_process()
    st.html(HERE / "live_chart.css")
    if large:
        st.html(HERE / "stage.css")


def draw_picture(
    ranges: Ranges, also: Also, lesson: int | None = None, revealed: bool = True, large: bool = False
) -> None:
    """Draw the live picture, once the rest of the page is there; see `live_picture`."""
    scenario, view = session.state().scenario, session.state().view
    if lesson is None and scenario.kind not in measured_kinds():
        record = first_view.stored(scenario, view, dark())
        if record:
            st.html(f"<style>{first_view.style()}</style>")
            picture("flow", "terms", record)
            ranges(first_view.target())
            compile_for(scenario)
            st.empty()  # another page that was chosen meanwhile is opened here: `st.rerun` would put this in its place
            st.rerun()
    message = get_ready(scenario)
    from gradflow.app.charts import terms  # never from inside the package: see test_structure

    st.html(f"<style>{terms.IMAGE_LAYOUTS[large].style()} {style(specification(view))}</style>")
    live_picture(ranges, also, lesson, revealed)
    message.empty()  # what it was for is on its way; an old picture is greyed until that is drawn


@st.fragment
def live_picture(ranges: Ranges, also: Also, lesson: int | None, revealed: bool) -> None:
    """Draw the picture where it stands, and again at each move that comes by a run.

    Args:
        ranges: (target) -> None, draws the ranges that move it.
        also: (measurement, view) -> None, draws what else follows them.
        lesson: whose picture it is; None: Explore's.
        revealed: whether it is told what the numbers mean; not before a person has said it first.
    """
    with error_boundary(session.link):
        from gradflow.app import frame  # after the first paint

        moves = range_slider.read_reports()
        scenario, view = session.state().scenario, session.state().view
        request = lambda **how: frame.Request(scenario, view, lesson, revealed, **how)
        steps = draw_frame(moves, view, request, frame.frame)
        also(measure(scenario), view)
        ranges(target(view, steps))  # the last, since what it hands back invites the next report
        freeze_when_compiled(measured_kinds())


def specification(view: View) -> str:
    """The name of the picture's, a file of `charts.built`."""
    return f"{view.show}_on_stage" if view.stage else view.show


def draw_frame(
    moves: range_slider.Interaction, view: View, request: Callable[..., "Request"], frame: Callable[..., dict[str, Any]]
) -> int:
    """Draw the picture of this moment, in the axes that stand while something moves.

    Args:
        moves: what the ranges say.
        view: how it is looked at.
        request: what is asked for, given its dark, moving, playing, axes and overflowed.
        frame: (request) -> its record.

    Returns:
        the steps of its lag axis.
    """
    last: dict[str, Any] = session.visit().get("frame", {})
    if last.get("show") != view.show:
        last = {}
    moving = bool(moves.held or moves.playing)
    keeps = last.get("axes") if moving and last.get("playing") == moves.playing else None
    flags = {"moving": moving, "playing": moves.playing, "overflowed": last.get("overflowed", True)}
    asked = request(dark=dark(), axes=keeps, **flags)
    record = frame(asked)
    last = last | record | {"show": view.show, "playing": moves.playing}
    session.visit()["frame"] = {name: last[name] for name in ("show", "playing", "axes", "overflowed", "steps")}
    picture("flow", specification(view), record, asked.params(last["axes"], last["overflowed"]))
    return last["steps"]


def draw_chart(name: str, tables: "Tables", key: str | None = None) -> None:
    """Draw a chart beside the live picture; its letters follow the page's theme.

    Args:
        name: of its specification.
        tables: name -> table.
        key: of the element, where one specification is drawn more than once; else the name.
    """
    from gradflow.app import frame
    from gradflow.app.charts import base

    picture(key or name, name, {"tables": frame.packed(base.framed(tables, dark=dark()))})


def dark() -> bool:
    """Whether the page is dark."""
    return st.context.theme.type == "dark"


def get_ready(scenario: Scenario, key: str = "status") -> DeltaGenerator:
    """What lets people wait, with a message while they do: libraries, and the first measurement of a cell and size.

    Args:
        scenario: what is shown; the present view may show more: what is kept, or every cell.
        key: of the message, another one where a page gets ready twice.

    Returns:
        the place of the message, to be emptied.
    """
    place = st.empty()  # always there, so that what follows keeps its place on the page
    kinds = {each.kind: each for each in needed(scenario, session.state().view)}
    waiting = [each for kind, each in kinds.items() if kind not in measured_kinds()]
    if not waiting:
        return place
    with place.container(key=key):
        line = st.empty()
        for k, each in enumerate(waiting, 1):
            what = "this cell and size" if len(waiting) == 1 else f"{each.cell}, {k} of {len(waiting)} cells"
            with line, st.spinner(f"Getting ready for {what}. This happens once."):
                compile_for(each)
        line.markdown("Drawing.")
    return place


def compile_for(scenario: Scenario) -> None:
    """Measure for the first time, which compiles; what is compiled outlives the process."""
    from gradflow.engine.compile_cache import keep_compiled

    keep_compiled()
    measure(scenario)


def target(view: View, steps: int) -> dict[str, Any] | None:
    """Where a click on the map sets time and lag; steps: of its lag axis."""
    if view.show != "terms":
        return None
    from gradflow.app.charts import terms

    return terms.IMAGE_LAYOUTS[view.stage].target(steps)


@cache
def patch_process() -> None:
    """Once: what is moved is moved whole, many small messages do not wait for one another, visitors share memory."""
    patch_yield_points()
    disable_nagle()
    limit_malloc_arenas()


@lru_cache(maxsize=1)
def freeze_when_compiled(kinds: frozenset) -> None:
    """Whenever more is loaded: take it out of the garbage collector's rounds, which cost 100 ms each otherwise.

    Args:
        kinds: of scenarios that are compiled; each leaves much that stays.
    """
    freeze_garbage()
