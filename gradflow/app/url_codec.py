"""What a field of a link may hold, and how its text is read: one value, or one sentence on why not."""

import math
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gradflow.app.presets import CUSTOM, PRESETS, preset_of
from gradflow.app.ranges import Range
from gradflow.app.scenario import (
    CHOICES,
    GATE_FIELDS,
    RANGES,
    TEXT_LENGTH,
    Scenario,
    defaults,
    gate_names,
    weight_names,
)
from gradflow.app.view import CHOICES as VIEW_CHOICES
from gradflow.app.view import FORMER, View
from gradflow.app.view import RANGES as VIEW_RANGES
from gradflow.cells import CELLS

INITIAL = "initial"  # the text of None: as initialised
MENTIONED = 5  # unknown names that a notice repeats


def write(value: object) -> str:
    """A value as the text a link carries; `read` gives it back, to the last digit."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return INITIAL
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def read(
    name: str, raw: str, default: Any, allowed: Range | tuple | None, optional: bool = False
) -> tuple[Any, str | None]:
    """A field's value from its text.

    Args:
        name: of the field, for the notice.
        raw: the text; of a chart its name, or a former one.
        default: the value it has when it is missing; a flag's default is a bool.
        allowed: a `Range`, a tuple of choices, or None for a flag.
        optional: a number that may be None.

    Returns:
        (value, notice): the default where the text is of no use, the nearest end where the number is beyond it, the
        nearest step where it is between two; the notice is None or one sentence.
    """
    if not isinstance(allowed, Range):
        raw = FORMER.get(raw, raw) if name == "show" else raw
        by_text = {write(choice): choice for choice in ((False, True) if allowed is None else allowed)}
        if raw in by_text:
            return by_text[raw], None
        return default, f"{name} “{short(raw)}” is not one of {', '.join(by_text)}; it is now {write(default)}."
    if optional and raw == INITIAL:
        return None, None
    try:
        number = float(raw)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        between = f"a number between {allowed.low:g} and {allowed.high:g}" + (f" or {INITIAL}" if optional else "")
        return default, f"{name} “{short(raw)}” is not {between}; it is now {write(default)}."
    snapped = allowed.snap(number)
    if not allowed.low <= number <= allowed.high:
        where = "above" if number > allowed.high else "below"
        return snapped, f"{name} “{short(raw)}” is {where} {snapped:g}; it is now {snapped:g}."
    if math.isclose(snapped, number, abs_tol=1e-9):
        return snapped, None
    return snapped, f"{name} “{short(raw)}” is between two steps of {allowed.step:g}; it is now {snapped:g}."


def short(text: str) -> str:
    """At most 40 characters of a text, all of which can be drawn, for a notice."""
    drawn = "".join(letter if letter.isprintable() else "�" for letter in text[:40])
    return drawn if len(text) <= 40 else drawn + "…"


def left_out(unknown: Mapping[str, str], known: Iterable[str]) -> str:
    """The notice on names in a link that the page does not have."""
    named = ", ".join(f"“{short(f'{name}={text}')}”" for name, text in [*unknown.items()][:MENTIONED])
    others = f" and {len(unknown) - MENTIONED} more" if len(unknown) > MENTIONED else ""
    return f"A link here has no {named}{others}, only {', '.join(known)}; the rest is left out."


def to_params(scenario: Scenario, preset: str | None = None) -> dict[str, str]:
    """Every field as the text a link carries; `parse` gives the same scenario back, to the last digit."""
    params = {name: write(value) for name, value in vars(scenario).items()}
    return {"preset": preset or preset_of(scenario), **params}


def parse(params: Mapping[str, str]) -> tuple[Scenario, str, tuple[str, ...]]:
    """Read a link. A missing field has its default, see `defaults`; a preset alone stands for its own values.

    Args:
        params: raw text by name; other names than a scenario's are left alone.

    Returns:
        (scenario, preset name or "Custom", notices): a bad value becomes the default, a number out of range or off
        the steps the nearest that is neither, and each gives one sentence in `notices`. Never raises.
    """
    notices = []
    name = params.get("preset", CUSTOM)
    given = {field: params[field] for field in vars(Scenario()) if field in params}
    if not given and name in PRESETS:
        return PRESETS[name], name, ()
    values: dict[str, Any] = {}
    fixed = defaults(given.get("init", Scenario.init))
    for field, raw in given.items():  # the cell first
        cell = values.get("cell", Scenario.cell)
        values[field], notice = _read_field(field, str(raw), fixed[field], cell)
        if notice:
            notices.append(notice)
    scenario = Scenario(**fixed | values)
    preset = preset_of(scenario)
    if name not in (*PRESETS, CUSTOM):
        notices.append(f"preset “{short(name)}” is not one of {', '.join(PRESETS)}; it is now {preset}.")
    elif name not in (preset, CUSTOM):
        notices.append(f"preset “{name}” has other values than are given beside it, which count; it is now {preset}.")
    return scenario, preset, tuple(notices)


def _read_field(field, raw, default, cell):
    """One field from its text: (value, notice or None)."""
    if field == "gate":
        return read(field, raw, default, ("all", *gate_names(cell)))
    if field == "weight":
        return read(field, raw, CELLS[cell].used(default), weight_names(cell))
    if field == "text":
        if not raw:
            return default, f"text is empty; it is now “{default}”."
        whole = raw.encode("utf-8", "replace").decode()  # a link cannot carry half a character
        cut = whole[:TEXT_LENGTH]
        said = f"text has {len(raw)} characters; the first {TEXT_LENGTH} are used." if cut != whole else ""
        return cut, said or (None if cut == raw else "text has halves of characters; each is now “?”.")
    return read(field, raw, default, CHOICES.get(field) or RANGES.get(field), optional=field in GATE_FIELDS)


def view_params(view: View) -> dict[str, str]:
    """What differs from the first view, as texts by name."""
    return {name: _write(getattr(view, name)) for name, value in vars(View()).items() if getattr(view, name) != value}


def link_params(scenario: Scenario, view: View) -> dict[str, str]:
    """What a link to this view of this scenario carries."""
    return to_params(scenario) | view_params(view)


def parse_view(params: Mapping[str, str]) -> tuple[View, tuple[str, ...]]:
    """Read what a link says beside the scenario; other names are left alone. Never raises.

    Returns:
        (View, notices): a bad value becomes the default, a number out of range the nearest end, and each gives one
        sentence.
    """
    values, notices = {}, []
    for name, default in vars(View()).items():
        if name not in params:
            continue
        raw = str(params[name])
        read_field = _read_reference if name == "kept" else read
        values[name], notice = read_field(name, raw, default, VIEW_CHOICES.get(name) or VIEW_RANGES.get(name))
        if notice:
            notices.append(notice)
    return View(**values), tuple(notices)


def _write(value):
    if not isinstance(value, Scenario):
        return write(value)
    missing = defaults(value.init)
    params = to_params(value)
    if params["preset"] in PRESETS:
        return urlencode({"preset": params["preset"]})
    del params["preset"]
    return urlencode({name: text for name, text in params.items() if text != write(missing[name])})


def _read_reference(name, raw, default, allowed):
    pairs = parse_qsl(raw, keep_blank_values=True)
    params = dict(pairs)
    scenario, _, notices = parse(params)
    notices += tuple(f"{short(other)} is not a field." for other in params.keys() - to_params(scenario).keys())
    notices += ("a field is there twice.",) * (len(params) < len(pairs))
    if not pairs or notices:
        why = f": {notices[0]}" if notices else "."
        return default, f"{name} “{short(raw)}” is no scenario, so nothing is kept{why}"
    return scenario, None
