"""Draws as dots: a row for each case, on an axis that the data bring along."""

from typing import Any

import altair as alt

from gradflow.app.charts.base import GREY
from gradflow.app.charts.specs import base
from gradflow.app.charts.specs.base import FRAME, at, text_colour, words

TOP, ROW = 44, 54  # px, over the first row, and of each row
LAYOUT = {
    "rows": "data('frame')[0].rows",
    "height": f"{TOP} + rows * {ROW} + 66",  # in place of the constant one
    "left": "10",
    "right": "width - 12",
    "bottom": f"{TOP} + rows * {ROW} + 4",
    "beside": "min(220, right / data('frame')[0].kinds)",  # px, from one kind's name to the next
    "shown": "isValid(hover.draw) && hover.draw[0] < length(data('dots')) ? hover.draw[0] : -1",
    "lit_words": "shown < 0 ? '' : data('dots')[shown].words",
    "lit_size": ("15", "13"),
}
DOT, MEDIAN, LABEL, KIND, TICK = base.marks("dots", "medians", "labels", "kinds", "ticks")


def spec() -> dict[str, Any]:
    """The constant specification; its data come from `charts.draws`."""
    across = alt.X(
        "x:Q",
        axis=None,
        scale=alt.Scale(domain=[0, 1], range=[alt.expr("left"), alt.expr("right")], nice=False, padding=0),
    )
    middle = f"{TOP} + {ROW} * datum.row + 34"
    colour, shape = alt.Color("color:N", scale=None), alt.Shape("shape:N", scale=None)
    hover = alt.selection_point(
        name="hover", fields=["draw"], nearest=True, on="pointerover, touchstart", clear="pointerout"
    )
    layers = (
        TICK.mark_rule(color=GREY, opacity=0.25).encode(across, y=at(f"{TOP}"), y2=at("bottom")),
        TICK.mark_text(
            fontSize=13, baseline="top", color=text_colour(GREY), align=alt.expr("datum.x == 1 ? 'right' : 'center'")
        ).encode(across, y=at("bottom + 7"), text="words:N"),
        FRAME.mark_rule(color=GREY, strokeWidth=2, strokeDash=[6, 4]).encode(
            alt.X("reference:Q", axis=None), y=at(f"{TOP}"), y2=at("bottom")
        ),
        MEDIAN.mark_rule(strokeWidth=3, color=GREY).encode(
            across, y=at(f"{middle} - 17"), y2=at(f"{middle} + 17"), color=colour
        ),
        DOT.mark_point(
            filled=True, opacity=0.75, tooltip=alt.expr("''"), size=alt.expr("datum.draw == shown ? 170 : 85")
        )
        .encode(across, y=at(f"{middle} + datum.offset"), color=colour, shape=shape)
        .add_params(hover),
        *(
            LABEL.mark_text(fontSize=14, fontWeight="bold", align="left", limit=alt.expr("right"), **how).encode(
                x=at("0"), y=at(f"{TOP} + {ROW} * datum.row + 8"), text="label:N"
            )
            for how in (base.HALO, {"color": text_colour(GREY)})
        ),
        words("0", at("8"), "title", align="left", limit=alt.expr("right")),
        KIND.mark_point(filled=True, opacity=1, size=85).encode(
            x=at("6 + beside * datum.k"), y=at("29"), color=colour, shape=shape
        ),
        KIND.mark_text(fontSize=13, fontWeight="bold", align="left", color=text_colour("datum.color")).encode(
            x=at("16 + beside * datum.k"), y=at("29"), text="kind:N"
        ),
        words("(left + right) / 2", at("bottom + 34"), "axis", size=14, limit=alt.expr("right")),
        base.read_out("bottom + 54"),
    )
    said = "Draws of weights as dots, a row for each case, with the median of each kind; the text beside it says it."
    return base.specification((layers,), LAYOUT, TOP + 6 * ROW + 66, said)
