"""All cells side by side on one scale: the same inputs, the same gain, the same draw, another step."""

from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREY, LIGHT, ORANGE, RED, Domain, Panel, Tables, cut
from gradflow.app.counterexample import in_every_cell
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import number

GATED = tuple(name for name, cell in CELLS.items() if cell.pinnable)
STRIP, OPEN = 15, 12  # px, from one gate's strip to the next, and its height where the gate is open


def domain(measurement: Measurement, view: View) -> Domain:
    return base.decades(*(each.log_row for each in in_every_cell(measurement).values()))


def _factor(measurement, now):
    """What is written into a panel: the pace of δ, or why there is none; of which weight, if it is another than now."""
    weight = measurement.scenario.weight
    of = weight.replace("weight", "W").replace("bias", "b")
    return _pace(measurement) if weight == now else f"{of}: {_pace(measurement)}"


def _pace(measurement):
    reading = measurement.reading
    if reading.regime == "overflow":
        return f"overflow at step {measurement.overflow}"
    said = lambda pace: f"×{number(np.log(pace))}"
    if reading.pace_steady:
        return f"δ {said(reading.pace)} a step"
    if reading.pace_near_steady and reading.pace_far_steady:
        near, far = said(reading.pace_near), said(reading.pace_far)
        return f"δ {near} at both ends" if near == far else f"δ {near} to {far}"
    return "δ: no one pace"


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    each = in_every_cell(measurement)
    lag = np.arange(measurement.t + 1)
    steps = base.steps_back(measurement)
    name = measurement.scenario.cell
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": len(measurement.cost),
        "corner": -0.5,
        "lit": min(view.lag, measurement.t) if view.closer else -1,
        "title": "Each term by lag, cell by cell",
        "subtitle": "same inputs, same scale of weights",
        "kept": base.kept_words(measurement, kept),
        "alarm": base.overflowed(measurement),
        **{f"factor{k}": _factor(one, measurement.scenario.weight) for k, one in enumerate(each.values())},
    }
    corners = [base.free_corner([one.log_row], domain, 0.3) for one in each.values()]
    grey = {f"term{k}": kept.log_row if kept and kept.scenario.cell == cell else None for k, cell in enumerate(CELLS)}
    rows = min(len(kept.log_row), len(measurement.cost)) if kept else 0
    blank = np.full(rows, np.nan)
    return {
        "frame": base.frame_table(**frame),
        "cells": {"lag": lag, **{f"term{k}": cut(one.log_row, domain) for k, one in enumerate(each.values())}},
        "corners": {
            "cell": np.arange(len(CELLS)),
            "right": [right for right, _ in corners],
            "foot": [foot for _, foot in corners],
        },
        **{name: _gates(each[name]) for name in GATED},
        "kept": {
            "lag": np.arange(rows),
            **{field: blank if row is None else cut(row[:rows], domain) for field, row in grey.items()},
        },
        "columns": {
            "lag": lag,
            "words": [f"lag {u} (step {steps[u]}): {name} {number(measurement.log_row[u])}" for u in lag],
        },
    }


def _gates(measurement):
    """One row a gate and lag: the foot of the gate's strip, and how far over it the gate is open."""
    gates = np.array([gate[measurement.t :: -1] for gate in measurement.gates.values()])  # [G, t + 1]
    foot, lag = np.indices(gates.shape)
    foot += 1
    opened = np.where(np.isfinite(gates), foot - OPEN / STRIP * gates, np.nan)
    return {"lag": lag.ravel(), "foot": foot.ravel(), "open": opened.ravel()}


def say(measurement: Measurement, view: View) -> str:
    """How fast the terms of each cell fall, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    now, weight = measurement.scenario.cell, measurement.scenario.weight
    others = {cell: one for cell, one in in_every_cell(measurement).items() if cell != now}
    told = "; ".join(f"{cell} {_factor(one, weight)}" for cell, one in others.items())
    return f"The {now} has {_pace(measurement)}, beside {told}."


# ---------------------------------------------------------------------------------------------- specification

GAP = 60  # px between panels, for the labels of their axes
ACROSS = 4, 2  # panels in a row, in a wide view and in a narrow one
TOP, TALL, BELOW = 76, 116, 68  # px: of the first row; of a panel; between two rows, for the labels of the axis
UNDER = 23  # px, between the strips of a row and what BELOW is for
ROUND: dict[str, Any] = {"strokeCap": "round", "strokeJoin": "round"}  # a single term between exact zeros is then a dot


def _rows(across):
    """(top, bottom) of each row of panels, in px, with room under it for the strips of its gates."""
    gates, top, rows = [len(cell.pinnable) for cell in CELLS.values()], TOP, []
    for first in range(0, len(gates), across):
        rows.append((top, top + TALL))
        most = max(gates[first : first + across])
        top += TALL + BELOW + (STRIP * most + UNDER if most else 0)
    return rows


ROWS = [_rows(across) for across in ACROSS]
HEIGHT = ROWS[0][-1][1] + 94


def _places():
    """Where each panel stands."""
    places: dict[str, Any] = {}
    for k in range(len(CELLS)):
        for edge, way in (("top", 0), ("bottom", 1)):
            places[f"{edge}{k}"] = tuple(str(rows[k // n][way]) for rows, n in zip(ROWS, ACROSS, strict=True))
        places[f"left{k}"] = tuple(f"(width_of + {GAP}) * {k % across}" for across in ACROSS)
        places[f"right{k}"] = f"left{k} + width_of"
    return places


LAYOUT = {
    "zero": "0",
    "right": "width - 10",
    "narrow": ("false", "true"),
    "top": "36",
    "bottom": tuple(str(rows[-1][1]) for rows in ROWS),  # of the last row
    "width_of": tuple(f"(right - {(across - 1) * GAP}) / {across}" for across in ACROSS),
    **_places(),
    **{name: f"data('frame')[0].{name}" for name in ("low", "high", "horizon")},
    "column": "width_of / horizon",
    **LIGHT,
    "lit_words": "lit < 0 || lit >= length(data('columns')) ? '' : data('columns')[lit].words",
}


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import FRAME, at, words

    curve, kept, corner = drawing.marks("cells", "kept", "corners")
    panels = [Panel(cell, f"left{k}", f"right{k}", f"top{k}", f"bottom{k}") for k, cell in enumerate(CELLS)]
    groups = []
    for k, panel in enumerate(panels):
        scales = drawing.log_panel(panel, x_title=" ")
        groups.append(
            (
                scales.add_params(drawing.hovering()) if k == 0 else scales,
                drawing.light(panel, "column"),
                kept.mark_line(color=GREY, strokeWidth=3, opacity=0.55, **ROUND).encode(x="lag:Q", y=f"term{k}:Q"),
                curve.mark_line(color=BLUE, strokeWidth=4, **ROUND).encode(x="lag:Q", y=f"term{k}:Q"),
                drawing.columns(panel, "column"),
            )
        )
    lefts, tops = (", ".join(getattr(panel, edge) for panel in panels) for edge in ("left", "top"))
    factors = [
        corner.mark_text(
            fontSize=alt.expr("narrow ? 11 : 13"),
            fontWeight="bold",
            align=alt.expr("datum.right ? 'right' : 'left'"),
            limit=alt.expr("width_of + 6"),
            **how,
        ).encode(
            x=at(f"[{lefts}][datum.cell] + (datum.right ? width_of - 6 : 6)"),
            y=at(f"[{tops}][datum.cell] + (datum.foot ? 104 : 10)"),
            text=alt.value(alt.expr("data('frame')[0]['factor' + datum.cell]")),
        )
        for how in (drawing.HALO, {"color": drawing.text_colour(ORANGE)})
    ]
    strips = [_strips(panel, panel.title) for panel in panels if panel.title in GATED]
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    heading = (
        words("0", at("12"), "title", **plain),
        words("0", at("31"), "subtitle", size=13, **plain),
        words("right", at("narrow ? bottom + 112 : 12"), "kept", size=13, align="right", limit=alt.expr("right")),
        words("0", at("narrow ? bottom + 136 : bottom + 88"), "alarm", RED, **plain),
        drawing.read_out("bottom + 88"),
    )
    return drawing.specification(
        (*groups, *strips, (FRAME.mark_point(opacity=0), *factors, *heading)),
        LAYOUT,
        HEIGHT,
        "The terms by lag of every cell on one scale; the text below says it.",
    )


def _strips(panel, cell):
    """Under the panel of a gated cell, for each gate how open it was at the step of each lag."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import at

    (gates,), names = drawing.marks(cell), [CELLS[cell].label(gate) for gate in CELLS[cell].pinnable]
    across = alt.Scale(domain=[-0.5, alt.expr("horizon - 0.5")], range=[alt.expr(panel.left), alt.expr(panel.right)])
    down = alt.Scale(domain=[0, 1], range=[alt.expr(f"{panel.bottom} + {26 + STRIP * k}") for k in (0, 1)])
    foot = gates.transform_filter("datum.lag == 0").encode(alt.Y("foot:Q", axis=None, scale=down))
    return (
        gates.mark_area(color=GREY, opacity=0.8, interpolate="step").encode(
            alt.X("lag:Q", axis=None, scale=across), alt.Y("open:Q", axis=None, scale=down), y2="foot", detail="foot:N"
        ),
        foot.mark_text(
            text=alt.expr(f"{names}[datum.foot - 1]"),
            align="right",
            baseline="bottom",
            fontSize=12,
            fontWeight="bold",
            color=drawing.text_colour(GREY),
        ).encode(x=at(f"{panel.left} - 5")),
        foot.mark_rule(color=GREY).encode(x=at(panel.left), x2=at(panel.right)),
    )
