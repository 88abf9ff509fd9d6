"""One record of what a person has set, `scenario` and `look`, which all widgets show and the address bar holds.

What a person moves replaces it and is written to the address bar, all in one entry of the browser's history: a
discrete widget at once, a live range when the finger has let go. A full run (a first visit, a link, the back button,
a discrete widget) reads the record from there; the fragment with the live ranges and the chart goes on with it.
"""

import streamlit as st

from gradflow.controls.labels import LABELS
from gradflow.fields import short, write
from gradflow.look import Look, link_params, parse_look
from gradflow.messages import safely
from gradflow.scenario import CUSTOM, DEFAULT_PRESET, PRESETS, RANGES, Scenario, parse, to_params

PAST = 50  # scenarios that can be gone back to
MENTIONED = 5  # unknown names that a notice repeats


def read_link(*own):
    """Adopt what the address bar says and tidy it; to be called by each full run.

    Args:
        own: names in the address bar that the page reads itself.

    Returns:
        One sentence for each value that could not be used as it was, also of a control that was moved.
    """
    given = st.query_params.to_dict()
    scenario, preset, notices = parse(given)
    look, more = parse_look(given)
    st.session_state.scenario, st.session_state.look = scenario, look
    if preset != CUSTOM:
        st.session_state.origin = preset
    clean, known = link(), (*names(), *own)
    unknown = [name for name in given if name not in known]
    repeated = [name for name in given if len(st.query_params.get_all(name)) > 1]
    if repeated or any(clean.get(name) != text for name, text in given.items() if name not in own):
        write_link(without=unknown)
    said = [*st.session_state.pop("notices", ()), *notices, *more]
    said += [
        f"{short(name)} is there more than once; the last one counts, “{short(given[name])}”." for name in repeated
    ]
    if unknown:
        named = ", ".join(f"“{short(f'{name}={given[name]}')}”" for name in unknown[:MENTIONED])
        others = f" and {len(unknown) - MENTIONED} more" if len(unknown) > MENTIONED else ""
        said.append(f"A link here has no {named}{others}, only {', '.join(known)}; the rest is left out.")
    return said


def link():
    """What the address bar holds: every field of the scenario, and what of the look differs from the first view."""
    return link_params(st.session_state.scenario, st.session_state.look)


def names():
    """The names that a link has on every page."""
    return (*to_params(Scenario()), *vars(Look()))


def write_link(without=()):
    """Bring the address bar up to date; names that are not ours stay, but for those."""
    drop = (*names(), *without)
    others = {name: text for name, text in st.query_params.to_dict().items() if name not in drop}
    st.query_params.from_dict(others | link())


def change(**values):
    """Replace fields of scenario and look; `parse` keeps them valid, and the next full run says how."""
    params = link() | {name: write(value) for name, value in values.items()}
    del params["preset"]  # which these values had
    st.session_state.scenario, _, notices = parse(params)
    st.session_state.look, more = parse_look(params)
    st.session_state.notices = (*notices, *more)


def settle():
    """What was changed stays: one step to go back to, and the address bar."""
    before = parse(st.query_params)[0]
    if before != st.session_state.scenario:
        st.session_state.past = [*past(), before][-PAST:]
    write_link()


def past():
    return st.session_state.get("past", [])


def go_to(scenario):
    """Put another scenario in place of the present one."""
    st.session_state.scenario = scenario
    settle()


def show_lesson(lesson):
    """Put a lesson's scenario and look in place of the present ones."""
    st.session_state.scenario, st.session_state.look = lesson.scenario, lesson.look
    write_link()


def undo():
    """Go back one step."""
    *earlier, st.session_state.scenario = past()
    write_link()
    st.session_state.past = earlier


def keep(scenario):
    """Let a scenario stay in grey beside whatever comes; None lets it go."""
    values = vars(st.session_state.look) | {"kept": scenario}
    st.session_state.look = Look(**values)
    write_link()


def origin():
    """The preset that a person started from; after a reload, the one that differs least: in fields, then by size."""
    if "origin" in st.session_state:
        return st.session_state.origin
    now = vars(st.session_state.scenario)

    def apart(name):
        moved = {field: value for field, value in vars(PRESETS[name]).items() if value != now[field]}
        far = [abs(moved[f] - now[f]) / (high - low) for f, (low, high, _) in RANGES.items() if f in moved]
        return len(moved), sum(far)

    return min([DEFAULT_PRESET, *PRESETS], key=apart)


def next_preset(step):
    """Go on to the next preset, or back."""
    names = list(PRESETS)
    st.session_state.origin = names[(names.index(origin()) + step) % len(names)]
    go_to(PRESETS[st.session_state.origin])


def choice(widget, field, options, value, **how):
    """A widget that chooses among options."""
    show(field, value)
    return widget(options=options, **described(field), **how)


def switch(field, **how):
    """A switch of the look or the scenario."""
    record = st.session_state.scenario if hasattr(st.session_state.scenario, field) else st.session_state.look
    show(field, getattr(record, field))
    return st.toggle(**described(field), **how)


def show(field, value):
    """Let the widget of a field show this value; told at each run, since what was told before may have been lost."""
    st.session_state[field] = value


def described(field):
    """What every widget of a field is given: its words, its key, and what follows when it moves."""
    label, sentence = LABELS[field]
    return {"label": label, "help": sentence, "key": field, "on_change": safely(_chosen), "args": (field,)}


def _chosen(field):
    """A discrete widget moved."""
    value = st.session_state[field]
    if field == "preset":
        if value in PRESETS:
            st.session_state.scenario, st.session_state.origin = PRESETS[value], value
    elif field == "cell":
        change(cell=value, gate="all")
    else:
        change(**{field: value})
    settle()
