"""All cells side by side: a panel each, and gate strips under those that have gates."""

from typing import Any

import altair as alt

from gradflow.app.charts.base import BLUE, GREY, ORANGE, RED
from gradflow.app.charts.cells import GATED, STRIP
from gradflow.app.charts.specs import base
from gradflow.app.charts.specs.base import FRAME, LIGHT, Panel, at, words
from gradflow.cells import CELLS

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
CURVE, KEPT, CORNER = base.marks("cells", "kept", "corners")


def spec() -> dict[str, Any]:
    panels = [Panel(cell, f"left{k}", f"right{k}", f"top{k}", f"bottom{k}") for k, cell in enumerate(CELLS)]
    groups = []
    for k, panel in enumerate(panels):
        scales = base.log_panel(panel, x_title=" ")
        groups.append(
            (
                scales.add_params(base.hovering()) if k == 0 else scales,
                base.light(panel, "column"),
                KEPT.mark_line(color=GREY, strokeWidth=3, opacity=0.55, **ROUND).encode(x="lag:Q", y=f"term{k}:Q"),
                CURVE.mark_line(color=BLUE, strokeWidth=4, **ROUND).encode(x="lag:Q", y=f"term{k}:Q"),
                base.columns(panel, "column"),
            )
        )
    lefts, tops = (", ".join(getattr(panel, edge) for panel in panels) for edge in ("left", "top"))
    factors = [
        CORNER.mark_text(
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
        for how in (base.HALO, {"color": base.text_colour(ORANGE)})
    ]
    strips = [_strips(panel, panel.title) for panel in panels if panel.title in GATED]
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    heading = (
        words("0", at("12"), "title", **plain),
        words("0", at("31"), "subtitle", size=13, **plain),
        words("right", at("narrow ? bottom + 112 : 12"), "kept", size=13, align="right", limit=alt.expr("right")),
        words("0", at("narrow ? bottom + 136 : bottom + 88"), "alarm", RED, **plain),
        base.read_out("bottom + 88"),
    )
    return base.specification(
        (*groups, *strips, (FRAME.mark_point(opacity=0), *factors, *heading)),
        LAYOUT,
        HEIGHT,
        "The terms by lag of every cell on one scale; the text below says it.",
    )


def _strips(panel, cell):
    """Under the panel of a gated cell, for each gate how open it was at the step of each lag."""
    (gates,), names = base.marks(cell), [CELLS[cell].label(gate) for gate in CELLS[cell].pinnable]
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
            color=base.text_colour(GREY),
        ).encode(x=at(f"{panel.left} - 5")),
        foot.mark_rule(color=GREY).encode(x=at(panel.left), x2=at(panel.right)),
    )
