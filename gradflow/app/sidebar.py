"""The sidebar: what sets the scenario."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from gradflow.app.components.range_slider import live_ranges
from gradflow.app.presets import CUSTOM, PRESETS, preset_of
from gradflow.app.scenario import CHOICES, RANGES, gate_names, pinnable_gates, weight_names
from gradflow.app.session import choice, described, state
from gradflow.cells import CELLS


def sidebar() -> tuple[DeltaGenerator, DeltaGenerator | None]:
    """Draw the discrete widgets.

    Returns:
        Two containers for `live_panels`; the second is None while "More" is folded.
    """
    scenario = state().scenario
    with st.sidebar:
        choice(st.selectbox, "preset", (*PRESETS, CUSTOM), preset_of(scenario))
        choice(st.selectbox, "cell", CHOICES["cell"], scenario.cell)
        if pinnable_gates(scenario.cell):
            choice(st.segmented_control, "gates", CHOICES["gates"], scenario.gates, required=True, width="stretch")
        first = st.container()
        more = st.expander("More", key="more", on_change="rerun")
        if more.open:
            with more:
                return first, _more(scenario)
    return first, None


def _more(scenario):
    """What a first lesson does without; drawn only while it is unfolded, since a drag redraws every range."""
    ranges = st.container()
    for field in ("init", "hidden", "sequence"):
        choice(st.selectbox, field, CHOICES[field], getattr(scenario, field))
    if scenario.sequence == "sentence":
        # no max_chars: it would cut without a word
        st.text_input(value=scenario.text, **described("text", scenario.text))
    choice(st.selectbox, "weight", weight_names(scenario.cell), scenario.weight)
    named = CELLS[scenario.cell].label
    choice(st.selectbox, "gate", ("all", *gate_names(scenario.cell)), scenario.gate, format_func=named)
    low, high, step = RANGES["seed"]
    seed = {"value": scenario.seed, **described("seed", scenario.seed)}
    st.number_input(min_value=low, max_value=high, step=step, **seed)
    return ranges


def live_panels(first: DeltaGenerator, more: DeltaGenerator | None, target: dict[str, Any] | None) -> None:
    """Draw the live ranges into the containers of `sidebar`; to be called by the fragment with the chart."""
    view, cell = state().view, state().scenario.cell
    chosen: tuple[str, ...] = ("time", "lag") if view.closer else ()
    if view.closer and view.show == "sums" and not view.whole:
        chosen += ("row", "col")
    with first:
        gain = ("gain",) if "weight_hh" in weight_names(cell) else ()
        fields = (*pinnable_gates(cell), *gain, "horizon", *chosen)
        live_ranges("ranges", fields, play=view.closer, target=target)
    if more is not None:
        with more:
            live_ranges("more_ranges", (*(() if chosen else ("time",)), "input_gain", "write_every"))
