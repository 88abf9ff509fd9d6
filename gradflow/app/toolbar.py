"""What waits behind "Look closer": other charts, comparing, switches, the stage, and what a person takes away."""

from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app import export, session
from gradflow.app.counterexample import difference, opposite
from gradflow.app.errors import notice
from gradflow.app.measurement import measure
from gradflow.app.presets import CUSTOM, PRESETS, preset_of
from gradflow.app.session import choice, switch
from gradflow.app.state import Kept, Replaced, Stepped, Undone
from gradflow.app.view import CHOICES, SHOWN
from gradflow.cells import CELLS

# of both buttons, pixels: else those after them would move away under a mouse that is pressed
COMPARING: dict[str, Any] = {"width": 152}
Files = dict[str, tuple[str, str, Callable[[], bytes | str]]]  # label -> (name, media type, what makes it)


def views() -> DeltaGenerator | None:
    """The charts to choose from, and what else the chosen one can be asked; on a stage all the tools as well.

    Returns:
        what `definitions` returns if they are here, else None.
    """
    view = session.state().view
    with st.container(horizontal=True, vertical_alignment="center", key="views"):
        how = {"format_func": SHOWN.get, "required": True, "label_visibility": "collapsed"}
        choice(st.segmented_control, "show", CHOICES["show"], view.show, **how)
        if view.show == "sums":
            switch("whole")
            if not view.whole:
                st.button(
                    "Largest", on_click=session.callback(_largest), help="Goes to the weight with the largest gradient."
                )
        elif view.show == "factors":
            switch("relative")
        return _stage() if view.stage else None


def _largest():
    now = session.state()
    measurement = measure(now.scenario)
    row, col = measurement.lags.largest_entry(**measurement.field)
    session.dispatch(Replaced(now.scenario, replace(now.view, row=row, col=col or 0)))


def tools(files: Callable[[], Files]) -> None:
    """Comparing, switches, the stage, and files.

    Args:
        files: () -> name -> (file name, media type, () -> bytes): what can be taken away.
    """
    view, scenario = session.state().view, session.state().scenario
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
        st.button(
            "Keep to compare",
            on_click=session.callback(_keep),
            help="Leaves this in grey, to compare with what comes.",
            **COMPARING,
        )
    else:
        st.button("Stop comparing", on_click=session.on(Kept(None)), help="Takes the grey picture away.", **COMPARING)
    st.button("Show the opposite", on_click=session.callback(_oppose), help="Keeps this in grey beside its opposite.")
    st.button(
        "Undo",
        on_click=session.on(Undone()),
        disabled=not session.state().here.past,
        help="Takes the last change back.",
    )
    origin = session.state().origin
    back: dict[str, Any] = {
        "on_click": session.on(Replaced(PRESETS[origin])),
        "disabled": preset_of(scenario) != CUSTOM,
    }
    st.button("Back to preset", **back, help=f"Sets everything as “{origin}” has it.")


def _keep():
    session.dispatch(Kept(session.state().scenario))  # which may have moved since the button was drawn


def _oppose():
    scenario = session.state().scenario
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
    session.dispatch(Replaced(other, replace(session.state().view, kept=scenario)))


def _stage():
    """All that a stage needs in one row: the presets, for a clicker or the keys, and the tools behind one button."""
    view, scenario = session.state().view, session.state().scenario
    st.button("◀", on_click=session.on(Stepped(-1)), shortcut="PageUp", help="The preset before.")
    st.markdown(f"**{preset_of(scenario)}**", width="content")
    st.button("▶", on_click=session.on(Stepped(1)), shortcut="PageDown", help="The next preset.")
    with st.popover("Tools"):
        with st.container(horizontal=True):
            _comparing(view, scenario)
        _switches(scenario)
        switch("closer")
        switch("stage")
    return _definitions()


def _take_away(scenario, files):
    link = f"{st.context.url or ''}?{urlencode(session.link())}"
    st.code(link, language=None, wrap_lines=True)
    st.caption("In a slide")
    st.code(
        f'<iframe src="{escape(link)}&amp;embed=true" width="1280" height="720"></iframe>',
        language="html",
        wrap_lines=True,
    )
    with st.container(horizontal=True):
        for label, (name, kind, make) in files.items():
            st.download_button(label, data=session.callback(make), file_name=name, mime=kind, on_click="ignore")
    st.file_uploader("Load a scenario (JSON)", type=["json"], key="upload", on_change=session.callback(_load))
    notice(session.visit().pop("refused", ()))
    st.caption("The same numbers in Python")
    st.code(export.python(scenario), language="python")


def _load():
    given = session.widget_value("upload")
    if given is None or given.file_id == session.visit().get("loaded"):  # reported again after the popover was shut
        return
    session.visit()["loaded"] = given.file_id
    try:
        session.dispatch(Replaced(export.from_json(given.getvalue())))
    except ValueError as error:
        session.visit()["refused"] = [str(error)]


def bottom() -> DeltaGenerator | None:
    """What stands under the chart: the definitions and the switches of the page.

    Returns:
        the container of the definitions while they are open, else None.
    """
    words = _definitions()
    switch("closer")
    if session.state().view.closer:
        switch("stage")
    return words


def _definitions():
    popover = st.popover("How these are defined", type="tertiary", key="definitions", on_change="rerun")
    with popover, st.container(key="definitions_body"):
        st.caption("With the numbers of this moment.")  # also while it is closed: an empty one would open too small
    return popover if popover.open else None
