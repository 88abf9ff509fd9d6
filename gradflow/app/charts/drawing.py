"""What the specifications share: panels inside one view, words in it, the light on one lag.

A panel is a pair of scales whose ranges are expressions of the view's width, so one view holds several panels.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

from gradflow.app.charts.base import (
    BACKGROUNDS,
    GREY,
    GRIDS,
    HIGHLIGHT_OPACITY,
    NARROW_WIDTH,
    ORANGE,
    RED,
    TEXT_COLOURS,
    Panel,
)
from gradflow.app.palette import POWER

DASHES = {"solid": [1, 0], "dashed": [8, 4], "dotted": [2, 4]}
MARGIN = 50  # px, left of every panel, before it is `enlarged`


class Marks(alt.Chart):
    """Altair's chart, which names the class of each channel itself: Altair would search its whole schema, 5 ms each."""

    def encode(self, *channels: Any, **named: Any) -> "Marks":
        return super().encode(*channels, **{name: _channel(name, value) for name, value in named.items()})


def _channel(name, value):
    kind = name[0].upper() + name[1:]
    if isinstance(value, str):
        return getattr(alt, kind)(value)
    return getattr(alt, f"{kind}Value")(**value) if isinstance(value, dict) and "value" in value else value


def marks(*datasets: str) -> list[Marks]:
    """One chart for each dataset, by its name."""
    return [Marks(alt.Data(name=name)) for name in datasets]


FRAME, COLUMN = marks("frame", "columns")  # one row for the whole view; one row a lag, for the pointer


def at(expression: str) -> Any:
    """A place in pixels, an expression of the view's width."""
    return alt.value(alt.expr(expression))


def text_colour(colour: str) -> Any:
    """The colour of letters, for one of `TEXT_COLOURS` or an expression that names one."""
    return alt.expr(f"inks['{colour}']" if colour in TEXT_COLOURS else f"inks[{colour}]")


HALO: dict[str, Any] = {
    "style": "halo"
}  # of a text that is drawn twice: it keeps lines behind it from striking it through


def panel(
    panel: Panel,
    domain: list,
    x_title: str | None = "lag u (steps back)",
    x_end: str = "horizon - 0.5",
    x_axis: dict[str, Any] | None = None,
    **y_axis: Any,
) -> Marks:
    """The scales and axes of a panel; the layers above it only name fields. Without an `x_title` no x axis."""
    x = alt.X(
        "corner:Q",
        scale=alt.Scale(
            range=[alt.expr(panel.left), alt.expr(panel.right)], domain=[-0.5, alt.expr(x_end)], nice=False, padding=0
        ),
        axis=alt.Axis(
            title=x_title,
            orient="bottom",
            offset=alt.expr(f"{panel.bottom} - height"),
            grid=False,
            ticks=True,
            **(x_axis or {"tickMinStep": 1, "tickCount": 6}),
        )
        if x_title
        else None,
    )
    y = alt.Y(
        "corner:Q",
        scale=alt.Scale(range=[alt.expr(panel.bottom), alt.expr(panel.top)], domain=domain, nice=False),
        axis=alt.Axis(
            title=panel.title,
            orient="left",
            offset=alt.expr(f"-{panel.left}"),
            minExtent=MARGIN,  # the panels stay where they are when a label grows
            maxExtent=MARGIN,
            labelFlush=False,
            titleAngle=0,
            titleAlign="left",
            titleBaseline="bottom",
            titleX=0,
            titleY=alt.expr(f"{panel.top} - {panel.head}"),
            **y_axis,
        ),
    )
    return FRAME.mark_point(opacity=0).encode(x, y)


def log_panel(where: Panel, **how: Any) -> Marks:
    """A panel over the frame's decades."""
    domain = [alt.expr("low"), alt.expr("high")]
    return panel(where, domain, labelExpr=POWER, tickMinStep=1, tickCount=5, grid=True, **how)


def words(x: str, y: Any, field: str, colour: str = GREY, size: int = 15, **mark: Any) -> Marks:
    """A text of the frame."""
    mark = ({} if "style" in mark else {"color": text_colour(colour)}) | {"fontSize": size, "fontWeight": "bold"} | mark
    return FRAME.mark_text(**mark).encode(x=at(x), y=y, text=f"{field}:N")


def words_over_lines(x: str, y: Any, field: str, colour: str = GREY, size: int = 15, **mark: Any) -> tuple[Marks, ...]:
    """(halo, text): a text of the frame that lines may pass behind."""
    return tuple(words(x, y, field, colour, size, **mark, **how) for how in (HALO, {}))


def headings() -> tuple[Marks, ...]:
    """Over a `WHOLE` panel the frame's title, its subtitle and what is kept; none may be wider than the view."""
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    beside: dict[str, Any] = {
        "align": alt.expr("narrow ? 'left' : 'right'"),
        "limit": alt.expr("narrow ? right : right - 300"),
    }
    return (
        words("0", at("16"), "title", **plain),
        words("0", at("35"), "subtitle", size=13, **plain),
        words("narrow ? 0 : right", at("narrow ? 54 : 16"), "kept", size=13, **beside),
        *words_over_lines("6", at("(top + bottom) / 2"), "alarm", RED, **plain),
    )


def image(source: Marks, where: Panel, field: str) -> Marks:
    """The image of a field, a URL, that fills a panel."""
    return source.mark_image(
        width=alt.expr(f"{where.right} - {where.left}"),
        height=alt.expr(f"{where.bottom} - {where.top}"),
        align="left",
        baseline="top",
        aspect=False,
        smooth=False,
    ).encode(x=at(where.left), y=at(where.top), url=f"{field}:N")


def read_out(y: str) -> Marks:
    """The words of what is lit, at the right."""
    return FRAME.mark_text(
        text=alt.expr("lit_words"),
        fontSize=alt.expr("lit_size"),
        fontWeight="bold",
        align="right",
        color=text_colour(ORANGE),
        limit=alt.expr("right"),
    ).encode(x=at("right"), y=at(y))


def light(where: Panel, width: str, seen: str = "lit >= 0") -> Marks:
    """The light on the lit lag, which lies under all letters."""
    middle, half = f"{where.left} + (max(lit, 0) + 0.5) * {width}", f"max(1, {width} / 2)"
    return FRAME.mark_rect(color=ORANGE, opacity=alt.expr(f"{seen} ? {HIGHLIGHT_OPACITY} : 0")).encode(
        x=at(f"{middle} - {half}"), x2=at(f"{middle} + {half}"), y=at(where.top), y2=at(where.bottom)
    )


def columns(where: Panel, width: str) -> Marks:
    """What the pointer or the finger meets: one invisible column per lag."""
    # Vega-Lite lets the pointer pass through a mark without a tooltip; this one is empty and shows nothing.
    how: dict[str, Any] = {"width": alt.expr(width), "fillOpacity": 0, "tooltip": alt.expr("''")}
    return COLUMN.mark_bar(orient="vertical", **how).encode(x="lag:Q", y=at(where.top), y2=at(where.bottom))


def hovering() -> alt.Parameter:
    """The selection that follows the pointer or a finger from lag to lag, without a message to the server."""
    touched = "pointerover, touchstart, touchend"
    return alt.selection_point(name="hover", fields=["lag"], on=touched, clear="pointerout")


def specification(
    layers: Sequence[Sequence[Any]], signals: dict[str, Any], height: int, description: str
) -> dict[str, Any]:
    """The constant Vega-Lite specification of layers in one view, as a dict without data.

    Args:
        layers: groups of layers; a group shares its scales.
        signals: name -> expression, or (in a wide view, in a narrow one).
        height: px.
        description: what it shows, for those who do not see it.
    """
    grey, paper = {"expr": f"inks['{GREY}']"}, {"expr": "paper"}
    dark, light = ({colour: inks[k] for colour, inks in TEXT_COLOURS.items()} for k in (1, 0))
    signals = {
        "inks": f"data('frame')[0].dark ? {dark} : {light}",
        "paper": f"data('frame')[0].dark ? '{BACKGROUNDS[1]}' : '{BACKGROUNDS[0]}'",
        "grid": f"data('frame')[0].dark ? '{GRIDS[1]}' : '{GRIDS[0]}'",
        **signals,
    }
    params = [
        {"name": name, "expr": where if isinstance(where, str) else f"width < {NARROW_WIDTH} ? {where[1]} : {where[0]}"}
        for name, where in signals.items()
    ]
    # What Altair would copy the whole chart for is added to the dict; that it is valid is for the tests to say.
    chart = alt.layer(*(alt.layer(*group) for group in layers)).to_dict(validate=False)
    return {
        "layer": chart["layer"],
        "params": [*chart.get("params", ()), *params],
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "height": height,
        "description": description,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "background": "transparent",  # for the map that lies under it
        "padding": {"left": 2, "right": 2, "top": 2, "bottom": 2},
        "config": {
            "axis": {
                "labelColor": grey,
                "titleColor": grey,
                "labelFontSize": 13,
                "titleFontSize": 14,
                "labelFontWeight": "normal",
                "labelPadding": 6,
                "titlePadding": 4,
                "titleFontWeight": "normal",
                "gridColor": {"expr": "grid"},
                "domain": False,
                "ticks": False,
                "labelBound": False,
                "labelFlush": True,
                "labelFlushOffset": 1,
                "labelLimit": 100,
                "labelOverlap": True,
                "labelSeparation": 4,
            },
            "axisY": {"titleFontWeight": "bold", "titleFontSize": 15},
            "legend": {"labelColor": grey, "labelFontSize": 13},
            "view": {"stroke": None},
            "style": {"halo": {"color": paper, "stroke": paper, "strokeWidth": 4, "strokeJoin": "round"}},
            "mark": {
                "aria": False,
                "tooltip": {"content": "encoding"},
            },  # a canvas has none, and it costs a string per mark
        },
        "usermeta": {"embedOptions": {"renderer": "canvas"}},
    }


def enlarged(spec: Any, by: float = 1.25) -> Any:
    """The same specification with larger letters, to be read from the back row."""
    if isinstance(spec, list):
        return [enlarged(each, by) for each in spec]
    if not isinstance(spec, dict):
        return spec
    grows = lambda key: key.endswith(("ontSize", "Extent"))
    return {key: _larger(value, by) if grows(key) else enlarged(value, by) for key, value in spec.items()}


def _larger(size, by):
    return {"expr": f"{by} * ({size['expr']})"} if isinstance(size, dict) else by * size
