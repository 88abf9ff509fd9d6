"""The picture: every term by lag, their running sum, the gates, and the map t × u, as one chart.

The specification is constant and built once; numbers travel only as data (`flow_data`), so a new scenario
redraws the view and never rebuilds it. All four panels live in one layered view: a panel is a pair of scales
whose ranges are expressions of the view's width, so a narrow view stacks the two top panels by itself.

Everything is log10 on a linear axis, over decades that the page chooses (`decades`) and can hold still.
"""

import base64
import io
from functools import cache
from typing import NamedTuple

import altair as alt
import numpy as np
import pyarrow as pa
from PIL import Image

from gradflow.reading import number

LOWS = (-2, -5, -10, -20, -40, -80, -160, -320)
HIGHS = (1, 2, 5, 10, 20, 40, 80, 160, 320)

BLUE, ORANGE, GREY, RED = "#3d8bd9", "#e8710a", "#8a8f98", "#e0455e"
VIRIDIS = ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725")
COLOURS = 60  # palette entries from low to high, before those of the states; few, so that the image is small
BLANK, ZERO, FLUSHED, BROKEN = range(COLOURS, COLOURS + 4)
STATES = {BLANK: (GREY, 0), ZERO: (GREY, 110), FLUSHED: (ORANGE, 255), BROKEN: (RED, 255)}  # colour, opacity

# A term that is no number on the axis: its mark, colour and words.
MARKS = {
    "zero": ("✕", GREY, "exact zero"),
    "flushed": ("▽", ORANGE, "zero by float range"),
    "below": ("▼", BLUE, "below the frame"),
    "above": ("▲", BLUE, "above the frame"),
}

STACK = 620  # px: a narrower view stacks the panels
HEIGHT = 530  # px, when it does not
MARGIN = 50  # px, left of every panel
GATE_FIELDS = ("gate0", "gate1", "gate2")  # a cell with fewer gates leaves strips blank
BASELINES = (0.9, 1.9, 2.9)
SHOWN = {"update": "keep"}  # PyTorch's GRU keeps the old state where its update gate is open


class Panel(NamedTuple):
    """A rectangle inside the view; its edges are names of signals in `LAYOUT`."""

    title: str
    left: str
    right: str
    top: str
    bottom: str


TERMS = Panel("Each term: ‖dC(t)/dW(t−u)‖", "zero", "terms_right", "terms_top", "terms_bottom")
SUMS = Panel("Their running sum (dotted: uncancelled)", "sums_left", "right", "sums_top", "sums_bottom")
STRIPS = Panel("Gates at step t−u: how open", "zero", "right", "strips_top", "strips_bottom")
MAP = Panel("The same terms, t downwards", "zero", "right", "map_top", "map_bottom")
LOWER = Panel("", "zero", "right", "strips_top", "map_bottom")

LAYOUT = {  # signal: expression, or (in a wide view, in a narrow one)
    "zero": "0",
    "right": "width - 10",  # room for half a dot: a mark that sticks out would narrow the view
    "terms_right": ("right / 2 - 36", "right"),
    "terms_top": "28",
    "terms_bottom": "188",
    "sums_left": ("right / 2 + 36", "0"),
    "sums_top": ("28", "270"),
    "sums_bottom": ("188", "430"),
    "read_out": ("252", "500"),
    "strips_top": ("260", "530"),
    "strips_bottom": ("314", "584"),
    "map_top": ("352", "624"),
    "map_bottom": ("494", "784"),
    "half_column": "terms_right / horizon",
    "column": "right / horizon",
    "lit": "isValid(hover.lag) && hover.lag[0] < length(data('columns')) ? hover.lag[0] : -1",
    "lit_column": "lit < 0 ? {} : data('columns')[lit]",
    "lit_words": "lit < 0 ? '' : 'lag ' + lit + ' (step ' + lit_column.step + '): term ' + lit_column.term"
    " + ', running sum ' + lit_column.sum",
    "lit_size": ("15", "12"),
    "dot": "clamp(4500 / horizon, 16, 80)",
    "glyph": "clamp(900 / horizon, 8, 14)",
    "letter": "column > room ? 1 : 0",
    **{name: f"data('frame')[0].{name}" for name in ("low", "high", "horizon", "room")},
}

_DIGITS = "'⁰¹²³⁴⁵⁶⁷⁸⁹'"
POWER = (  # a whole exponent as 10⁻²⁰
    "datum.value == 0 ? '1' : '10' + (datum.value < 0 ? '⁻' : '')"
    f" + (abs(datum.value) > 99 ? {_DIGITS}[floor(abs(datum.value) / 100)] : '')"
    f" + (abs(datum.value) > 9 ? {_DIGITS}[floor(abs(datum.value) / 10) % 10] : '')"
    f" + {_DIGITS}[abs(datum.value) % 10]"
)


# ----------------------------------------------------------------------------------------- the specification

FRAME, TERM, SUM, GATE, COLUMN, ODD, LETTER = (
    alt.Chart(alt.Data(name=name)) for name in ("frame", "terms", "sums", "gates", "columns", "odd", "letters")
)


def _at(expression):
    """A place in pixels, an expression of the view's width."""
    return alt.value(alt.expr(expression))


def _panel(panel, domain, x_axis=True, **y_axis):
    """The scales and axes of a panel; the layers above it only name fields."""
    x = alt.X(
        "corner:Q",
        scale=alt.Scale(
            range=[alt.expr(panel.left), alt.expr(panel.right)],
            domain=[-0.5, alt.expr("horizon - 0.5")],
            nice=False,
            padding=0,
        ),
        axis=alt.Axis(
            title="lag u (steps back)",
            orient="bottom",
            offset=alt.expr(f"{panel.bottom} - height"),
            grid=False,
            ticks=True,
            tickMinStep=1,
            tickCount=6,
        )
        if x_axis
        else None,
    )
    y = alt.Y(
        "corner:Q",
        scale=alt.Scale(range=[alt.expr(panel.bottom), alt.expr(panel.top)], domain=domain, nice=False),
        axis=alt.Axis(
            title=panel.title,
            orient="left",
            offset=alt.expr(f"-{panel.left}"),
            minExtent=MARGIN,  # the panels stay where they are when a label grows
            maxExtent=MARGIN,
            labelFlush=False,
            titleAngle=0,
            titleAlign="left",
            titleBaseline="bottom",
            titleX=0,
            titleY=alt.expr(f"{panel.top} - 8"),
            **y_axis,
        ),
    )
    return FRAME.mark_point(opacity=0).encode(x, y)


def _log_panel(panel):
    domain = [alt.expr("low"), alt.expr("high")]
    return _panel(panel, domain, labelExpr=POWER, tickMinStep=1, tickCount=5, grid=True)


def _words(x, y, field, fontSize=15, **mark):
    return FRAME.mark_text(fontSize=fontSize, fontWeight="bold", **mark).encode(x=_at(x), y=y, text=f"{field}:N")


def _terms(hover):
    return (
        _log_panel(TERMS).add_params(hover),  # once: the panels share one view
        TERM.mark_circle(size=alt.expr("dot"), color=BLUE, opacity=1, invalid=None).encode(x="lag:Q", y="term:Q"),
        FRAME.mark_rule(color=ORANGE, strokeWidth=2).encode(x="fit_x:Q", x2="fit_x2", y="fit_y:Q", y2="fit_y2"),
        ODD.mark_text(fontSize=alt.expr("glyph"), fontWeight="bold").encode(
            x="lag:Q", y="y:Q", text="mark:N", color=alt.Color("color:N", scale=None)
        ),
        _words(f"{TERMS.right} - 6", "factor_y:Q", "factor", align="right", color=ORANGE),
        _words("6", _at(f"{TERMS.bottom} - 24"), "note", align="left", color=GREY, fontSize=13),
        _words("6", _at(f"{TERMS.top} + 70"), "alarm", align="left", color=RED),
    )


def _sums():
    return (
        _log_panel(SUMS),
        SUM.mark_line(strokeJoin="round", color=GREY, strokeWidth=2, strokeDash=[2, 3]).encode(x="lag:Q", y="norms:Q"),
        SUM.mark_line(strokeJoin="round", color=BLUE, strokeWidth=4).encode(x="lag:Q", y="sum:Q"),
        FRAME.mark_circle(color=BLUE, size=110, opacity=1).encode(x="t:Q", y="end:Q"),
        _words(f"{SUMS.right} - 6", "total_y:Q", "total", align="right", color=BLUE),
    )


def _strips():
    names = {"labelExpr": "data('frame')[0]['name' + floor(datum.value)]", "labelBaseline": "bottom"}
    strips = [
        layer
        for field, base in zip(GATE_FIELDS, BASELINES, strict=True)
        for layer in (
            FRAME.mark_rect(color=GREY, opacity=0.2).encode(
                x=_at(STRIPS.left), x2=_at(STRIPS.right), y=f"{field}:Q", y2=alt.datum(base)
            ),
            GATE.mark_area(color=BLUE, opacity=0.75, interpolate="step-after").encode(
                x="edge:Q", y=f"{field}:Q", y2=alt.datum(base)
            ),
        )
    ]
    return (
        _panel(STRIPS, [len(BASELINES), 0], x_axis=False, values=BASELINES, grid=False, **names),
        *strips,
        LETTER.mark_text(fontSize=13, color=GREY, opacity=alt.expr("letter")).encode(
            x="lag:Q", y=_at(f"{STRIPS.bottom} + 9"), text="label:N"
        ),
        _words("0", _at(f"{STRIPS.top} + 18"), "gateless", align="left", color=GREY),
        FRAME.mark_text(
            text=alt.expr("lit_words"), fontSize=alt.expr("lit_size"), fontWeight="bold", align="right", color=ORANGE
        ).encode(x=_at(STRIPS.right), y=_at("read_out - 6")),
    )


def _map():
    image = FRAME.mark_image(
        width=alt.expr(f"{MAP.right} - {MAP.left}"),
        height=alt.expr(f"{MAP.bottom} - {MAP.top}"),
        align="left",
        baseline="top",
        aspect=False,
        smooth=False,
    )
    legend = alt.Legend(
        title=None,
        orient="none",
        direction="horizontal",
        legendX=alt.expr(f"{MAP.right} - 200"),
        legendY=alt.expr(f"{MAP.top} + 8"),
        gradientLength=190,
        gradientThickness=12,
        labelExpr=POWER,
        tickCount=3,
    )
    colours = alt.Scale(domain=[alt.expr("low"), alt.expr("high")], range=list(VIRIDIS))
    scales = _panel(MAP, [alt.expr("horizon - 0.5"), -0.5], tickMinStep=1, tickCount=4, grid=True)
    return (
        scales.encode(color=alt.Color("low:Q", scale=colours, legend=legend)),
        image.encode(x="corner:Q", y="corner:Q", url="map:N"),
        FRAME.mark_rule(color=RED, strokeWidth=2).encode(x=_at(MAP.left), x2=_at(MAP.right), y="t:Q"),
        _words(MAP.right, _at(f"{MAP.top} - 14"), "time", align="right", color=RED),
    )


def _columns(panel, width):
    """What the pointer or the finger meets, one invisible column per lag, and the light on the one it met."""
    light = FRAME.mark_rule(
        color=ORANGE, strokeWidth=alt.expr(f"max(2, {width})"), opacity=alt.expr("lit < 0 ? 0 : 0.35")
    )
    columns = COLUMN.mark_bar(orient="vertical", width=alt.expr(width), fillOpacity=0, tooltip=alt.expr("''"))
    # Vega-Lite lets the pointer pass through a mark without a tooltip; this one is empty and shows nothing.
    edges = {"y": _at(panel.top), "y2": _at(panel.bottom)}
    return (
        light.encode(x=_at(f"{panel.left} + (max(lit, 0) + 0.5) * {width}"), **edges),
        columns.encode(x="lag:Q", **edges),
    )


@cache
def flow_spec():
    """The constant Vega-Lite specification of the whole picture; its data come from `flow_data`.

    Returns:
        dict without data, for
        `st.vega_lite_chart(spec={**flow_spec(), "datasets": flow_data(...)}, key=..., width="stretch")`.
    """
    touched = "pointerover, touchstart, touchend"
    hover = alt.selection_point(name="hover", fields=["lag"], on=touched, clear="pointerout")
    layers = (
        (*_terms(hover), *_columns(TERMS, "half_column")),
        (*_sums(), *_columns(SUMS, "half_column")),
        _strips(),
        (*_map(), *_columns(LOWER, "column")),
    )
    signals = [
        alt.param(name=name, expr=where if isinstance(where, str) else f"width < {STACK} ? {where[1]} : {where[0]}")
        for name, where in LAYOUT.items()
    ]
    chart = (
        alt.layer(*(alt.layer(*panel) for panel in layers))
        .resolve_scale(x="independent", y="independent")
        .add_params(*signals)
        .properties(height=HEIGHT)
    )
    return {key: value for key, value in chart.to_dict().items() if key != "$schema"} | {
        "description": "Terms of the gradient by lag, their running sum, the gates, the terms at all times.",
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 2, "right": 2, "top": 2, "bottom": 2},
        "config": {
            "axis": {"labelFontSize": 13, "titleFontSize": 14, "labelPadding": 6, "titlePadding": 4},
            "axisY": {"titleFontWeight": "bold", "titleFontSize": 15},
            "legend": {"labelFontSize": 13},
            "mark": {"aria": False},  # a canvas has none, and it costs a string per mark
        },
        "usermeta": {"embedOptions": {"renderer": "canvas"}},
    }


# -------------------------------------------------------------------------------------------------- the data


def decades(measurement):
    """The y-domain (low, high) in log10, out of `LOWS` and `HIGHS`, that holds terms and sums at time t."""
    values = np.concatenate([measurement.log_row, measurement.log_partial])
    if not np.isfinite(values).any():  # nothing at t: what there is at other times
        values = measurement.log_terms
    values = values[np.isfinite(values)] / np.log(10)
    low, high = (values.min(), values.max()) if values.size else (LOWS[0], HIGHS[0])
    return next((d for d in LOWS if d <= low), LOWS[-1]), next((d for d in HIGHS if d >= high), HIGHS[-1])


def flow_data(measurement, domain):
    """The numbers of the picture.

    Args:
        measurement: what `Scenario.measure` returns.
        domain: (low, high) in log10; what lies beyond it is marked at the edge.

    Returns:
        one Arrow table per dataset. "frame": one row for the whole view; "sums", "columns": one per lag 0…t;
        "terms": one per term inside the domain; "odd": one per term that is no number there; "gates": one
        per edge between lags; "letters": one per label.
    """
    t, overflow = measurement.t, measurement.overflow
    row, partial = measurement.log_row / np.log(10), measurement.log_partial / np.log(10)
    with np.errstate(invalid="ignore"):
        norms = np.logaddexp.accumulate(measurement.log_row) / np.log(10)
    lag = np.arange(t + 1, dtype=np.int16)
    states = _states(row, t, measurement.underflow, domain)
    plain = states == ""
    inputs = [measurement.labels[s] for s in range(t, -1, -1)]
    letters, room = _letters(inputs, len(measurement.cost))
    seen = [f"{mark} {words}" for state, (mark, _, words) in MARKS.items() if state in states]
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": len(measurement.cost),
        "t": t,
        "corner": -0.5,
        "room": room,
        "time": f"t = {t}" if overflow is None else f"overflow from step {overflow}    t = {t}",
        "note": "   ".join(seen),
        "alarm": f"The forward pass overflowed at step {overflow}" if np.isnan(row).any() else "",
        "gateless": "" if measurement.gates else "a plain RNN has none",
        "map": map_url(measurement, domain),
        **_names(measurement.gates),
        **_fit(measurement.reading, domain),
        **_ending(measurement.log_partial[-1], domain),
    }
    columns = {
        "lag": lag,
        "step": [f"{t - u} {label.strip()}".strip() for u, label in enumerate(inputs)],
        "term": [number(value) for value in measurement.log_row],
        "sum": [number(value) for value in measurement.log_partial],
    }
    return {
        "frame": pa.table({name: [value] for name, value in frame.items()}),
        "terms": pa.table({"lag": lag[plain], "term": row[plain].astype(np.float32)}),
        "sums": pa.table({"lag": lag, "sum": _drawn(partial, domain), "norms": _drawn(norms, domain)}),
        "columns": pa.table(columns),
        "odd": _odd(states, domain),
        "gates": _gates(measurement.gates, t),
        "letters": letters,
    }


def _drawn(values, domain):
    """Values cut to the frame; null where there is nothing to draw."""
    values = np.where(np.isfinite(values), np.clip(values, *domain), np.nan)
    return pa.array(values, pa.float32(), from_pandas=True)


def _states(row, t, underflow, domain):
    """What each term is: "" for a number inside the frame, a key of `MARKS`, or "none" after an overflow."""
    zero = row == -np.inf
    flushed = zero & _flushed(t - np.arange(t + 1), underflow)
    odd = [np.isnan(row), flushed, zero, row < domain[0], row > domain[1]]
    return np.select(odd, ["none", "flushed", "zero", "below", "above"], "")


def _flushed(step, underflow):
    """Whether a zero at this step stems from a state that the float range flushed to zero."""
    return np.full_like(step, False, bool) if underflow is None else step >= underflow


def _odd(states, domain):
    """The terms that are no number on the axis, just inside the frame."""
    lags = [u for u, state in enumerate(states) if state in MARKS]
    low, high = domain
    inset = 0.05 * (high - low)
    marks = [MARKS[states[u]] for u in lags]
    return pa.table(
        {
            "lag": pa.array(lags, pa.int16()),
            "y": pa.array([high - inset if states[u] == "above" else low + inset for u in lags], pa.float32()),
            "mark": pa.array([mark for mark, _, _ in marks], pa.string()),
            "color": pa.array([colour for _, colour, _ in marks], pa.string()),
        }
    )


def _gates(gates, t):
    """Outlines of the strips over lags 0…t, from edge to edge; null where there is no gate."""
    table = {"edge": np.arange(t + 2, dtype=np.float32) - 0.5}
    rows = [gate[t::-1] for gate in gates.values()] + len(BASELINES) * [np.full(t + 1, np.nan)]
    for field, base, row in zip(GATE_FIELDS, BASELINES, rows, strict=False):
        table[field] = pa.array(base - 0.8 * np.append(row, row[-1]), pa.float32(), from_pandas=True)
    return pa.table(table)


def _names(gates):
    """For each strip its name and the top of its track; nothing where there is no gate."""
    names = [SHOWN.get(gate, gate) for gate in gates] + len(BASELINES) * [""]
    strips = list(zip(GATE_FIELDS, BASELINES, names, strict=False))
    tops = {field: base - 0.8 if name else None for field, base, name in strips}
    return {f"name{k}": name for k, (_, _, name) in enumerate(strips)} | tops


def _letters(inputs, horizon):
    """What stands under the strips, and the pixels a lag needs for it: every letter, or round years only."""
    room, shown = 6, [(u, label) for u, label in enumerate(inputs) if label.strip()]
    if shown and len(shown[0][1]) > 1:
        every = next(years for years in (1, 2, 5, 10, 20, 50) if years >= 0.12 * horizon)
        room, shown = 0, [(u, label) for u, label in shown if int(label) % every == 0]
    lags, labels = [u for u, _ in shown], [label for _, label in shown]
    return pa.table({"lag": pa.array(lags, pa.int16()), "label": pa.array(labels, pa.string())}), room


def _fit(reading, domain):
    """The fitted line log ‖term‖ = intercept + slope·u, cut to the frame, and its factor in words."""
    low, high = domain
    slope, intercept = reading.slope / np.log(10), reading.intercept / np.log(10)
    if reading.regime == "mixed" or not np.isfinite(slope):  # no one factor describes the terms
        return {"fit_x": None, "fit_x2": None, "fit_y": None, "fit_y2": None, "factor": "", "factor_y": high}
    ends = np.array([reading.first, reading.last], float)
    if abs(slope) > 1e-9:
        ends = np.clip(np.sort((np.array(domain) - intercept) / slope), *ends)
    start, stop = np.clip(intercept + slope * ends, low, high)
    return {
        "fit_x": ends[0],
        "fit_x2": ends[1],
        "fit_y": start,
        "fit_y2": stop,
        "factor": f"×{number(reading.slope)} per step",
        "factor_y": low + 0.25 * (high - low) if slope > 0 else high - 0.08 * (high - low),
    }


def _ending(log_sum, domain):
    """The end of the running sum, and its number clear of the line."""
    low, high = domain
    if np.isnan(log_sum):
        return {"end": None, "total": "", "total_y": high}
    end, space = np.clip(log_sum / np.log(10), low, high), 0.22 * (high - low)
    return {
        "end": end if np.isfinite(log_sum) else None,
        "total": f"sum {number(log_sum)}",
        "total_y": end + space if end - space < low else end - space,
    }


def map_pixels(measurement, domain):
    """Palette indices u8[T, T] at [t, u]: 0…59 from low to high, or `BLANK`, `ZERO`, `FLUSHED`, `BROKEN`."""
    low, high = domain
    log10 = measurement.log_terms / np.log(10)
    t, u = np.indices(log10.shape)
    shade = np.clip((log10 - low) / (high - low), 0, 1) * (COLOURS - 1)
    pixels = np.where(np.isfinite(log10), shade, ZERO).round().astype(np.uint8)
    pixels[(log10 == -np.inf) & _flushed(t - u, measurement.underflow)] = FLUSHED
    pixels[np.isnan(log10)] = BROKEN
    pixels[u > t] = BLANK
    return pixels


def map_url(measurement, domain):
    """The map as the data URL of an 8-bit palette PNG: time downwards, lag to the right."""
    colours, opacities = palette()
    buffer = io.BytesIO()
    image = Image.fromarray(map_pixels(measurement, domain))
    image.putpalette(colours)
    image.save(buffer, "PNG", transparency=opacities, compress_level=4)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@cache
def palette():
    """(colours, opacities) of the palette, as bytes."""
    stops = np.array([_rgb(colour) for colour in VIRIDIS])
    at = np.linspace(0, len(stops) - 1, COLOURS)
    ramp = np.stack([np.interp(at, np.arange(len(stops)), channel) for channel in stops.T], axis=1)
    colours = np.concatenate([ramp, [_rgb(colour) for colour, _ in STATES.values()]])
    opacities = COLOURS * [255] + [opacity for _, opacity in STATES.values()]
    return colours.round().astype(np.uint8).tobytes(), bytes(opacities)


def _rgb(colour):
    return [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
