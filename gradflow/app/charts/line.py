"""Curves over lag, time, layers or steps on one logarithmic axis, each with its name on it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import (
    BLUE,
    GREEN,
    GREY,
    LIGHT,
    ORANGE,
    PURPLE,
    RED,
    WHOLE,
    WHOLE_HEIGHT,
    WHOLE_LAYOUT,
    Domain,
    Tables,
    cut,
)
from gradflow.app.measurement import Measurement

WIDTHS = {"solid": 4, "dashed": 3, "dotted": 3, "thin": 2}  # px; colour is never alone
Curve = tuple[str, np.ndarray, str, str]  # name, natural logs, colour, style
SHAPES = ("circle", "diamond")  # of points that no line joins: what lies between them is not known
COLOURS = (BLUE, ORANGE, GREY, RED, GREEN, PURPLE)
STROKES = tuple((colour, style) for style in WIDTHS for colour in COLOURS)
POINTS = tuple((colour, shape) for shape in SHAPES for colour in COLOURS)


def tables(
    measurement: Measurement | None,
    curves: Sequence[Curve],
    domain: Domain,
    *,
    length: int,
    title: str,
    subtitle: str,
    lit: int,
    words: Sequence[str],
    kept: Measurement | None = None,
    alarm: str = "",
) -> Tables:
    """The data of `specification`.

    Args:
        measurement: what it is drawn of.
        curves: (name, natural logs f[length], colour, style) each; one without a name is not labelled. With a style of
            `SHAPES`, for a specification with points, what is not NaN is a point.
        domain: (low, high) in log10.
        length: steps on the x axis.
        title: what is drawn.
        subtitle: how to read it.
        lit: the index that is lit, or −1.
        words: what the read-out says of each index.
        kept: the measurement in grey, or None.
        alarm: a sentence, where there is nothing to draw.
    """
    parts: dict[str, list[base.Table]] = {"curves": [], "points": []}
    strokes = [(STROKES + POINTS).index((colour, style)) for _, _, colour, style in curves]
    for k, (_, logs, _, style) in enumerate(curves):
        y = cut(logs, domain)
        of, shown = ("points", np.isfinite(y)) if style in SHAPES else ("curves", slice(None))
        part = {"x": np.arange(len(y)), "y": y, "curve": np.full(len(y), k), "stroke": np.full(len(y), strokes[k])}
        parts[of].append({name: values[shown] for name, values in part.items()})
    # the topmost curve first
    legend = {name: stroke for (name, *_), stroke in zip(curves[::-1], strokes[::-1], strict=True) if name}
    lines = [_along(logs) if style in SHAPES else logs for _, logs, _, style in curves]
    right, low = base.free_corner(lines, domain, 0.07 * (len(legend) + 0.5))
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": length,
        "corner": -0.5,
        "lit": lit,
        "title": title,
        "subtitle": subtitle,
        "alarm": alarm,
        "legend_right": right,
        "legend_low": low,
        "kept": base.kept_words(measurement, kept),
    }
    rows = np.arange(len(legend)) - (len(legend) - 1 if low else 0)  # away from the corner
    return {
        "frame": base.frame_table(**frame),
        **{name: base.joined(each) for name, each in parts.items() if each},
        "names": {"row": rows, "name": [*legend], "stroke": [*legend.values()]},
        "columns": {"lag": np.arange(len(words)), "words": [*words]},
    }


def _along(logs):
    """What a line through points would be, which is where no legend should stand: one that hides a point hides much."""
    at = np.flatnonzero(np.isfinite(logs))
    return np.interp(np.arange(len(logs)), at, logs[at], right=np.nan) if at.size else logs


def plain(values: np.ndarray) -> np.ndarray:
    """Plain numbers as `tables` takes them, natural logs: y such that log10 eʸ is the number; for a plain axis."""
    return np.asarray(values, float) * np.log(10)


# ---------------------------------------------------------------------------------------------- specification

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


def specification(
    x_title: str, description: str, x_axis: dict[str, Any] | None = None, plain_axis: bool = False, points: bool = False
) -> dict[str, Any]:
    """The constant specification of curves over `x_title`; plain_axis: of shares, in per cent; points: some apart."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import at

    curve, point, name = drawing.marks("curves", "points", "names")
    strokes = STROKES + POINTS if points else STROKES
    scale = lambda values: alt.Scale(domain=list(range(len(strokes))), range=values)
    colour = alt.Color("stroke:O", legend=None, scale=scale([colour for colour, _ in strokes]))
    dashes = scale([drawing.DASHES.get(style, drawing.DASHES["solid"]) for _, style in strokes])
    width = alt.expr(f"{[WIDTHS.get(style, 0) for _, style in strokes]}[datum.stroke]")
    how = {"color": colour, "strokeDash": alt.StrokeDash("stroke:O", legend=None, scale=dashes)}
    row = "legend_y + 20 * datum.row"
    shape = alt.expr(f"{[style if style in SHAPES else '' for _, style in strokes]}[datum.stroke]")
    dot: dict[str, Any] = {"filled": True, "opacity": 1, "shape": shape}
    dots = (
        (
            point.mark_point(size=90, **dot).encode(x="x:Q", y="y:Q", color=colour),
            name.mark_point(size=alt.expr(f"datum.stroke < {len(STROKES)} ? 0 : 90"), **dot).encode(
                x=at("legend_x + legend_way * 17"), y=at(row), color=colour
            ),
        )
        if points
        else ()
    )
    shares: dict[str, Any] = {"labelExpr": "100 * datum.value + ' %'", "tickCount": 5, "grid": True}
    scales = (
        drawing.panel(WHOLE, [alt.expr("low"), alt.expr("high")], x_title, x_axis=x_axis, **shares)
        if plain_axis
        else drawing.log_panel(WHOLE, x_title=x_title, x_axis=x_axis)
    )
    layers = (
        scales.add_params(drawing.hovering()),
        drawing.light(WHOLE, "column"),
        curve.mark_line(strokeWidth=width, strokeJoin="round", invalid="break-paths-show-domains").encode(
            x="x:Q", y="y:Q", detail="curve:N", **how
        ),
        name.mark_rule(strokeWidth=width).encode(
            x=at("legend_x"), x2=at("legend_x + legend_way * 34"), y=at(row), **how
        ),
        *dots,
        *(
            name.mark_text(
                fontSize=alt.expr("lit_size"),
                fontWeight="bold",
                align=alt.expr("legend_way < 0 ? 'right' : 'left'"),
                **how,
            ).encode(x=at("legend_x + legend_way * 42"), y=at(row), text="name:N")
            for how in (
                drawing.HALO,
                {"color": drawing.text_colour(f"{[colour for colour, _ in strokes]}[datum.stroke]")},
            )
        ),
        *drawing.headings(),
        drawing.read_out("bottom + (narrow ? 64 : 48)"),
        drawing.columns(WHOLE, "column"),
    )
    return drawing.specification((layers,), LAYOUT, WHOLE_HEIGHT, description)
