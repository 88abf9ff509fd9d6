"""The sum, one term after the other: signed numbers of one weight, or the sizes of the whole matrix's terms.

A waterfall over the first dozen lags and all others together, which ends at the gradient of C(t). Its axis is linear:
only there does one see signed numbers add up. Its unit is a power of ten, which keeps it readable at any size.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREY, RED, WHOLE, WHOLE_HEIGHT, WHOLE_LAYOUT, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View, place
from gradflow.cells import CELLS
from gradflow.reading import number

FIRST = 12  # lags shown one by one
Bar = tuple[str, float, float, float]  # name, value before, value after, signed change
LENGTHS = (1, 1.5, 2, 3, 5, 7, 10, 12)  # of the axis to either side of 0, in units
HEADROOM = 1.12  # the axis is at least so much longer than what stands on it, for the number at the end of a bar
LARGEST_LOG = 700  # exp() of more is no number


def entry_name(measurement: Measurement, view: View) -> str:
    """The entry's name: "weight_hh[3, 5], forget gate"."""
    field, row, col = place(measurement, view)
    cell = CELLS[measurement.scenario.cell]
    of = f", {cell.label(cell.gates[row // measurement.scenario.hidden])} gate" if len(cell.gates) > 1 else ""
    return f"{field}[{row}]{of}" if col is None else f"{field}[{row}, {col}]{of}"


def terms(measurement: Measurement, view: View) -> tuple[np.ndarray, np.ndarray]:
    """(sign, natural log) of what is added, by lag: one entry's terms, or the norms of the whole matrix's."""
    if view.whole:
        return np.ones(len(measurement.log_row)), measurement.log_row
    return measurement.lags.entry(*place(measurement, view))


def domain(measurement: Measurement, view: View) -> Domain:
    """The axis: (exponent10, floor, ceiling), its ends in units of 10^exponent10."""
    rows, top = bars(measurement, view)
    shown = np.array([0.0, *(stop for _, _, stop, _ in rows[:-1])])  # the last stands no higher than the one before
    reach = np.abs(shown).max() or 1.0
    exponent10 = math.floor((top + math.log(reach)) / math.log(10) + 1e-9)
    low, high = (np.array([shown.min(), shown.max()]) * math.exp(top - exponent10 * math.log(10))).tolist()
    floor = -_length(-low) if low < 0 else 0.0
    return exponent10, floor, _length(high) or (1.0 if low == 0 else 0.0)


def _length(end):
    """How long the axis is on the side of a value, by its size in units."""
    least = HEADROOM * end
    return next((length for length in LENGTHS if least <= length), least) if end > 1e-6 else 0.0


def widest(*axes: Domain) -> Domain:
    """The axis that holds these axes."""
    exponent10 = max(axis[0] for axis in axes)
    floors, ceilings = zip(*([end * 10.0 ** (own - exponent10) for end in ends] for own, *ends in axes), strict=True)
    return exponent10, min(floors), max(ceilings)


def bounded(own: Domain, *others: Domain) -> Domain:
    """The axis that holds the first of these axes, and of the others those that are at most ten times as long."""
    reach = lambda axis: max(-axis[1], axis[2]) * 10.0 ** (axis[0] - own[0])
    return widest(own, *(axis for axis in others if axis[0] - own[0] < 3 and reach(axis) <= 10 * reach(own)))


def bars(measurement: Measurement, view: View) -> tuple[list[Bar], float]:
    """What is drawn, in a row: (`Bar`s in units of the largest term, its natural log)."""
    sign, log = terms(measurement, view)
    there = np.isfinite(log)
    top = log[there].max() if there.any() else 0.0
    values = np.zeros(len(log))
    values[there] = sign[there] * np.exp(log[there] - top)
    sums = np.append(0.0, np.cumsum(values))
    rows = [(str(u), sums[u], sums[u + 1], values[u]) for u in range(min(FIRST, len(values)))]
    if len(values) > FIRST:
        rows.append((f"{FIRST}–{len(values) - 1}", sums[FIRST], sums[-1], values[FIRST:].sum()))
    if view.whole:
        rows.append(("Σ‖·‖", 0.0, sums[-1], sums[-1]))
        remaining = _exp(measurement.log_partial[-1] - top)
        rows.append(("‖Σ‖", 0.0, remaining, remaining))
    else:
        rows.append(("sum", 0.0, sums[-1], sums[-1]))
    return rows, top


def _exp(log):
    return math.exp(min(log, LARGEST_LOG))


def _first_lag(name):
    """The lag at which a bar begins, by which bars are paired: "12–99" with the "12–63" of a shorter horizon."""
    return name.partition("–")[0]


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    exponent10, floor, ceiling = domain
    alarm = base.overflowed(measurement)
    rows, top = ([], 0.0) if alarm else bars(measurement, view)
    on_axis = lambda value, top: float(np.clip(value * _exp(top - exponent10 * math.log(10)), floor, ceiling))
    clip = lambda value: on_axis(value, top)
    grey = {}
    if kept and not base.overflowed(kept):
        before, kept_top = bars(kept, view)
        grey = {_first_lag(name): on_axis(stop, kept_top) for name, _, stop, _ in before}
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
                "kept": grey.get(_first_lag(name)),
            }
        )
    links = [
        {"x": a["x"] + 0.35, "x2": b["x"] - 0.35, "y": a["stop"]} for a, b in pairwise(drawn) if b["start"] == a["stop"]
    ]
    lit = min(view.lag, measurement.t, FIRST) if view.closer and rows else -1
    notes = [f"pale orange: lag {lit}"] if lit >= 0 else []
    if view.whole:
        weight, gate = measurement.scenario.weight, measurement.scenario.gate
        rows_of = "" if gate == "all" else f", {CELLS[measurement.scenario.cell].label(gate)} gate"
        title = f"The sizes of the terms of {'all weights' if weight == 'all' else weight}{rows_of}"
        subtitle = "; ".join(["grey: added up", *notes])
    else:
        title, subtitle = "One weight's gradient, copy by copy", "; ".join([entry_name(measurement, view), *notes])
    frame = {
        "floor": floor,
        "ceiling": ceiling,
        "corner": -0.5,
        "bars": max(len(rows), 1),
        "longest": max((len(bar["words"]) for bar in drawn), default=0),
        "lit": lit,
        "unit": exponent10,
        "title": title,
        "subtitle": subtitle,
        "kept": base.kept_words(measurement, kept).replace("grey: kept", "grey: where the kept sum stands"),
        "alarm": alarm,
    }
    return {
        "frame": base.frame_table(**frame),
        "bars": base.columns(drawn, *BAR_FIELDS),
        "links": base.columns(links, *LINK_FIELDS),
    }


BAR_FIELDS = ("x", "left", "right", "start", "stop", "label", "kept", "down", "color", "name", "words", "said")
LINK_FIELDS = ("x", "x2", "y")


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
    """What the bars show, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    rows, top = bars(measurement, view)
    if view.whole:
        total, remaining = rows[-2][2], rows[-1][2]
        share = f"{100 * remaining / total:.3g} %" if total else "nothing"
        return (
            f"The sizes add up to {signed(total, top, False)}; the gradient itself, ‖Σ‖, is "
            f"{signed(remaining, top, False)}: {share} is left after they cancel."
        )
    near = rows[FIRST - 1][2] if len(rows) > FIRST + 1 else None
    rest = f"; the nearest {FIRST} copies alone give {signed(near, top, False)}" if near is not None else ""
    return f"The terms of {entry_name(measurement, view)} add up to {signed(rows[-1][2], top, False)}{rest}."


# ---------------------------------------------------------------------------------------------- specification

BARS = FIRST + 3  # a dozen, the others, the end, and for norms what they cancel to
LAYOUT = {
    **WHOLE_LAYOUT,
    "bottom_value": "data('frame')[0].floor",
    "top_value": "data('frame')[0].ceiling",
    "glyph": "6.8",  # px, of a bold letter of 13 px
    "upright": "column < glyph * data('frame')[0].longest",  # else the numbers would run into each other
    "head": "upright ? 10 + glyph * data('frame')[0].longest : 3 * glyph",  # px, kept free over the highest bar
    "bar": "0.7 * right / data('frame')[0].bars",
    "bars": "data('frame')[0].bars",
    "lit": "data('frame')[0].lit",
    "column": "right / bars",
}
LARGE = {"glyph": "8.5"}  # of larger letters


def specification(large: bool = False) -> dict[str, Any]:
    """The constant Vega-Lite specification; large: for larger letters."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import FRAME, at

    bar, link = drawing.marks("bars", "links")
    panel = drawing.panel(
        WHOLE._replace(top="top + head"),
        [alt.expr("bottom_value"), alt.expr("top_value")],
        x_end="bars - 0.5",
        x_axis={
            "labels": False,  # each bar has its name under it, which an axis may thin out
            "values": list(range(BARS)),
            "titlePadding": 26,
        },
        tickCount=6,
        grid=True,
        labelExpr="format(datum.value * pow(10, data('frame')[0].unit), '~g')",
    )
    colour = alt.Color("color:N", scale=None)
    layers = (
        panel,
        drawing.light(WHOLE, "column"),
        FRAME.mark_rule(color=GREY, strokeWidth=1.5).encode(x=at("0"), x2=at("right"), y=alt.datum(0)),
        link.mark_rule(color=GREY, strokeDash=[2, 2]).encode(x="x:Q", x2="x2", y="y:Q"),
        bar.mark_bar(orient="vertical", width=alt.expr("bar"), opacity=0.9).encode(
            x="x:Q", y="start:Q", y2="stop", color=colour
        ),
        bar.mark_rule(color=GREY, strokeWidth=4).encode(x="left:Q", x2="right", y="kept:Q"),
        *(
            bar.mark_text(
                fontSize=13,
                fontWeight="bold",
                angle=alt.expr("upright ? -90 : 0"),
                align=alt.expr("upright ? (datum.down ? 'right' : 'left') : 'center'"),
                baseline=alt.expr("upright ? 'middle' : datum.down ? 'top' : 'bottom'"),
                yOffset=alt.expr("datum.down ? 5 : -5"),
                **how,
            ).encode(x="x:Q", y="label:Q", text="words:N")
            for how in (drawing.HALO, {"color": drawing.text_colour("datum.color")})
        ),
        bar.mark_text(
            fontSize=13,
            angle=alt.expr("narrow ? -60 : 0"),
            align=alt.expr("narrow ? 'right' : 'center'"),
            baseline=alt.expr("narrow ? 'middle' : 'top'"),
            color=drawing.text_colour(GREY),
        ).encode(x="x:Q", y=at("bottom + 10"), text="name:N"),
        *drawing.headings(),
        bar.mark_bar(orient="vertical", width=alt.expr("column"), fillOpacity=0, tooltip=alt.expr("datum.said")).encode(
            x="x:Q", y=at("top"), y2=at("bottom")
        ),
    )
    return drawing.specification(
        (layers,), LAYOUT | (LARGE if large else {}), WHOLE_HEIGHT, "The sum, term by term; the text below says it."
    )
