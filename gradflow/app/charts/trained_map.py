"""The map of one trained layer beside that of the same layer freshly drawn: how far each cost's error comes back."""

from functools import cache
from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import Panel, Tables
from gradflow.app.charts.heatmap import url_of
from gradflow.app.lessons.trained import LOWEST, map_of
from gradflow.app.palette import POWER, VIRIDIS
from gradflow.reading import number

SHOWN = ("trained", "drawn")
LOW = -7.0  # log10, of the palette


def relative(case: str) -> np.ndarray:
    """log ‖δ(t,t−u)‖ over the largest of its t, natural, f64[T, T]; NaN where u > t."""
    logs = map_of(LOWEST, case)
    return logs - np.nanmax(logs, axis=1, keepdims=True)


@cache
def data() -> Tables:
    """The numbers of the chart."""
    maps = {case: relative(case) for case in SHOWN}
    steps = len(maps["trained"])
    frame = {
        "title": "The encoder's layer 1: ‖δ(t,t−u)‖",
        "subtitle": "each row t by its largest; one voice",
        "corner": -0.5,
        "low": LOW,
        "high": 0.0,
        "horizon": steps,
    }
    return {
        "frame": base.frame_table(**frame),
        "maps": {"case": [*maps], "image": [url_of(logs, (LOW, 0)) for logs in maps.values()]},
    }


def say() -> str:
    """What is left of the error after a hundred steps back, at the last time, in a sentence."""
    left = {case: relative(case)[-1, 100] for case in SHOWN}
    return (
        f"At the last frame, 100 steps back, the error has {number(left['trained'])} of its largest size in the "
        f"trained layer, and {number(left['drawn'])} in the drawn one. A slanted stripe is one frame of the sound, as "
        "the later times come back to it."
    )


# ---------------------------------------------------------------------------------------------- specification

GAP, TOP, TALL = 62, 76, 170  # px: between the maps; of the maps; of each
HEIGHTS = TOP + TALL + 46, TOP + TALL + 92  # px, in a wide view, and in a narrow one with the legend under the maps
LAYOUT = {
    "narrow": ("false", "true"),
    "height": tuple(map(str, HEIGHTS)),  # in place of the constant one
    "zero": "0",
    "right": "width - 10",
    "top": str(TOP),
    "bottom": str(TOP + TALL),
    "width_of": f"(right - {GAP}) / 2",
    "left1": f"width_of + {GAP}",
    "horizon": "data('frame')[0].horizon",
}


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import FRAME, at, words

    panels = (
        Panel("trained: t", "zero", "width_of", "top", "bottom"),
        Panel("freshly drawn: t", "left1", "right", "top", "bottom"),
    )
    legend = alt.Legend(
        title=None,
        orient="none",
        direction="horizontal",
        legendX=alt.expr("narrow ? 0 : right - 200"),
        legendY=alt.expr("narrow ? bottom + 54 : top + 6"),
        gradientLength=190,
        gradientThickness=12,
        labelExpr=POWER,
        tickCount=3,
    )
    colours = alt.Scale(domain=[LOW, 0], range=list(VIRIDIS))
    (drawn,), groups = drawing.marks("maps"), []
    for panel, case in zip(panels, SHOWN, strict=True):
        scales = drawing.panel(panel, [alt.expr("horizon - 0.5"), -0.5], tickMinStep=1, tickCount=4, grid=False)
        image = drawing.image(drawn.transform_filter(f"datum.case == '{case}'"), panel, "image")
        keyed = case == SHOWN[-1]
        groups.append(
            (scales.encode(color=alt.Color("low:Q", scale=colours, legend=legend)) if keyed else scales, image)
        )
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    heading = (words("0", at("12"), "title", **plain), words("0", at("31"), "subtitle", size=13, **plain))
    described = "Two maps of the error by time and lag, of a trained layer and a drawn one; the text below says it."
    return drawing.specification((*groups, (FRAME.mark_point(opacity=0), *heading)), LAYOUT, max(HEIGHTS), described)
