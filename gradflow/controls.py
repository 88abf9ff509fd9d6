"""The controls: widgets and links to a `Scenario`, and back.

One record, `st.session_state.scenario`, is what all widgets show. What a person moves replaces it and is written
to the address bar, every field in one entry of the browser's history: a discrete widget at once, a live range when
the finger has let go. A full run (a first visit, a link, the back button, a discrete widget) reads the record from
there; the fragment with the live ranges and the picture goes on with it.
"""

from pathlib import Path

import streamlit as st

from gradflow.scenario import (
    CHOICES,
    CUSTOM,
    MAX_HORIZON,
    PRESETS,
    RANGES,
    gate_names,
    parse,
    pinnable_gates,
    preset_of,
    to_params,
)

LABELS = {  # field -> (label, one sentence)
    "forget": ("Forget gate", "1 keeps the cell state, 0 wipes it: the factor per step on the cell path."),
    "input": ("Input gate", "How much of the new input is taken in: 0 ignores it, 1 writes all of it."),
    "output": ("Output gate", "How much of the cell state is let out: 0 hides it, 1 shows all of it."),
    "reset": ("Reset gate", "How much of the old state the new one may see: 0 starts afresh."),
    "update": ("Keep", "PyTorch's update gate: 1 keeps the old state, 0 replaces it by the new one."),
    "gain": ("Recurrent gain", "Scale of the recurrent weights: it sets how much a step back multiplies by."),
    "horizon": ("Horizon", "How many steps the network runs: how many times the one weight is used."),
    "input_gain": ("Input gain", "Scale of the input weights; strong inputs saturate the units."),
    "write_every": ("Write every … steps", "The write gate opens once in so many steps; 1 leaves it alone."),
    "time": ("Time t", "The step whose cost is looked at; beyond the horizon it means the last step."),
    "preset": ("Preset", "A starting point; it reads Custom as soon as something moves."),
    "cell": ("Cell", "What one step computes."),
    "gates": ("Gates", "Pinned: a gate is the value below. Learned: it rests there and moves with the input."),
    "init": ("Initialisation", "How the recurrent weights are drawn."),
    "hidden": ("Hidden units", "The size of the state."),
    "sequence": ("Sequence", "What the network reads, and what it should say."),
    "text": ("Sentence", "Its letters are the inputs; Enter takes it over."),
    "weight": ("Weight", "Whose gradient is shown; all means the four together."),
    "gate": ("Gate rows", "The rows of the weight that belong to one gate."),
    "seed": ("Seed", "Another draw of weights and inputs."),
}

_HTML = '<div class="ranges"></div>'
_CSS = """
.ranges { display: grid; gap: 0.9rem; font-family: var(--st-font); color: var(--st-text-color); }
.ranges > div { position: relative; display: grid; grid-template-columns: auto 1fr auto;
  column-gap: 0.4rem; align-items: baseline; }
label { font-size: 0.875rem; }
output { font-size: 1rem; font-weight: 600; font-variant-numeric: tabular-nums; }
button { all: unset; justify-self: start; width: 1rem; border: 1px solid; border-radius: 50%;
  font-size: 0.6875rem; line-height: 0.9rem; text-align: center; opacity: 0.6; cursor: help; }
p { position: absolute; z-index: 9; top: 1.5rem; left: 0; right: 0; margin: 0; padding: 0.5rem 0.6rem;
  visibility: hidden; font-size: 0.875rem; line-height: 1.35; background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius);
  box-shadow: 0 2px 8px rgb(0 0 0 / 0.2); }
button:hover ~ p, button:focus ~ p { visibility: visible; }
input { appearance: none; grid-column: 1 / -1; width: 100%; height: 1.5rem; margin: 0; background: none;
  cursor: pointer; touch-action: pan-y; }
input:focus { outline: none; }
input::-webkit-slider-runnable-track { height: 0.3rem; border-radius: 1rem;
  background: linear-gradient(to right, var(--st-primary-color) var(--filled), var(--st-border-color) 0); }
input::-moz-range-track { height: 0.3rem; border-radius: 1rem; background: var(--st-border-color); }
input::-moz-range-progress { height: 0.3rem; border-radius: 1rem; background: var(--st-primary-color); }
input::-webkit-slider-thumb { appearance: none; width: 1.15rem; height: 1.15rem; margin-top: -0.425rem;
  border-radius: 50%; background: var(--st-primary-color); }
input::-moz-range-thumb { border: 0; width: 1.15rem; height: 1.15rem; border-radius: 50%;
  background: var(--st-primary-color); }
input:focus-visible::-webkit-slider-thumb { outline: 2px solid var(--st-text-color); outline-offset: 2px; }
input:focus-visible::-moz-range-thumb { outline: 2px solid var(--st-text-color); outline-offset: 2px; }
"""
_live_range = st.components.v2.component(
    "gradflow.live_range",
    html=_HTML,
    css=_CSS,
    js=Path(__file__).with_name("live_range.js").read_text(encoding="utf-8"),
)


def read_link():
    """Adopt the scenario of the address bar and tidy it; to be called by each full run.

    Returns:
        One sentence for each value that could not be used as it was.
    """
    given = st.query_params.to_dict()
    scenario, preset, notices = parse(given)
    st.session_state.scenario = scenario
    clean = to_params(scenario, preset)
    if any(given[name] != clean[name] for name in clean.keys() & given.keys()):
        st.query_params.update(clean)
    return notices


def sidebar():
    """Draw the discrete widgets.

    Returns:
        Two containers for `live`; the second is None while "More" is folded.
    """
    scenario = st.session_state.scenario
    with st.sidebar:
        _choice(st.selectbox, "preset", (*PRESETS, CUSTOM), preset_of(scenario))
        _choice(st.selectbox, "cell", CHOICES["cell"], scenario.cell)
        if pinnable_gates(scenario.cell):
            _choice(st.segmented_control, "gates", CHOICES["gates"], scenario.gates, required=True, width="stretch")
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
        _choice(st.selectbox, field, CHOICES[field], getattr(scenario, field))
    if scenario.sequence == "sentence":
        _show("text", scenario.text)
        st.text_input(**_described("text"), max_chars=MAX_HORIZON)
    _choice(st.selectbox, "weight", CHOICES["weight"], scenario.weight)
    _choice(st.selectbox, "gate", ("all", *gate_names(scenario.cell)), scenario.gate)
    _show("seed", scenario.seed)
    low, high, step = RANGES["seed"]
    st.number_input(**_described("seed"), min_value=low, max_value=high, step=step)
    return ranges


def live(first, more):
    """Draw the live ranges into the containers of `sidebar`; to be called by the fragment with the picture.

    Returns:
        (Scenario, held): held is True while a finger or a key is still on a range.
    """
    held = _take_moves("ranges") | _take_moves("more_ranges")
    scenario = st.session_state.scenario
    if not held and parse(st.query_params)[0] != scenario:
        st.query_params.update(to_params(scenario))
        if st.session_state.preset != preset_of(scenario):
            st.rerun()  # the preset box, which is not in the fragment
    with first:
        live_ranges("ranges", (*pinnable_gates(scenario.cell), "gain", "horizon"), scenario)
    if more is not None:
        with more:
            live_ranges("more_ranges", ("time", "input_gain", "write_every"), scenario)
    return scenario, held


def live_ranges(key, fields, scenario):
    """Sliders that report while they are dragged, one under the other.

    Args:
        key: where the component keeps its last report, read by the next run.
        fields: names in `RANGES`, from top to bottom.
        scenario: whose values they show.
    """
    caps = {"time": scenario.horizon - 1}
    ranges = [
        {
            "name": name,
            "label": LABELS[name][0],
            "help": LABELS[name][1],
            **RANGES[name]._asdict(),
            "digits": len(f"{RANGES[name].step:g}".partition(".")[2]),
            "cap": caps.get(name),
            "value": getattr(scenario, name),
        }
        for name in fields
    ]
    _live_range(key=key, data={"ranges": ranges, "turn": _seen(key)}, on_moved_change=lambda: None)


def _take_moves(key):
    """Take a panel's newest report over into the scenario, once; whether it is still held."""
    report = (st.session_state.get(key) or {}).get("moved")
    if not report:
        return False
    if report["turn"] != _seen(key):
        st.session_state[f"{key}_seen"] = report["turn"]
        _change({name: f"{value:.10g}" for name, value in report["values"].items()})
    return report["held"] is not None


def _seen(key):
    return st.session_state.get(f"{key}_seen", 0)


def _choice(widget, field, options, value, **how):
    _show(field, value)
    widget(options=options, **_described(field), **how)


def _show(field, value):
    """Let the widget of a field show this value."""
    if st.session_state.get(field) != value:
        st.session_state[field] = value


def _described(field):
    label, sentence = LABELS[field]
    return {"label": label, "help": sentence, "key": field, "on_change": _chosen, "args": (field,)}


def _chosen(field):
    """A discrete widget moved."""
    value = st.session_state[field]
    if field == "preset":
        st.session_state.scenario = PRESETS.get(value, st.session_state.scenario)
    elif field == "cell":
        _change({"cell": value, "gate": "all"})
    else:
        _change({field: str(value)})
    st.query_params.update(to_params(st.session_state.scenario))


def _change(params):
    """Replace fields of the scenario; `parse` keeps it valid."""
    st.session_state.scenario = parse({**to_params(st.session_state.scenario), **params})[0]
