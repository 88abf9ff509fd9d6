"""The first view: terms, sums, gates and map, four panels of one layered view, which stacks them where it is narrow."""

from typing import Any

import altair as alt

from gradflow.app.charts import drawing
from gradflow.app.charts.base import BLUE, GREY, LIGHT, ORANGE, RED, Panel
from gradflow.app.charts.drawing import FRAME, at, text_colour, words, words_over_lines
from gradflow.app.charts.terms import BASELINES, CHAINS, GATE_FIELDS, IMAGE_LAYOUTS, RIGHT
from gradflow.app.palette import POWER, VIRIDIS

HEIGHT = 502  # px, in a wide view
TERMS = Panel("Each term: ‖dC(t)/dW(t−u)‖", "zero", "terms_right", "terms_top", "terms_bottom", 22)
SUMS = Panel("Running sum (dotted: of sizes)", "sums_left", "right", "sums_top", "sums_bottom", 22)
STRIPS = Panel("", "zero", "right", "strips_top", "strips_bottom")
MAP = Panel("", "zero", "right", "map_top", "map_bottom")
LOWER = Panel("", "zero", "right", "strips_top", "map_bottom")
LAYOUT = {  # signal: expression, or (in a wide view, in a narrow one)
    "zero": "0",
    "right": f"width - {RIGHT}",
    "terms_right": ("right / 2 - 36", "right"),
    "terms_top": "42",
    "terms_bottom": "188",
    "sums_left": ("right / 2 + 36", "0"),
    "sums_top": ("42", "284"),
    "sums_bottom": ("188", "430"),
    "read_out": ("252", "500"),
    "narrow": ("false", "true"),
    **IMAGE_LAYOUTS[False].signals(),
    **{name: f"data('frame')[0].{name}" for name in ("low", "high", "horizon", "room")},
    "half_column": "terms_right / horizon",
    "column": "right / horizon",
    **LIGHT,
    "lit_words": "lit < 0 || lit >= length(data('sums')) ? '' : 'lag ' + lit + ' (step ' + data('columns')[lit].step"
    " + '): term ' + data('sums')[lit].term + ', running sum ' + data('sums')[lit].total",
    "map_title": (
        "'Terms of every t (edge: first step' + (data('frame')[0].few_costs ? '; grey: no cost)' : ')')",
        "'Terms of every t (' + (data('frame')[0].few_costs ? 'grey: no cost)' : 'edge: first step)')",
    ),
    "chain_y": "data('frame')[0].chain_low ? terms_bottom - 58 : terms_top + 14",
    "dot": "clamp(4500 / horizon, 16, 80)",
    "glyph": "clamp(900 / horizon, 8, 14)",
}
LARGE = {  # what moves to make room for larger letters
    "terms_bottom": "170",
    "sums_bottom": ("170", "420"),
    **IMAGE_LAYOUTS[True].signals(),
}
TERM, SUM, ODD, LETTER, KEPT, FRONT, CHAIN = drawing.marks("terms", "sums", "odd", "letters", "kept", "front", "chains")
GHOST: dict[str, Any] = {"color": GREY, "strokeWidth": 3, "opacity": 0.55}


def _terms(hover):
    return (
        drawing.log_panel(TERMS).add_params(hover),  # once: the panels share one view
        drawing.light(TERMS, "half_column"),
        KEPT.mark_line(**GHOST).encode(x="lag:Q", y="term:Q"),
        *(
            CHAIN.mark_line(color=colour, strokeWidth=2.5, strokeDash=dash).encode(x="lag:Q", y=f"{field}:Q")
            for field, (colour, dash) in CHAINS.items()
        ),
        TERM.mark_circle(size=alt.expr("dot"), color=BLUE, opacity=1, invalid=None).encode(x="lag:Q", y="term:Q"),
        FRAME.mark_rule(color=ORANGE, strokeWidth=2).encode(x="fit_x:Q", x2="fit_x2", y="fit_y:Q", y2="fit_y2"),
        ODD.mark_text(fontSize=alt.expr("glyph"), fontWeight="bold", color=text_colour("datum.color")).encode(
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
        *words_over_lines(f"{TERMS.right} - 6", "factor_y:Q", "factor", ORANGE, align="right"),
        words("0", at(f"{TERMS.top} - 9"), "note", size=13, align="left", limit=alt.expr(TERMS.right)),
        words("6", at(f"{TERMS.top} + 70"), "alarm", RED, align="left"),
    )


def _sums():
    return (
        drawing.log_panel(SUMS),
        drawing.light(SUMS, "half_column"),
        KEPT.mark_line(**GHOST).encode(x="lag:Q", y="sum:Q"),
        SUM.mark_line(strokeJoin="round", color=GREY, strokeWidth=2, strokeDash=[2, 3]).encode(x="lag:Q", y="norms:Q"),
        SUM.mark_line(strokeJoin="round", color=BLUE, strokeWidth=4).encode(x="lag:Q", y="sum:Q"),
        FRAME.mark_circle(color=BLUE, size=110, opacity=1).encode(x="t:Q", y="end:Q"),
        *words_over_lines(f"{SUMS.right} - 6", "total_y:Q", "total", BLUE, align="right"),
        *words_over_lines(f"{SUMS.right} - 6", "kept_total_y:Q", "kept_total", size=13, align="right"),
        words(SUMS.left, at(f"{SUMS.top} - 9"), "kept", size=13, align="left", limit=alt.expr("right - sums_left")),
    )


def _strips(image):
    names: dict[str, Any] = {"labelExpr": "data('frame')[0]['name' + floor(datum.value)]"}
    names |= {"labelBaseline": "bottom", "labelOverlap": False}
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
        drawing.panel(STRIPS, [len(BASELINES), 0], x_title=None, values=BASELINES, grid=False, **names),
        *([drawing.image(FRAME, STRIPS, "strips")] if image else []),
        drawing.light(STRIPS, "column"),
        *strips,
        LETTER.mark_text(
            fontSize=13, color=text_colour(GREY), opacity=alt.expr("column * datum.every > room ? 1 : 0")
        ).encode(x="lag:Q", y=at(f"{STRIPS.bottom} + 9"), text="label:N"),
        words("0", at(f"{STRIPS.top} - {STRIPS.head}"), "strips_title", align="left", baseline="bottom"),
        drawing.read_out("read_out - 6"),
    )


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
    scales = drawing.panel(MAP, [alt.expr("horizon - 0.5"), -0.5], tickMinStep=1, tickCount=4, grid=False)
    return (
        scales.encode(color=alt.Color("low:Q", scale=colours, legend=legend)),
        *([drawing.image(FRAME, MAP, "map")] if image else []),
        drawing.light(MAP, "column"),
        FRONT.mark_line(color=GREY, strokeWidth=2.5, strokeDash=[6, 4]).encode(x="lag:Q", y="t:Q", order="t:Q"),
        FRAME.mark_rule(color=RED, strokeWidth=2).encode(x=at(MAP.left), x2=at(MAP.right), y="t:Q"),
        FRAME.mark_text(
            text=alt.expr("map_title"),
            fontSize=15,
            fontWeight="bold",
            color=text_colour(GREY),
            align="left",
            baseline="bottom",
        ).encode(x=at(MAP.left), y=at(f"{MAP.top} - {MAP.head}")),
        words(MAP.right, at(f"{MAP.top} - 14"), "time", RED, align="right"),
        words(MAP.right, at(f"{MAP.top} + 50"), "broken", RED, size=13, align="right"),
        *words_over_lines(
            MAP.right,
            at(f"{MAP.top} + (data('frame')[0].broken ? 68 : 50)"),
            "kept_front",
            size=13,
            align="right",
            lineBreak=alt.expr("narrow ? '\\n' : ''"),
        ),
    )


def specification(image: bool = False, large: bool = False) -> dict[str, Any]:
    """The constant Vega-Lite specification of the whole picture; its data come from `terms`.

    Args:
        image: draw map and gates inside, for a file; on the page they lie under the canvas.
        large: leave room for larger letters.

    Returns:
        dict without data.
    """
    layers = (
        (*_terms(drawing.hovering()), drawing.columns(TERMS, "half_column")),
        (*_sums(), drawing.columns(SUMS, "half_column")),
        _strips(image),
        (*_map(image), drawing.columns(LOWER, "column")),
    )
    said = "Terms of the gradient by lag, their running sum, the gates, the terms at all times; the text below says it."
    return drawing.specification(layers, LAYOUT | (LARGE if large else {}), HEIGHT, said)
