"""Curves over lag, time, layers or steps on one logarithmic axis, each with its name on it."""

from typing import Any

import altair as alt

from gradflow.app.charts.line import STROKES, WIDTHS
from gradflow.app.charts.specs import base
from gradflow.app.charts.specs.base import LIGHT, WHOLE, WHOLE_HEIGHT, WHOLE_LAYOUT, at
from gradflow.app.lessons.clipping_bias import LIMITS
from gradflow.app.training import CHUNK

LAYOUT = {
    **WHOLE_LAYOUT,
    **{name: f"data('frame')[0].{name}" for name in ("low", "high", "horizon")},
    "column": "right / horizon",
    "legend_way": "data('frame')[0].legend_right ? -1 : 1",
    "legend_x": "legend_way < 0 ? right - 8 : 8",
    "legend_y": "data('frame')[0].legend_low ? bottom - 12 : top + 14",
    **LIGHT,
    "lit_words": "lit < 0 || lit >= length(data('columns')) ? '' : data('columns')[lit].words",
}
CURVE, NAME = base.marks("curves", "names")


def spec(x_title: str, description: str, x_axis: dict[str, Any] | None = None) -> dict[str, Any]:
    """The constant specification of curves over `x_title`."""
    scale = lambda values: alt.Scale(domain=list(range(len(STROKES))), range=values)
    colour = alt.Color("stroke:O", legend=None, scale=scale([colour for colour, _ in STROKES]))
    dashes = scale([base.DASHES.get(style, base.DASHES["solid"]) for _, style in STROKES])
    width = alt.expr(f"{[WIDTHS[style] for _, style in STROKES]}[datum.stroke]")
    how = {"color": colour, "strokeDash": alt.StrokeDash("stroke:O", legend=None, scale=dashes)}
    row = "legend_y + 20 * datum.row"
    layers = (
        base.log_panel(WHOLE, x_title=x_title, x_axis=x_axis).add_params(base.hovering()),
        base.light(WHOLE, "column"),
        CURVE.mark_line(strokeWidth=width, strokeJoin="round", invalid="break-paths-show-domains").encode(
            x="x:Q", y="y:Q", detail="curve:N", **how
        ),
        NAME.mark_rule(strokeWidth=width).encode(
            x=at("legend_x"), x2=at("legend_x + legend_way * 34"), y=at(row), **how
        ),
        *(
            NAME.mark_text(
                fontSize=alt.expr("lit_size"),
                fontWeight="bold",
                align=alt.expr("legend_way < 0 ? 'right' : 'left'"),
                **how,
            ).encode(x=at("legend_x + legend_way * 42"), y=at(row), text="name:N")
            for how in (base.HALO, {"color": base.text_colour(f"{[colour for colour, _ in STROKES]}[datum.stroke]")})
        ),
        *base.headings(),
        base.read_out("bottom + (narrow ? 64 : 48)"),
        base.columns(WHOLE, "column"),
    )
    return base.specification((layers,), LAYOUT, WHOLE_HEIGHT, description)


def factors_spec() -> dict[str, Any]:
    return spec("lag u (steps back)", "The two factors of each term by lag; the text below says it.")


def growth_spec() -> dict[str, Any]:
    return spec("time t", "The size of the sum at each time, beside three shapes; the text below says it.")


def truncation_spec() -> dict[str, Any]:
    return spec("lags kept", "The part of the gradient that truncation leaves out; the text beside it says it.")


def clipping_spec() -> dict[str, Any]:
    every = {"labelExpr": f"pow(2, datum.value / 2 - {len(LIMITS) // 4})", "tickMinStep": 2, "tickCount": 6}
    said = "What clipping changes in the mean gradient, by the limit; the text beside it says it."
    return spec("limit, in median lengths of a batch's gradient", said, every)


def layers_spec() -> dict[str, Any]:
    return spec("layers below the top", "The gradient of each layer of a net; the text under it says it.")


def learning_spec() -> dict[str, Any]:
    each = {"labelExpr": f"datum.value * {CHUNK}", "tickMinStep": 1, "tickCount": 6}
    return spec("step of training", "The loss of each network by step; the text beside it says it.", each)
