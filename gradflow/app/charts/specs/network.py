"""The unrolled network: arrows, states and gates of the last dozen steps."""

from typing import Any

import altair as alt

from gradflow.app.charts.base import BLUE, GREY, ORANGE, RED
from gradflow.app.charts.network import COST, STATE, STEPS
from gradflow.app.charts.specs import base
from gradflow.app.charts.specs.base import COLUMN, FRAME, LIGHT, at, words, words_over_lines

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
ARROW, UNIT, GATE = base.marks("arrows", "units", "gates")


def spec() -> dict[str, Any]:
    x_axis = alt.X(
        "corner:Q",
        scale=alt.Scale(range=[alt.expr("0"), alt.expr("right")], domain=[-2, STEPS], nice=False, padding=0),
        axis=None,
    )
    pixels = alt.Scale(range=[alt.expr("0"), alt.expr("bottom")], domain=[0, 430], nice=False)
    y_axis = alt.Y("corner:Q", scale=pixels, axis=None)
    lit_colour = lambda colour: f"datum.lag == lit ? '{ORANGE}' : '{colour}'"
    lit, lit_ink = (lambda colour: alt.expr(lit_colour(colour))), (lambda colour: base.text_colour(lit_colour(colour)))
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    text: dict[str, Any] = {"fontWeight": "bold", "fontSize": 14}
    layers = (
        FRAME.mark_point(opacity=0).encode(x_axis, y_axis).add_params(base.hovering()),
        ARROW.mark_rule(strokeCap="round", color=GREY, opacity=0.4, strokeWidth=alt.expr("datum.kept")).encode(
            x="from:Q", x2="to", y="top:Q", y2="end"
        ),
        ARROW.mark_rule(strokeCap="round", color=lit(BLUE), opacity=0.65, strokeWidth=alt.expr("datum.wide")).encode(
            x="from:Q", x2="to", y="top:Q", y2="end"
        ),
        ARROW.mark_point(
            shape="triangle-down", filled=True, opacity=1, color=lit(BLUE), size=alt.expr("datum.head")
        ).encode(x="to:Q", y="end:Q"),
        # the chain of states, from left to right
        UNIT.mark_rule(color=GREY, strokeWidth=2).encode(x="before:Q", x2="x", y="state:Q"),
        UNIT.mark_rule(color=GREY, strokeWidth=2).encode(x="x:Q", y="input:Q", y2="state"),
        UNIT.mark_point(
            shape="circle", filled=True, opacity=1, size=alt.expr("4 * node * node"), color=lit(GREY)
        ).encode(x="x:Q", y="state:Q"),
        UNIT.mark_text(fontSize=alt.expr("narrow ? 9 : 13"), fontWeight="bold", color="black").encode(
            x="x:Q", y="state:Q", text=alt.value("h")
        ),
        UNIT.mark_text(fontSize=alt.expr("narrow ? 11 : 16"), fontWeight="bold", color=lit_ink(BLUE), dy=12).encode(
            x="x:Q", y="copy:Q", text=alt.value("W")
        ),
        UNIT.mark_text(
            fontSize=alt.expr("narrow ? 10 : 12"),
            fontWeight="bold",
            color=lit_ink(GREY),
            dy=alt.expr("narrow ? 0 : 28"),
            dx=alt.expr("narrow ? -22 : 0"),
            angle=alt.expr("narrow ? -90 : 0"),
            align=alt.expr("narrow ? 'right' : 'center'"),
        ).encode(x="x:Q", y="copy:Q", text="term:N"),
        UNIT.mark_text(fontSize=alt.expr("narrow ? 10 : 13"), color=base.text_colour(GREY)).encode(
            x="x:Q", y="input:Q", text="label:N"
        ),
        UNIT.mark_text(fontSize=alt.expr("narrow ? 9 : 12"), color=lit_ink(GREY)).encode(
            x="x:Q", y="step:Q", text="name:N"
        ),
        # gates as Graves draws them: a circle is open, a bar is shut, and in between some of both
        GATE.mark_point(
            shape="circle", filled=True, opacity=1, color="white", size=alt.expr("pow(1.1 * node * datum.open, 2)")
        ).encode(x=at("(datum.x + 2 + datum.dx) * gap"), y=at("datum.y + datum.dy * (node + 11)")),
        GATE.mark_point(
            shape="circle",
            filled=False,
            opacity=1,
            color=lit(RED),
            strokeWidth=2.5,
            size=alt.expr("pow(1.1 * node * datum.open, 2)"),
        ).encode(x=at("(datum.x + 2 + datum.dx) * gap"), y=at("datum.y + datum.dy * (node + 11)")),
        GATE.mark_rule(color=lit(RED), strokeWidth=3.5, opacity=alt.expr("datum.open > 0.99 ? 0 : 1")).encode(
            x=at("(datum.x + 2 + datum.dx) * gap - (datum.dx == 0 ? 0.7 * node * (1 - datum.open) : 0)"),
            x2=at("(datum.x + 2 + datum.dx) * gap + (datum.dx == 0 ? 0.7 * node * (1 - datum.open) : 0)"),
            y=at("datum.y + datum.dy * (node + 11) - (datum.dx == 0 ? 0 : 0.7 * node * (1 - datum.open))"),
            y2=at("datum.y + datum.dy * (node + 11) + (datum.dx == 0 ? 0 : 0.7 * node * (1 - datum.open))"),
        ),
        FRAME.mark_text(text="C(t)", color=base.text_colour(RED), **{**text, "fontSize": 18}).encode(
            x=alt.datum(STEPS - 1), y=alt.datum(COST - 16)
        ),
        FRAME.mark_text(text="…", color=base.text_colour(GREY), **{**text, "fontSize": 22}).encode(
            x=alt.datum(-1.4), y=alt.datum(STATE - 6)
        ),
        words("0", at("16"), "title", **plain),
        words("0", at("38"), "legend", size=13, **plain),
        *words_over_lines("0", at("60"), "earlier", size=13, **plain),
        *words_over_lines("0", at("82"), "gates_key", RED, size=13, **plain),
        *words_over_lines("0", at("104"), "kept", size=13, **plain),
        words("0", at("126"), "alarm", RED, **plain),
        base.read_out("bottom + 4"),
        COLUMN.mark_bar(orient="vertical", width=alt.expr("gap"), fillOpacity=0, tooltip=alt.expr("''")).encode(
            x="x:Q", y=at("90"), y2=at("bottom - 10")
        ),
    )
    description = "The unrolled network: what reaches each of the last copies of W; the text below says it."
    return base.specification((layers,), LAYOUT, HEIGHT, description)
