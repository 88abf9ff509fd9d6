"""The sum, one term after the other: signed numbers of one weight, or the sizes of the whole matrix's terms.

A waterfall over the first dozen lags and all others together, which ends at the gradient of C(t). Its axis is linear:
only there does one see signed numbers add up. A power of ten, the unit, keeps it readable at any size.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREY, RED, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.scenario import gate_names
from gradflow.app.view import View, place
from gradflow.reading import number

FIRST = 12  # lags shown one by one
Bar = tuple[str, float, float, float]  # name, value before, value after, signed change
LENGTHS = (1, 1.5, 2, 3, 5, 7, 10, 12)  # of the axis, in units


def called(measurement: Measurement, view: View) -> str:
    """The entry's name: "weight_hh[3, 5], forget gate"."""
    field, row, col = place(measurement, view)
    gates = gate_names(measurement.scenario.cell)
    of = f", {gates[row // measurement.scenario.hidden]} gate" if len(gates) > 1 else ""
    return f"{field}[{row}]{of}" if col is None else f"{field}[{row}, {col}]{of}"


def terms(measurement: Measurement, view: View) -> tuple[np.ndarray, np.ndarray]:
    """(sign, natural log) of what is added, by lag: one entry's terms, or the norms of the whole matrix's."""
    if view.whole:
        return np.ones(len(measurement.log_row)), measurement.log_row
    return measurement.lags.entry(*place(measurement, view))


def domain(measurement: Measurement, view: View) -> Domain:
    """(unit, floor, ceiling): the power of ten and the ends of the axis in it."""
    rows, top = bars(measurement, view)
    shown = np.array([0.0, *(stop for _, _, stop, _ in rows[:-1])])  # the last stands no higher than the one before
    reach = np.abs(shown).max() or 1.0
    unit = math.floor((top + math.log(reach)) / math.log(10) + 1e-9)
    low, high = (np.array([shown.min(), shown.max()]) * math.exp(top - unit * math.log(10))).tolist()
    length = lambda end: next((size for size in LENGTHS if 1.12 * end <= size), 1.12 * end) if end > 1e-6 else 0.0
    return unit, -length(-low) if low < 0 else 0.0, max(length(high), 0.0) or (1.0 if low == 0 else 0.0)


def widest(*domains: Domain) -> Domain:
    """The frame that holds these frames."""
    unit = max(domain[0] for domain in domains)
    scaled = [(floor * 10.0 ** (own - unit), ceiling * 10.0 ** (own - unit)) for own, floor, ceiling in domains]
    return unit, min(floor for floor, _ in scaled), max(ceiling for _, ceiling in scaled)


def bounded(own: Domain, *others: Domain) -> Domain:
    """The frame that holds the first of these frames, and of the others those that are at most ten times as large."""
    reach = lambda frame: max(-frame[1], frame[2]) * 10.0 ** (frame[0] - own[0])
    return widest(own, *(frame for frame in others if frame[0] - own[0] < 3 and reach(frame) <= 10 * reach(own)))


def bars(measurement: Measurement, view: View) -> tuple[list[Bar], float]:
    """What is drawn, in a row: ([(name, value before, value after, signed change)], log of the value's unit)."""
    sign, log = terms(measurement, view)
    top = log[np.isfinite(log)].max() if np.isfinite(log).any() else 0.0
    values = np.where(np.isfinite(log), sign * np.exp(np.where(np.isfinite(log), log - top, 0.0)), 0.0)
    sums = np.append(0.0, np.cumsum(values))
    first = min(FIRST, len(values))
    rows = [(str(u), sums[u], sums[u + 1], values[u]) for u in range(first)]
    if len(values) > first:
        rows.append((f"{first}–{len(values) - 1}", sums[first], sums[-1], values[first:].sum()))
    if view.whole:
        rows.append(("Σ‖·‖", 0.0, sums[-1], sums[-1]))
        left = math.exp(min(measurement.log_partial[-1] - top, 700))
        rows.append(("‖Σ‖", 0.0, left, left))
    else:
        rows.append(("sum", 0.0, sums[-1], sums[-1]))
    return rows, top


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    unit, floor, ceiling = domain
    alarm = base.overflowed(measurement)
    rows, top = ([], 0.0) if alarm else bars(measurement, view)
    scale = math.exp(min(top - unit * math.log(10), 700))
    clip = lambda value: float(np.clip(value * scale, floor, ceiling))
    grey = {}
    if kept and not base.overflowed(kept):
        before, kept_top = bars(kept, view)
        kept_scale = math.exp(min(kept_top - unit * math.log(10), 700))
        grey = {name.partition("–")[0]: float(np.clip(end * kept_scale, floor, ceiling)) for name, _, end, _ in before}
    drawn = []
    for x, (name, start, stop, change) in enumerate(rows):
        last = x >= len(rows) - (2 if view.whole else 1)
        colour = GREY if view.whole and name == "Σ‖·‖" else BLUE if change >= 0 else RED
        end = clip(stop) if change else clip(start)
        down = change < 0
        if down and end - floor < 0.25 * (ceiling - floor):  # no room under the bar
            end, down = clip(start), False
        drawn.append(
            {
                "x": x,
                "name": name,
                "left": x - 0.42,
                "right": x + 0.42,
                "start": clip(start),
                "stop": clip(stop),
                "label": end,
                "down": down,
                "color": colour,
                "words": signed(change, top, plus=not (last or view.whole), text=number if last else short),
                "said": _said(name, change, stop, top, last),
                "kept": grey.get(name.partition("–")[0]),
            }
        )
    links = [
        {"x": a["x"] + 0.35, "x2": b["x"] - 0.35, "y": a["stop"]} for a, b in pairwise(drawn) if b["start"] == a["stop"]
    ]
    lit = min(view.lag, measurement.t, FIRST) if view.closer and rows else -1
    notes = [f"pale orange: lag {lit}"] if lit >= 0 else []
    if view.whole:
        weight, gate = measurement.scenario.weight, measurement.scenario.gate
        rows_of = "" if gate == "all" else f", {gate} gate"
        title = f"The sizes of the terms of {'all weights' if weight == 'all' else weight}{rows_of}"
        subtitle = "; ".join(["grey: added up", *notes])
    else:
        title, subtitle = "One weight's gradient, copy by copy", "; ".join([called(measurement, view), *notes])
    frame = {
        "floor": floor,
        "ceiling": ceiling,
        "corner": -0.5,
        "bars": max(len(rows), 1),
        "longest": max((len(bar["words"]) for bar in drawn), default=0),
        "lit": lit,
        "unit": unit,
        "title": title,
        "subtitle": subtitle,
        "kept": base.kept_words(measurement, kept),
        "alarm": alarm,
    }
    return {"frame": base.frame_table(**frame), "bars": _table(drawn, BAR_FIELDS), "links": _table(links, LINK_FIELDS)}


BAR_FIELDS = {
    **dict.fromkeys(("x", "left", "right", "start", "stop", "label", "kept"), pa.float32()),
    "down": pa.bool_(),
    "color": pa.string(),
    "name": pa.string(),
    "words": pa.string(),
    "said": pa.string(),
}
LINK_FIELDS = dict.fromkeys(("x", "x2", "y"), pa.float32())


def _table(rows, fields):
    return pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in fields.items()})


def _said(name, change, stop, top, last):
    """What the pointer reads at a bar: its number to three digits, and the sum up to there."""
    if last:
        return f"{name}: {signed(change, top, False)}"
    lags = f"lags {name}" if "–" in name else f"lag {name}"
    return f"{lags}: {signed(change, top)}, sum so far {signed(stop, top, False)}"


def signed(value: float, log_scale: float = 0.0, plus: bool = True, text: Callable[[float], str] = number) -> str:
    """A signed number, value · exp(log_scale), as text: "+0.0123", "−3.2e-17"."""
    if value == 0 or not math.isfinite(value):
        return "0"
    size = text(math.log(abs(value)) + log_scale)
    return f"−{size}" if value < 0 else f"+{size}" if plus else size


def short(log: float) -> str:
    """A magnitude from its natural log in at most seven letters: "0.0015", "6.2e-4", "6e-140"."""
    value = math.exp(log) if abs(log) < 10 else 0.0
    if 9.95e-4 <= value < 999.5:
        return f"{value:.0f}" if value >= 99.5 else f"{value:#.2g}".rstrip(".")
    exponent = math.floor(log / math.log(10))
    places = 1 if abs(exponent) < 100 else 0
    digits = f"{math.exp(log - exponent * math.log(10)):.{places}f}"
    return f"{1:.{places}f}e{exponent + 1:+d}" if float(digits) == 10 else f"{digits}e{exponent:+d}"


def say(measurement: Measurement, view: View) -> str:
    """What the waterfall shows, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    rows, top = bars(measurement, view)
    if view.whole:
        total, left = rows[-2][2], rows[-1][2]
        kept = f"{100 * left / total:.3g} %" if total else "nothing"
        return (
            f"The sizes add up to {signed(total, top, False)}; the gradient itself, ‖Σ‖, is "
            f"{signed(left, top, False)}: {kept} is left after they cancel."
        )
    near = rows[FIRST - 1][2] if len(rows) > FIRST + 1 else None
    rest = f"; the nearest {FIRST} copies alone give {signed(near, top, False)}" if near is not None else ""
    return f"The terms of {called(measurement, view)} add up to {signed(rows[-1][2], top, False)}{rest}."
