"""How a measurement is looked at: which chart, which entry, which lag, and what it is compared with.

None of it changes what is measured. The first view of the page is `Look()`; a link carries what differs from it.
"""

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from gradflow.app.scenario import MAX_HORIZON, PRESETS, Scenario, defaults, parse, to_params
from gradflow.app.url_codec import Range, read, short, write

SHOWN = {  # chart -> what its choice is called
    "terms": "Terms",
    "entry": "Sum",
    "factors": "Factors",
    "network": "Unrolled",
    "growth": "Over time",
    "cells": "Cells",
}
CHOICES = {"show": tuple(SHOWN)}
RANGES = {
    "lag": Range(0, MAX_HORIZON - 1, 1),
    "row": Range(0, 255, 1),
    "col": Range(0, 63, 1),
}


@dataclass(frozen=True)
class Look:
    """What a link carries beside the scenario; `parse_look` makes valid ones out of anything."""

    closer: bool = False  # the tools are open
    show: str = "terms"
    whole: bool = False  # "entry": norms of the whole matrix instead of one signed entry
    row: int = 0
    col: int = 0
    lag: int = 0  # the lag that is lit
    relative: bool = False  # divide by ‖dC/dh‖
    float32: bool = False  # what plain float32 would report
    chains: bool = False  # the state's and the input's sensitivity beside the terms
    stage: bool = False
    kept: Scenario | None = None  # what stays in grey to compare with


def place(measurement, look):
    """The entry as (field, row, col), inside the weight; col is None for a bias."""
    field = measurement.field["weight"]
    shape = getattr(measurement.scenario.weights(), field).shape
    row = min(look.row, shape[0] - 1)
    return field, row, (min(look.col, shape[1] - 1) if len(shape) == 2 else None)


def look_params(look):
    """What differs from the first view, as texts by name."""
    return {name: _write(getattr(look, name)) for name, value in vars(Look()).items() if getattr(look, name) != value}


def link_params(scenario, look):
    """What a link to this look at this scenario carries."""
    return to_params(scenario) | look_params(look)


def parse_look(params):
    """Read what a link says beside the scenario; other names are left alone. Never raises.

    Returns:
        (Look, notices): a bad value becomes the default, a number out of range the nearest end, and each gives one
        sentence.
    """
    values, notices = {}, []
    for name, default in vars(Look()).items():
        if name not in params:
            continue
        raw = str(params[name])
        read_field = _read_kept if name == "kept" else read
        values[name], notice = read_field(name, raw, default, CHOICES.get(name) or RANGES.get(name))
        if notice:
            notices.append(notice)
    return Look(**values), tuple(notices)


def _write(value):
    if not isinstance(value, Scenario):
        return write(value)
    missing = defaults(value.init)
    params = to_params(value)
    if params["preset"] in PRESETS:
        return urlencode({"preset": params["preset"]})
    del params["preset"]
    return urlencode({name: text for name, text in params.items() if text != write(missing[name])})


def _read_kept(name, raw, default, allowed):
    pairs = parse_qsl(raw, keep_blank_values=True)
    params = dict(pairs)
    scenario, _, notices = parse(params)
    notices += tuple(f"{short(other)} is not a field." for other in params.keys() - to_params(scenario).keys())
    notices += ("a field is there twice.",) * (len(params) < len(pairs))
    if not pairs or notices:
        why = f": {notices[0]}" if notices else "."
        return default, f"{name} “{short(raw)}” is no scenario, so nothing is kept{why}"
    return scenario, None
