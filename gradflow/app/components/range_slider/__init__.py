"""Sliders that report while they are dragged or played, with numbers to type, and clicks on the map: one component."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from gradflow.app import session
from gradflow.app.components import component
from gradflow.app.labels import LABELS
from gradflow.app.presets import preset_of
from gradflow.app.ranges import Range
from gradflow.app.scenario import INPUTS, RANGES, gate_names
from gradflow.app.state import Brought, Moved, Rested
from gradflow.app.view import RANGES as VIEW_RANGES

_style = Path(__file__).with_name("range_slider.css").read_text(encoding="utf-8")
_panel = component("range_slider", '<div class="ranges"></div>', _style)
CURVES = {  # ranges whose track is in pieces: (share of the track, last value, step of a drag)
    "gain": ((0.2, 0.8, 0.01), (0.5, 1.2, 0.001), (0.3, 12.0, 0.01)),
    "input_gain": ((0.3, 0.1, 0.002), (0.7, 4.0, 0.01)),
    "factor": tuple((0.25, end, 0.01) for end in (0.5, 1.0, 2.0, 4.0)),  # an octave each
}
PANELS = ("ranges", "more_ranges")  # where each keeps its last report, read by the next run


class Interaction(NamedTuple):
    """What the newest reports say: a finger, a key or a sweep is still on a range; a sweep's range, or None."""

    held: bool
    playing: str | None


def read_reports() -> Interaction:
    """Take the newest reports over, each once; what has come to rest goes to the address bar."""
    session.receive_address()
    moves = [_read_report(key) for key in PANELS]
    held, playing = any(move.held for move in moves), next((move.playing for move in moves if move.playing), None)
    if not held and not session.state().saved:
        preset = preset_of(session.dispatch(Rested()).scenario)
        session.send_address()
        if session.widget_value("preset") not in (None, preset) or session.widget_value("away"):
            st.rerun()  # the preset box and what can be taken away, which are not in the fragment
    return Interaction(held, playing)


def read_own(key: str) -> tuple[dict[str, Any], Interaction]:
    """The values of a page's own ranges that its newest report holds, once, and what that says.

    A value of None is what the range was without a person's hand.
    """
    session.receive_address()
    report, values, interaction = _newest_report(key)
    if report == session.state().reports.get(key, 0):
        return {}, interaction
    session.dispatch(Moved(key, report, {}))  # the values are the page's
    return values, interaction


def _read_report(key):
    report, values, interaction = _newest_report(key)
    if report:
        session.dispatch(Moved(key, report, values))
    return interaction


def _newest_report(key):
    """(number, values, `Interaction`) of a panel; number 0 where there is no report, or none that our ranges make."""
    match session.widget_value(key):
        case {"moved": {"values": dict(values), "turn": int(report), "held": held, **rest}}:
            playing = rest.get("playing")
            return report, values, Interaction(held is not None, playing if playing in tuple(RANGES) else None)
    return 0, {}, Interaction(False, None)


def live_ranges(key: str, fields: Iterable[str], *, play: bool = False, target: dict[str, Any] | None = None) -> None:
    """Sliders that report while they are dragged, one under the other.

    Args:
        key: one of `PANELS`.
        fields: names in `RANGES` of scenario or view, from top to bottom.
        play: offer to sweep one of them.
        target: where a click sets time and lag: {"selector", "left", "right", "top", "bottom", "steps"}.
    """
    now = session.state()
    scenario, view = now.scenario, now.view
    caps = {
        "time": scenario.horizon - 1,
        "lag": min(scenario.time, scenario.horizon - 1),
        "row": len(gate_names(scenario.cell)) * scenario.hidden - 1,
        "col": (INPUTS if scenario.weight == "weight_ih" else scenario.hidden) - 1,
    }
    ranges = []
    for name in fields:
        value = getattr(view if name in VIEW_RANGES else scenario, name)
        how = {"cap": caps.get(name), "curve": CURVES.get(name), "initial": value is None}
        value = scenario.at_rest(name) if value is None else value
        ranges.append(described(name, RANGES.get(name) or VIEW_RANGES[name], LABELS[name], value, **how))
    draw_ranges(key, ranges, play=play, target=target)


def described(name: str, limits: Range, words: tuple[str, str], value: float, **how: Any) -> dict[str, Any]:
    """A range as the component is given it.

    Args:
        name: of its field.
        limits: its values.
        words: its label, and a sentence.
        value: where it stands.
        how: "cap", "curve" and "initial" as in range_slider.js, and "unset", what a person can go back to.
    """
    label, sentence = words
    digits = len(f"{limits.step:g}".partition(".")[2])
    given = {"name": name, "label": label, "help": sentence, **limits._asdict(), "digits": digits, "value": value}
    return given | {"cap": None, "curve": None, "initial": False, "unset": None} | how


def draw_ranges(
    key: str, ranges: list[dict[str, Any]], *, play: bool = False, target: Mapping[str, Any] | None = None
) -> None:
    """Draw ranges as `described` gives them; key, play and target as in `live_ranges`."""
    now = session.state()
    data = {"ranges": ranges, "turn": now.reports.get(key, 0), "play": play, "target": target}
    # In a list: in a dict Streamlit would look for data frames, and load pandas for it.
    _panel(key=key, data=[data], on_moved_change=lambda: None)
    if key not in now.reports:  # the report of a page that knew another server could be read by now, and not before
        session.dispatch(Brought(key, _newest_report(key)[0]))
