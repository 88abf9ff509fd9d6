"""The waterfall: the sum, one term after the other."""

from typing import Any

import altair as alt

from gradflow.app.charts.base import GREY
from gradflow.app.charts.specs import base
from gradflow.app.charts.specs.base import FRAME, WHOLE, WHOLE_HEIGHT, WHOLE_LAYOUT, at
from gradflow.app.charts.waterfall import FIRST

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
BAR, LINK = base.marks("bars", "links")


def spec(large: bool = False) -> dict[str, Any]:
    """The constant Vega-Lite specification; large: for larger letters."""
    panel = base.panel(
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
        base.light(WHOLE, "column"),
        FRAME.mark_rule(color=GREY, strokeWidth=1.5).encode(x=at("0"), x2=at("right"), y=alt.datum(0)),
        LINK.mark_rule(color=GREY, strokeDash=[2, 2]).encode(x="x:Q", x2="x2", y="y:Q"),
        BAR.mark_bar(orient="vertical", width=alt.expr("bar"), opacity=0.9).encode(
            x="x:Q", y="start:Q", y2="stop", color=colour
        ),
        BAR.mark_rule(color=GREY, strokeWidth=4).encode(x="left:Q", x2="right", y="kept:Q"),
        *(
            BAR.mark_text(
                fontSize=13,
                fontWeight="bold",
                angle=alt.expr("upright ? -90 : 0"),
                align=alt.expr("upright ? (datum.down ? 'right' : 'left') : 'center'"),
                baseline=alt.expr("upright ? 'middle' : datum.down ? 'top' : 'bottom'"),
                yOffset=alt.expr("datum.down ? 5 : -5"),
                **how,
            ).encode(x="x:Q", y="label:Q", text="words:N")
            for how in (base.HALO, {"color": base.text_colour("datum.color")})
        ),
        BAR.mark_text(
            fontSize=13,
            angle=alt.expr("narrow ? -60 : 0"),
            align=alt.expr("narrow ? 'right' : 'center'"),
            baseline=alt.expr("narrow ? 'middle' : 'top'"),
            color=base.text_colour(GREY),
        ).encode(x="x:Q", y=at("bottom + 10"), text="name:N"),
        *base.headings(),
        BAR.mark_bar(orient="vertical", width=alt.expr("column"), fillOpacity=0, tooltip=alt.expr("datum.said")).encode(
            x="x:Q", y=at("top"), y2=at("bottom")
        ),
    )
    return base.specification(
        (layers,), LAYOUT | (LARGE if large else {}), WHOLE_HEIGHT, "The sum, term by term; the text below says it."
    )
