"""The first view: every term by lag, their running sum, the gates, and the map t × u, as one chart.

Four panels in one layered view: a narrow one stacks the two top panels by itself. The map itself and the gates are
images under the canvas (`image`): inside Vega the one is decoded apart and costs a second drawing of all, and the
others cost a quarter of a step.
"""

from functools import cache
from typing import NamedTuple

import altair as alt
import numpy as np
import pyarrow as pa

from gradflow.charts import base
from gradflow.charts.base import (
    BLUE,
    FRAME,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    POWER,
    PURPLE,
    RED,
    STACK,
    Panel,
    at,
    cut,
    ink,
    words,
)
from gradflow.charts.image import VIRIDIS, flushed, map_url, strips_url
from gradflow.reading import number

MARKS = {  # a term that is no number on the axis: its mark, colour and words
    "zero": ("✕", GREY, "exact zero"),
    "flushed": ("▽", ORANGE, "zero by float range"),
    "below": ("▼", BLUE, "below the frame"),
    "above": ("▲", BLUE, "above the frame"),
    "lost": ("✕", RED, "0 in float32"),
    "broken": ("!", RED, "inf or NaN in float32"),
}

HEIGHT = 530  # px, in a wide view
GATE_FIELDS = ("gate0", "gate1", "gate2")  # a cell with fewer gates leaves strips blank
BASELINES = (0.9, 1.9, 2.9)

TERMS = Panel("Each term: ‖dC(t)/dW(t−u)‖", "zero", "terms_right", "terms_top", "terms_bottom")
SUMS = Panel("Their running sum (dotted: uncancelled)", "sums_left", "right", "sums_top", "sums_bottom")
STRIPS = Panel("Gates at step t−u: how open", "zero", "right", "strips_top", "strips_bottom")
MAP = Panel("The same terms, t downwards", "zero", "right", "map_top", "map_bottom")
LOWER = Panel("", "zero", "right", "strips_top", "map_bottom")


class Places(NamedTuple):
    """Where the images lie under the canvas, px; (top, bottom) in a wide view and in a narrow one."""

    left: float
    foot: float  # from the map to the canvas' lower edge
    strips: tuple
    map: tuple

    def signals(self):
        """The same as signals of the view: name -> (in a wide view, in a narrow one)."""
        return {
            f"{name}_{edge}": tuple(str(place[k]) for place in getattr(self, name))
            for name in ("strips", "map")
            for k, edge in enumerate(("top", "bottom"))
        }

    def area(self):
        """Where the map is on the canvas, for a click."""
        top, bottom = zip(*self.map, strict=True)
        return {"left": self.left, "right": RIGHT, "top": top, "bottom": bottom}

    def style(self):
        """The rules that lay `img.strips` and `img.map` under their panels."""
        narrow = f"@container (max-width: {self.left + STACK + PADDING}px)"
        across = f"left: {self.left}px; width: calc(100% - {self.left + RIGHT + PADDING}px);"
        wide, stacked = map(self._rules, (0, 1))
        return f".st-key-picture img {{ {across} }} {wide} {narrow} {{ {stacked} }}"

    def _rules(self, width):
        end = self.foot + self.map[width][1]
        places = (("strips", *self.strips[width]), ("map", *self.map[width]))
        return " ".join(
            f".st-key-picture img.{name} {{ bottom: {end - bottom}px; height: {bottom - top}px; }}"
            for name, top, bottom in places
        )


RIGHT, PADDING = 10, 2  # px, room for half a dot: a mark that sticks out would narrow the view; round the view
PLACES = {  # large -> places
    False: Places(left=52, foot=44, strips=((260, 314), (530, 584)), map=((352, 494), (624, 784))),
    True: Places(left=64.5, foot=51, strips=((264, 316), (540, 592)), map=((362, 486), (634, 784))),
}
LAYOUT = {  # signal: expression, or (in a wide view, in a narrow one)
    "zero": "0",
    "right": f"width - {RIGHT}",
    "terms_right": ("right / 2 - 36", "right"),
    "terms_top": "28",
    "terms_bottom": "188",
    "sums_left": ("right / 2 + 36", "0"),
    "sums_top": ("28", "270"),
    "sums_bottom": ("188", "430"),
    "read_out": ("252", "500"),
    **PLACES[False].signals(),
    **{name: f"data('frame')[0].{name}" for name in ("low", "high", "horizon", "room")},
    "half_column": "terms_right / horizon",
    "column": "right / horizon",
    **LIGHT,
    "lit_words": "lit < 0 || lit >= length(data('sums')) ? '' : 'lag ' + lit + ' (step ' + data('columns')[lit].step"
    " + '): term ' + data('sums')[lit].term + ', running sum ' + data('sums')[lit].total",
    "chain_y": "data('frame')[0].chain_low ? terms_bottom - 58 : terms_top + 14",
    "dot": "clamp(4500 / horizon, 16, 80)",
    "glyph": "clamp(900 / horizon, 8, 14)",
    "letter": "column > room ? 1 : 0",
}
LARGE = {  # what moves to make room for larger letters
    "terms_bottom": "170",
    "sums_bottom": ("170", "420"),
    **PLACES[True].signals(),
}


# ----------------------------------------------------------------------------------------- the specification

TERM, SUM, ODD, LETTER, KEPT, FRONT, CHAIN = base.marks("terms", "sums", "odd", "letters", "kept", "front", "chains")
CHAINS = {"state": (GREEN, [8, 4]), "input": (PURPLE, [2, 4])}  # what is taken for these terms: field, colour, dashes
GHOST = {"color": GREY, "strokeWidth": 3, "opacity": 0.55}


def _terms(hover):
    return (
        base.log_panel(TERMS).add_params(hover),  # once: the panels share one view
        KEPT.mark_line(**GHOST).encode(x="lag:Q", y="term:Q"),
        *(
            CHAIN.mark_line(color=colour, strokeWidth=2.5, strokeDash=dash).encode(x="lag:Q", y=f"{field}:Q")
            for field, (colour, dash) in CHAINS.items()
        ),
        TERM.mark_circle(size=alt.expr("dot"), color=BLUE, opacity=1, invalid=None).encode(x="lag:Q", y="term:Q"),
        FRAME.mark_rule(color=ORANGE, strokeWidth=2).encode(x="fit_x:Q", x2="fit_x2", y="fit_y:Q", y2="fit_y2"),
        ODD.mark_text(fontSize=alt.expr("glyph"), fontWeight="bold", color=ink("datum.color")).encode(
            x="lag:Q", y="y:Q", text="mark:N"
        ),
        *(
            layer
            for k, (field, (colour, dash)) in enumerate(CHAINS.items())
            for layer in (
                FRAME.mark_rule(
                    color=colour, strokeWidth=2.5, strokeDash=dash, opacity=alt.expr(f"datum.{field} ? 1 : 0")
                ).encode(x=at("6"), x2=at("32"), y=at(f"chain_y + {16 * k}")),
                words("38", at(f"chain_y + {16 * k}"), field, colour, size=13, align="left"),
            )
        ),
        words(f"{TERMS.right} - 6", "factor_y:Q", "factor", ORANGE, align="right"),
        words("6", at(f"{TERMS.bottom} - 24"), "note", size=13, align="left"),
        words("6", at(f"{TERMS.bottom} - 8"), "kept", size=13, align="left"),
        words("6", at(f"{TERMS.top} + 70"), "alarm", RED, align="left"),
    )


def _sums():
    return (
        base.log_panel(SUMS),
        KEPT.mark_line(**GHOST).encode(x="lag:Q", y="sum:Q"),
        SUM.mark_line(strokeJoin="round", color=GREY, strokeWidth=2, strokeDash=[2, 3]).encode(x="lag:Q", y="norms:Q"),
        SUM.mark_line(strokeJoin="round", color=BLUE, strokeWidth=4).encode(x="lag:Q", y="sum:Q"),
        FRAME.mark_circle(color=BLUE, size=110, opacity=1).encode(x="t:Q", y="end:Q"),
        words(f"{SUMS.right} - 6", "total_y:Q", "total", BLUE, align="right"),
        words(f"{SUMS.right} - 6", at(f"{SUMS.bottom} - 8"), "kept_total", size=13, align="right"),
    )


def _strips(image):
    names = {"labelExpr": "data('frame')[0]['name' + floor(datum.value)]", "labelBaseline": "bottom"}
    names["labelOverlap"] = False
    strips = [
        layer
        for field, bottom in zip(GATE_FIELDS, BASELINES, strict=True)
        for layer in (
            FRAME.mark_rect(color=GREY, opacity=0.2).encode(
                x=at(STRIPS.left), x2=at(STRIPS.right), y=f"{field}:Q", y2=alt.datum(bottom)
            ),
            KEPT.mark_line(**{**GHOST, "strokeWidth": 2, "opacity": 1}, interpolate="step").encode(
                x="lag:Q", y=f"{field}:Q"
            ),
        )
    ]
    return (
        base.panel(STRIPS, [len(BASELINES), 0], x_title=None, values=BASELINES, grid=False, **names),
        *([_image(STRIPS, "strips")] if image else []),
        *strips,
        LETTER.mark_text(fontSize=13, color=ink(GREY), opacity=alt.expr("letter")).encode(
            x="lag:Q", y=at(f"{STRIPS.bottom} + 9"), text="label:N"
        ),
        words("0", at(f"{STRIPS.top} + 18"), "gateless", align="left"),
        base.read_out("read_out - 6"),
    )


def _image(panel, field):
    return FRAME.mark_image(
        width=alt.expr(f"{panel.right} - {panel.left}"),
        height=alt.expr(f"{panel.bottom} - {panel.top}"),
        align="left",
        baseline="top",
        aspect=False,
        smooth=False,
    ).encode(x=at(panel.left), y=at(panel.top), url=f"{field}:N")


def _map(image):
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
    scales = base.panel(MAP, [alt.expr("horizon - 0.5"), -0.5], tickMinStep=1, tickCount=4, grid=False)
    return (
        scales.encode(color=alt.Color("low:Q", scale=colours, legend=legend)),
        *([_image(MAP, "map")] if image else []),
        FRONT.mark_line(color=GREY, strokeWidth=2.5, strokeDash=[6, 4]).encode(x="lag:Q", y="t:Q", order="t:Q"),
        FRAME.mark_rule(color=RED, strokeWidth=2).encode(x=at(MAP.left), x2=at(MAP.right), y="t:Q"),
        words(MAP.right, at(f"{MAP.top} - 14"), "time", RED, align="right"),
        words(MAP.right, at(f"{MAP.top} + 54"), "kept_front", size=13, align="right"),
    )


@cache
def spec(image=False, large=False):
    """The constant Vega-Lite specification of the whole picture; its data come from `data`.

    Args:
        image: draw map and gates inside, for a file; on the page they lie under the canvas.
        large: leave room for larger letters.

    Returns:
        dict without data, for `st.vega_lite_chart(spec={**spec(), "datasets": data(...)}, key=..., width="stretch")`.
    """
    layers = (
        (*_terms(base.hovering()), *base.columns(TERMS, "half_column")),
        (*_sums(), *base.columns(SUMS, "half_column")),
        _strips(image),
        (*_map(image), *base.columns(LOWER, "column")),
    )
    said = "Terms of the gradient by lag, their running sum, the gates, the terms at all times; the text below says it."
    return base.specification(layers, LAYOUT | (LARGE if large else {}), HEIGHT, said)


# -------------------------------------------------------------------------------------------------- the data


def domain(measurement, look):
    """The frame that holds terms and sums at time t, or where there is nothing at t, the terms at other times."""
    at_t = np.concatenate([measurement.log_row, measurement.log_partial])
    if not np.isfinite(at_t).any():
        return base.decades(measurement.log_terms)
    return base.decades(at_t, *(measurement.chains.values() if look.chains else ()))


def data(measurement, look, kept, domain, image=False):
    """The numbers of the picture.

    Args:
        measurement: what `Scenario.measure` returns.
        look: the `Look`.
        kept: the measurement that stays in grey, or None.
        domain: (low, high) in log10; what lies beyond it is marked at the edge.
        image: with map and gates, for a file.

    Returns:
        one Arrow table per dataset. "frame": one row for the whole view; "sums": one per lag 0…t, "columns" likewise
        what is there to touch; "terms": one per term inside the domain; "odd": one per term that is no number
        there; "letters": one per label; "kept", "front": the grey one by lag, and along its map; "chains": the two
        other chains by lag.
    """
    true, measurement = measurement, measurement.float32 if look.float32 else measurement
    t, overflow, log_row = measurement.t, measurement.overflow, measurement.log_row
    with np.errstate(invalid="ignore"):
        norms = np.logaddexp.accumulate(log_row)
    lag = np.arange(t + 1, dtype=np.int16)
    states = _states(true, measurement, domain)
    plain = states == ""
    letters, room = _letters([measurement.labels[s] for s in range(t, -1, -1)], len(measurement.cost))
    seen = [f"{mark} {words}" for state, (mark, _, words) in MARKS.items() if state in states]
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": len(measurement.cost),
        "t": t,
        "lit": min(look.lag, t) if look.closer else -1,
        "corner": -0.5,
        "room": room,
        "time": f"t = {t}" if overflow is None else f"overflow from step {overflow}    t = {t}",
        "note": "   ".join(seen),
        "alarm": base.overflowed(true),
        **(images(true, look, domain) if image else {}),
        "gateless": "" if measurement.gates else "a plain RNN has none",
        **_names(measurement.gates),
        **_fit(measurement.reading, domain),
        **_ending(measurement.log_partial[-1], domain),
        **_chain_words(measurement, look, domain),
        **_kept_words(measurement, kept, domain),
    }
    return {
        "frame": base.frame_table(**frame),
        "terms": pa.table({"lag": lag[plain], "term": (log_row[plain] / np.log(10)).astype(np.float32)}),
        "sums": pa.table(
            {
                "lag": lag,
                "sum": cut(measurement.log_partial, domain),
                "norms": cut(norms, domain),
                "term": base.numbers(log_row),
                "total": base.numbers(measurement.log_partial),
            }
        ),
        "columns": base.column_table(measurement),
        "odd": _odd(states, domain),
        "letters": letters,
        "kept": _kept(measurement, kept, domain),
        "front": _front(measurement, kept, domain),
        "chains": _chains(measurement, look, domain),
    }


def images(measurement, look, domain, steps=None):
    """What lies under the canvas: "strips" and "map" -> data URL; over so many steps, or else the horizon."""
    steps = steps or len(measurement.cost)
    shown = measurement.float32 if look.float32 else measurement
    return {
        "strips": strips_url(measurement.gates, measurement.t, steps, len(BASELINES)),
        "map": map_url(shown, domain, steps),
    }


def _states(true, shown, domain):
    """What each term is: "" for a number inside the frame, a key of `MARKS`, or "none" after an overflow."""
    row, t = shown.log_row / np.log(10), shown.t
    zero, lost = row == -np.inf, shown is not true
    odd = {
        "none": np.isnan(true.log_row),
        "broken": np.isnan(row),
        "lost": zero & np.isfinite(true.log_row) & lost,
        "flushed": zero & flushed(t - np.arange(t + 1), shown.underflow),
        "zero": zero,
        "below": row < domain[0],
        "above": row > domain[1],
    }
    return np.select(list(odd.values()), list(odd), "")


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


def _names(gates):
    """For each strip its name and the top of its track; nothing where there is no gate."""
    names = [base.GATE_WORDS.get(gate, gate) for gate in gates] + len(BASELINES) * [""]
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


def _chains(measurement, look, domain):
    """The two other chains by lag, if they are wanted; no rows if not."""
    lines = measurement.chains.values() if look.chains else ([], [])
    lag = np.arange(measurement.t + 1 if look.chains else 0, dtype=np.int16)
    return pa.table({"lag": lag, **{field: cut(log, domain) for field, log in zip(CHAINS, lines, strict=True)}})


def _chain_words(measurement, look, domain):
    """The names of the chains, and whether the lower corner is free for them."""
    if not look.chains:
        return {**dict.fromkeys(CHAINS, ""), "chain_low": True}
    lines = [measurement.log_row, *measurement.chains.values()]
    _, low = base.free_corner(lines, domain, 0.4, ways=(False,))
    return {**dict(zip(CHAINS, measurement.chains, strict=True)), "chain_low": low}


def _kept(measurement, kept, domain):
    """Terms, running sum and gates of what stays in grey, by lag; null where there is none."""
    t = kept.t if kept else -1
    lag = np.arange(min(t + 1, len(measurement.cost)), dtype=np.int16)
    alike = kept and kept.gates.keys() == measurement.gates.keys()
    gates = [gate[t::-1] for gate in kept.gates.values()] if alike else []
    gates += [np.full(len(lag), np.nan)] * len(BASELINES)
    return pa.table(
        {
            "lag": lag,
            "term": cut(kept.log_row[: len(lag)] if kept else lag, domain),
            "sum": cut(kept.log_partial[: len(lag)] if kept else lag, domain),
            **{
                field: pa.array(bottom - 0.8 * gate[: len(lag)], pa.float32(), from_pandas=True)
                for field, bottom, gate in zip(GATE_FIELDS, BASELINES, gates, strict=False)
            },
        }
    )


def _front(measurement, kept, domain):
    """Along the kept map: how far back terms above the middle of the frame have reached, up to each t."""
    if kept is None:
        return pa.table({"t": pa.array([], pa.int16()), "lag": pa.array([], pa.int16())})
    steps = min(len(kept.cost), len(measurement.cost))
    above = kept.log_terms[:steps, :steps] >= np.mean(domain) * np.log(10)
    last = np.where(above.any(1), steps - 1 - above[:, ::-1].argmax(1), 0)
    return pa.table({"t": np.arange(steps, dtype=np.int16), "lag": np.maximum.accumulate(last).astype(np.int16)})


def _kept_words(measurement, kept, domain):
    if kept is None:
        return {"kept": "", "kept_total": "", "kept_front": ""}
    return {
        "kept": base.kept_words(measurement, kept),
        "kept_total": f"kept sum {number(kept.log_partial[-1])}",
        "kept_front": f"dashed: how far back kept terms above 1e{np.mean(domain):+.0f} reach",
    }


def say(measurement, look):
    """What the picture shows, in a sentence or two with numbers."""
    row, t = measurement.log_row, measurement.t
    here = np.flatnonzero(np.isfinite(row))
    if base.overflowed(measurement):
        return f"{base.overflowed(measurement)}: at t = {t} there are no terms."
    if not here.size:
        return f"At t = {t} there is no term that is not zero."
    first, last = here[0], here[-1]
    if first == last:
        return f"At t = {t} one term is not zero, {number(row[first])} at lag {first}."
    said = [
        f"At t = {t} the terms go from {number(row[first])} at lag {first} to {number(row[last])} at lag {last}; "
        f"their sum is {number(measurement.log_partial[-1])}."
    ]
    if look.float32:
        plain = measurement.float32
        zeros = int(np.sum(np.isneginf(plain.log_row) & np.isfinite(row)))
        broken = int(np.isnan(plain.log_row).sum())
        total = plain.log_partial[-1]
        said.append(
            f"Plain float32 reports 0 for {zeros} of these {here.size} terms, inf or NaN for {broken}, "
            f"and for the sum {'inf or NaN' if np.isnan(total) else number(total)}."
        )
    if look.chains:
        ends = [f"{name} at lag {last} is {number(log[last])}" for name, log in measurement.chains.items()]
        said.append(f"Of the other chains, {', and '.join(ends)}.")
    return " ".join(said)
