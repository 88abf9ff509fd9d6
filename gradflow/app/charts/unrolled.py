"""The unrolled network at the chosen t: the last dozen steps, their gates, and how much reaches each copy of W."""

from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREY, LIGHT, ORANGE, RED, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import number, share

STEPS = 12
BROAD = 14  # px, the widest arrow
COST, COPY, STATE, INPUT, STEP = 60, 230, 318, 378, 404  # px from the top
BESIDE = {"forget": (-0.5, 0), "update": (-0.5, 0), "input": (0, 1), "reset": (0, 1), "output": (0, -1)}  # of a state


def domain(measurement: Measurement, view: View) -> Domain:
    """The frame of decades that sets the arrows' widths."""
    return base.decades(measurement.log_row[:STEPS])


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    t, row = measurement.t, measurement.log_row
    lag = np.arange(min(STEPS, t + 1))
    x = STEPS - 1 - lag
    wide, grey = _widths(row, lag, domain), _widths(kept.log_row, lag, domain) if kept else 0.0 * lag
    steps = base.steps_back(measurement)
    units = {
        "lag": lag,
        "x": x,
        "before": x - 1.0,
        "copy": np.full(len(lag), COPY),
        "state": np.full(len(lag), STATE),
        "input": np.full(len(lag), INPUT),
        "step": np.full(len(lag), STEP),
        "term": base.numbers(row[lag]),
        "kept": [number(kept.log_row[u]) if kept and u < len(kept.log_row) else "" for u in lag],
        "label": [measurement.labels[t - u].strip() or "x" for u in lag],
        "name": [f"{t - u}" for u in lag],
    }
    arrows = {
        "lag": lag,
        "from": np.full(len(lag), STEPS - 1.0),
        "to": x,
        "top": np.full(len(lag), COST),
        "end": np.full(len(lag), COPY - 12),
        "wide": wide,
        "kept": grey,
        "head": np.where(wide > 0, 30 + 14 * wide, 0.0),
    }
    gates = [
        (u, STEPS - 1 - u, STATE, *BESIDE[name], float(gate[t - u]))
        for name, gate in measurement.gates.items()
        for u in lag
    ]
    earlier = share(row)[STEPS] if len(row) > STEPS and np.isfinite(row).any() else 0.0
    frame = {
        "corner": 0,
        "lit": min(view.lag, t) if view.closer else -1,
        "title": f"What C({t}) sends back to each copy of W",
        "legend": f"width: from {number(domain[0] * np.log(10))}, a hair, to {number(domain[1] * np.log(10))}, broad",
        "gates_key": "red, a gate: ring open, bar shut" if measurement.gates else "",
        "earlier": f"{max(len(row) - STEPS, 0)} earlier copies hold {100 * earlier:.2g} % of the terms",
        "kept": base.kept_words(measurement, kept),
        "alarm": base.overflowed(measurement),
    }
    names, label = list(measurement.gates), CELLS[measurement.scenario.cell].label
    said = [
        f"copy {steps[u]}, lag {u}: {number(row[u])}"
        + "".join(f", {label(name)} {measurement.gates[name][t - u]:.2f}" for name in names)
        for u in range(t + 1)
    ]
    columns = {
        "lag": np.arange(t + 1),
        "x": [STEPS - 1 - u if u < STEPS else None for u in range(t + 1)],
        "words": said,
    }
    return {
        "frame": base.frame_table(**frame),
        "arrows": arrows,
        "units": units,
        "gates": {
            name: np.array([gate[k] for gate in gates]) for k, name in enumerate(("lag", "x", "y", "dx", "dy", "open"))
        },
        "columns": columns,
    }


def _widths(row, lag, domain):
    """px of each arrow, from a hair at the foot of the frame to `BROAD` at its top; 0 where nothing comes."""
    values = np.full(len(lag), -np.inf)
    here = lag[lag < len(row)]
    values[here] = row[here]
    part = np.clip((values / np.log(10) - domain[0]) / (domain[1] - domain[0]), 0, 1)
    return np.where(np.isfinite(values), 0.75 + (BROAD - 0.75) * np.where(np.isfinite(part), part, 0), 0.0)


def say(measurement: Measurement, view: View) -> str:
    """What the picture shows, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    row = measurement.log_row
    last = min(STEPS, len(row)) - 1
    steps = slice(measurement.t - last, measurement.t + 1)
    label = CELLS[measurement.scenario.cell].label
    gates = ", ".join(f"{label(name)} {gate[steps].mean():.2f}" for name, gate in measurement.gates.items())
    seen = f" The gates of these steps are open by, on average: {gates}." if gates else ""
    return (
        f"The cost at step {measurement.t} sends {number(row[0])} to the copy of W it used last, and "
        f"{number(row[last])} to the one {last} steps before.{seen}"
    )


# ---------------------------------------------------------------------------------------------- specification

HEIGHT = 470  # px
LAYOUT = {
    "zero": "0",
    "right": "width - 10",
    "bottom": "430",
    "narrow": ("false", "true"),
    "gap": f"right / {STEPS + 2}",  # px between two steps
    "node": "clamp(gap * 0.3, 6, 17)",  # px, radius of a state
    **LIGHT,
    "lit_words": "lit < 0 || lit >= length(data('columns')) ? '' : data('columns')[lit].words",
}


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import COLUMN, FRAME, at, words, words_over_lines

    arrow, unit, gate = drawing.marks("arrows", "units", "gates")
    x_axis = alt.X(
        "corner:Q",
        scale=alt.Scale(range=[alt.expr("0"), alt.expr("right")], domain=[-2, STEPS], nice=False, padding=0),
        axis=None,
    )
    pixels = alt.Scale(range=[alt.expr("0"), alt.expr("bottom")], domain=[0, 430], nice=False)
    y_axis = alt.Y("corner:Q", scale=pixels, axis=None)
    lit_colour = lambda colour: f"datum.lag == lit ? '{ORANGE}' : '{colour}'"
    lit = lambda colour: alt.expr(lit_colour(colour))
    lit_ink = lambda colour: drawing.text_colour(lit_colour(colour))
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    text: dict[str, Any] = {"fontWeight": "bold", "fontSize": 14}
    layers = (
        FRAME.mark_point(opacity=0).encode(x_axis, y_axis).add_params(drawing.hovering()),
        arrow.mark_rule(strokeCap="round", color=GREY, opacity=0.4, strokeWidth=alt.expr("datum.kept")).encode(
            x="from:Q", x2="to", y="top:Q", y2="end"
        ),
        arrow.mark_rule(strokeCap="round", color=lit(BLUE), opacity=0.65, strokeWidth=alt.expr("datum.wide")).encode(
            x="from:Q", x2="to", y="top:Q", y2="end"
        ),
        arrow.mark_point(
            shape="triangle-down", filled=True, opacity=1, color=lit(BLUE), size=alt.expr("datum.head")
        ).encode(x="to:Q", y="end:Q"),
        # the chain of states, from left to right
        unit.mark_rule(color=GREY, strokeWidth=2).encode(x="before:Q", x2="x", y="state:Q"),
        unit.mark_rule(color=GREY, strokeWidth=2).encode(x="x:Q", y="input:Q", y2="state"),
        unit.mark_point(
            shape="circle", filled=True, opacity=1, size=alt.expr("4 * node * node"), color=lit(GREY)
        ).encode(x="x:Q", y="state:Q"),
        unit.mark_text(fontSize=alt.expr("narrow ? 9 : 13"), fontWeight="bold", color="black").encode(
            x="x:Q", y="state:Q", text=alt.value("h")
        ),
        unit.mark_text(fontSize=alt.expr("narrow ? 11 : 16"), fontWeight="bold", color=lit_ink(BLUE), dy=12).encode(
            x="x:Q", y="copy:Q", text=alt.value("W")
        ),
        unit.mark_text(
            fontSize=alt.expr("narrow ? 10 : 12"),
            fontWeight="bold",
            color=lit_ink(BLUE),
            dy=alt.expr("narrow ? 0 : 28"),
            dx=alt.expr("narrow ? -22 : 0"),
            angle=alt.expr("narrow ? -90 : 0"),
            align=alt.expr("narrow ? 'right' : 'center'"),
        ).encode(x="x:Q", y="copy:Q", text="term:N"),
        unit.mark_text(fontSize=11, color=drawing.text_colour(GREY), dy=44, opacity=alt.expr("narrow ? 0 : 1")).encode(
            x="x:Q", y="copy:Q", text="kept:N"
        ),
        unit.mark_text(fontSize=alt.expr("narrow ? 10 : 13"), color=drawing.text_colour(GREY)).encode(
            x="x:Q", y="input:Q", text="label:N"
        ),
        unit.mark_text(fontSize=alt.expr("narrow ? 9 : 12"), color=lit_ink(GREY)).encode(
            x="x:Q", y="step:Q", text="name:N"
        ),
        # gates as Graves draws them: a circle is open, a bar is shut, and in between some of both
        gate.mark_point(
            shape="circle", filled=True, opacity=1, color="white", size=alt.expr("pow(1.1 * node * datum.open, 2)")
        ).encode(x=at("(datum.x + 2 + datum.dx) * gap"), y=at("datum.y + datum.dy * (node + 11)")),
        gate.mark_point(
            shape="circle",
            filled=False,
            opacity=1,
            color=lit(RED),
            strokeWidth=2.5,
            size=alt.expr("pow(1.1 * node * datum.open, 2)"),
        ).encode(x=at("(datum.x + 2 + datum.dx) * gap"), y=at("datum.y + datum.dy * (node + 11)")),
        gate.mark_rule(color=lit(RED), strokeWidth=3.5, opacity=alt.expr("datum.open > 0.99 ? 0 : 1")).encode(
            x=at("(datum.x + 2 + datum.dx) * gap - (datum.dx == 0 ? 0.7 * node * (1 - datum.open) : 0)"),
            x2=at("(datum.x + 2 + datum.dx) * gap + (datum.dx == 0 ? 0.7 * node * (1 - datum.open) : 0)"),
            y=at("datum.y + datum.dy * (node + 11) - (datum.dx == 0 ? 0 : 0.7 * node * (1 - datum.open))"),
            y2=at("datum.y + datum.dy * (node + 11) + (datum.dx == 0 ? 0 : 0.7 * node * (1 - datum.open))"),
        ),
        FRAME.mark_text(text="C(t)", color=drawing.text_colour(RED), **{**text, "fontSize": 18}).encode(
            x=alt.datum(STEPS - 1), y=alt.datum(COST - 16)
        ),
        FRAME.mark_text(text="…", color=drawing.text_colour(GREY), **{**text, "fontSize": 22}).encode(
            x=alt.datum(-1.4), y=alt.datum(STATE - 6)
        ),
        words("0", at("16"), "title", **plain),
        words("0", at("38"), "legend", size=13, **plain),
        *words_over_lines("0", at("60"), "earlier", size=13, **plain),
        *words_over_lines("0", at("82"), "gates_key", RED, size=13, **plain),
        *words_over_lines("0", at("104"), "kept", size=13, **plain),
        words("0", at("126"), "alarm", RED, **plain),
        drawing.read_out("bottom + 4"),
        COLUMN.mark_bar(orient="vertical", width=alt.expr("gap"), fillOpacity=0, tooltip=alt.expr("''")).encode(
            x="x:Q", y=at("90"), y2=at("bottom - 10")
        ),
    )
    description = "The unrolled network: what reaches each of the last copies of W; the text below says it."
    return drawing.specification((layers,), LAYOUT, HEIGHT, description)
