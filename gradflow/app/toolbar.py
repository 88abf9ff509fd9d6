"""What waits behind "Look closer": other charts, comparing, switches, the stage, and what a person takes away."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app import export, session
from gradflow.app.counterexample import difference, opposite
from gradflow.app.errors import guarded, notice
from gradflow.app.measurement import measure
from gradflow.app.presets import CUSTOM, preset_of
from gradflow.app.session import choice, switch
from gradflow.app.view import CHOICES, SHOWN
from gradflow.cells import CELLS

Files = dict[str, tuple[str, str, Callable[[], bytes | str]]]  # label -> (name, media type, what makes it)


def views() -> DeltaGenerator | None:
    """The charts to choose from, and what else the chosen one can be asked; on a stage all the tools as well.

    Returns:
        what `definitions` returns if they are here, else None.
    """
    view = st.session_state.view
    with st.container(horizontal=True, vertical_alignment="center", key="views"):
        how = {"format_func": SHOWN.get, "required": True, "label_visibility": "collapsed"}
        choice(st.segmented_control, "show", CHOICES["show"], view.show, **how)
        if view.show == "entry":
            switch("whole")
            if not view.whole:
                st.button("Largest", on_click=guarded(_largest), help="Goes to the weight with the largest gradient.")
        elif view.show == "factors":
            switch("relative")
        return _stage() if view.stage else None


def _largest():
    measurement = measure(st.session_state.scenario)
    row, col = measurement.lags.largest_entry(**measurement.field)
    session.change(row=row, col=col or 0)
    session.settle()


def tools(files: Callable[[], Files]) -> None:
    """Comparing, switches, the stage, and files.

    Args:
        files: () -> name -> (file name, media type, () -> bytes): what can be taken away.
    """
    view, scenario = st.session_state.view, st.session_state.scenario
    with st.container(horizontal=True, vertical_alignment="center", key="tools"):
        _comparing(view, scenario)
        with st.popover("Switches"):
            _switches(scenario)
        away = st.popover("Take away", key="away", on_change="rerun")
    with away, st.container(key="away_body"):
        st.caption("A link to this screen")  # also while it is closed: an empty one would open too small
        if away.open:
            _take_away(scenario, files())


def _switches(scenario):
    switch("float32")
    switch("chains")
    switch("cell_path_only", disabled=not CELLS[scenario.cell].has_cell_path)


def _comparing(view, scenario):
    if view.kept is None:
        st.button("Keep to compare", on_click=guarded(_keep), help="Leaves this in grey, to compare with what comes.")
    else:
        st.button("Stop comparing", on_click=guarded(session.keep), args=(None,), help="Takes the grey picture away.")
    st.button("Show the opposite", on_click=guarded(_oppose), help="Keeps this in grey beside its opposite.")
    st.button("Undo", on_click=guarded(session.undo), disabled=not session.past(), help="Takes the last change back.")
    origin = session.origin()
    back: dict[str, Any] = {"args": (session.PRESETS[origin],), "disabled": preset_of(scenario) != CUSTOM}
    st.button("Back to preset", on_click=guarded(session.go_to), **back, help=f"Sets everything as “{origin}” has it.")


def _keep():
    session.keep(st.session_state.scenario)  # which may have moved since the button was drawn


def _oppose():
    scenario = st.session_state.scenario
    other = opposite(scenario, measure(scenario).reading.regime)
    if other is None:
        why = (
            " A sigmoid passes on at most a quarter, times what W does: it takes a gain of about 10, and another seed."
            if scenario.cell == "rnn-sigmoid"
            else ""
        )
        st.toast(f"No setting in reach makes the opposite of this draw.{why}")
        return
    st.toast(f"Changed: {difference(scenario, other)}.")
    session.keep(scenario)
    session.go_to(other)


def _stage():
    """All that a stage needs in one row: the presets, for a clicker or the keys, and the tools behind one button."""
    view, scenario = st.session_state.view, st.session_state.scenario
    st.button("◀", on_click=guarded(session.next_preset), args=(-1,), shortcut="PageUp", help="The preset before.")
    st.markdown(f"**{preset_of(scenario)}**", width="content")
    st.button("▶", on_click=guarded(session.next_preset), args=(1,), shortcut="PageDown", help="The next preset.")
    with st.popover("Tools"):
        with st.container(horizontal=True):
            _comparing(view, scenario)
        _switches(scenario)
        switch("closer")
        switch("stage")
    return _definitions()


def _take_away(scenario, files):
    st.code(f"{st.context.url or ''}?{urlencode(session.link())}", language=None, wrap_lines=True)
    with st.container(horizontal=True):
        for label, (name, kind, make) in files.items():
            st.download_button(label, data=guarded(make), file_name=name, mime=kind, on_click="ignore")
    st.file_uploader("Load a scenario (JSON)", type=["json"], key="upload", on_change=guarded(_load))
    notice(st.session_state.pop("refused", ()))
    st.caption("The same numbers in Python")
    st.code(export.python(scenario), language="python")


def _load():
    given = st.session_state.upload
    if given is None or given.file_id == st.session_state.get("loaded"):  # reported again after the popover was shut
        return
    st.session_state.loaded = given.file_id
    try:
        session.go_to(export.from_json(given.getvalue()))
    except ValueError as error:
        st.session_state.refused = [str(error)]


def bottom() -> DeltaGenerator | None:
    """What stands under the chart: the definitions and the switches of the page.

    Returns:
        the container of the definitions while they are open, else None.
    """
    words = _definitions()
    switch("closer")
    if st.session_state.view.closer:
        switch("stage")
    return words


def _definitions():
    popover = st.popover("How these are defined", type="tertiary", key="definitions", on_change="rerun")
    with popover, st.container(key="definitions_body"):
        st.caption("With the numbers of this moment.")  # also while it is closed: an empty one would open too small
    return popover if popover.open else None
