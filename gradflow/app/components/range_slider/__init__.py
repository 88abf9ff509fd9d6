"""Sliders that report while they are dragged or played, with numbers to type, and clicks on the map: one component."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from gradflow.app import session
from gradflow.app.components import component
from gradflow.app.labels import LABELS
from gradflow.app.presets import preset_of
from gradflow.app.scenario import INPUTS, RANGES, gate_names
from gradflow.app.state import Brought, Moved, Rested
from gradflow.app.view import RANGES as VIEW_RANGES

_style = Path(__file__).with_name("range_slider.css").read_text(encoding="utf-8")
_panel = component("range_slider", '<div class="ranges"></div>', _style)
CURVES = {  # ranges whose track is in pieces: (share of the track, last value, step of a drag)
    "gain": ((0.2, 0.8, 0.01), (0.5, 1.2, 0.001), (0.3, 12.0, 0.01)),
    "input_gain": ((0.3, 0.1, 0.002), (0.7, 4.0, 0.01)),
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
        limits = RANGES.get(name) or VIEW_RANGES[name]
        value = getattr(view if name in VIEW_RANGES else scenario, name)
        ranges.append(
            {
                "name": name,
                "label": LABELS[name][0],
                "help": LABELS[name][1],
                **limits._asdict(),
                "digits": len(f"{limits.step:g}".partition(".")[2]),
                "cap": caps.get(name),
                "curve": CURVES.get(name),
                "value": scenario.at_rest(name) if value is None else value,
                "initial": value is None,
            }
        )
    data = {"ranges": ranges, "turn": now.reports.get(key, 0), "play": play, "target": target}
    # In a list: in a dict Streamlit would look for data frames, and load pandas for it.
    _panel(key=key, data=[data], on_moved_change=lambda: None)
    if key not in now.reports:  # the report of a page that knew another server could be read by now, and not before
        session.dispatch(Brought(key, _newest_report(key)[0]))
