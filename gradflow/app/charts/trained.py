"""What was measured of trained networks: each lag's share of the terms' total size, a panel for each layer."""

from functools import cache
from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, ORANGE, PURPLE, Panel, Tables, cut
from gradflow.app.lessons.trained import CASES, LAYERS, Measured, measured

LOW = -7  # log10 of the least share that is drawn
STYLES = {  # case -> colour, dashes, width in px, name
    "noise": (PURPLE, "dotted", 3, "trained, on white noise or random letters"),
    "drawn": (ORANGE, "dashed", 3, "freshly drawn, on speech or words"),
    "trained": (BLUE, "solid", 4, "trained, on speech or words"),
}


def by_lag(found: Measured) -> np.ndarray:
    """Log of each lag's share of the terms' total size, the median of the inputs, f64[T]; −inf at the last."""
    return np.median(found.log_terms - np.logaddexp.reduce(found.log_terms, axis=1, keepdims=True), axis=0)


@cache
def data() -> Tables:
    """The numbers of the chart."""
    curves: list[base.Table] = []
    said = []
    for panel, layer in enumerate(LAYERS):
        for case in STYLES:
            found = measured(layer, case)
            logs = by_lag(found)
            y = cut(np.where(logs / np.log(10) < LOW, -np.inf, logs), (LOW, 0))  # below, nothing is drawn
            numbers = {"panel": panel, "case": [*STYLES].index(case)}
            same = {name: np.full(len(y), value) for name, value in numbers.items()}
            curves.append({**same, "lag": np.arange(len(y)), "share": y})
            said.append(numbers | {"row": CASES.index(case), "words": _words(case, found)})
    return {
        "frame": base.frame_table(
            title="Each lag's share of the terms' size",
            subtitle="medians of eight inputs; lags that hold 90 %",
            corner=-0.5,
        ),
        "curves": base.joined(curves),
        "said": base.columns(said, *said[0]),
        "names": {"case": [0, 1, 2], "row": [2, 1, 0], "name": [name for *_, name in STYLES.values()]},
    }


def _words(case, found):
    return f"{case}: {np.median(found.memories):.0f} of {found.log_terms.shape[1]}"


def say() -> str:
    """How many lags hold 90 % of the terms' size, layer by layer, in a sentence."""
    told = []
    for layer, name in LAYERS.items():
        trained, drawn, noise = (measured(layer, case) for case in CASES)
        held = [f"{np.median(found.memories):.0f}" for found in (trained, drawn, noise)]
        told.append(f"{name}: {held[0]} of {trained.log_terms.shape[1]}, freshly drawn {held[1]}, on noise {held[2]}")
    return f"The nearest lags that hold 90 % of the terms' total size: {'; '.join(told)}."


# ---------------------------------------------------------------------------------------------- specification

GAP = 62  # px between panels, for the labels of their axes
ACROSS = 3, 2  # panels in a row, in a wide view and in a narrow one
TOP, TALL, BELOW = 76, 128, 78  # px: of the first row; of a panel; between two rows
ROWS = 2, 3  # likewise, and in a narrow view the names of the curves under them
UNDER = 46, 136  # px, under the last row
HEIGHTS = [TOP + rows * TALL + (rows - 1) * BELOW + under for rows, under in zip(ROWS, UNDER, strict=True)]


def _places():
    """Where each panel stands, and after them the names of the curves."""
    places: dict[str, Any] = {}
    for k in range(len(LAYERS) + 1):
        tops = [TOP + (k // across) * (TALL + BELOW) for across in ACROSS]
        places[f"top{k}"] = tuple(str(top) for top in tops)
        places[f"bottom{k}"] = tuple(str(top + TALL) for top in tops)
        places[f"left{k}"] = tuple(f"(width_of + {GAP}) * {k % across}" for across in ACROSS)
        places[f"right{k}"] = f"left{k} + width_of"
    return places


LAYOUT = {
    "narrow": ("false", "true"),
    "height": tuple(map(str, HEIGHTS)),  # in place of the constant one
    "right": "width - 10",
    "width_of": tuple(f"(right - {(across - 1) * GAP}) / {across}" for across in ACROSS),
    **_places(),
    "names_x": (f"left{len(LAYERS)} - 8", "0"),
    "names_y": (f"top{len(LAYERS)} + 12", f"height - {UNDER[1] - 66}"),
    "letters": ("13", "11"),
    "low": str(LOW),
    "high": "0",
}


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import FRAME, at, words

    curve, said, name = drawing.marks("curves", "said", "names")
    cases = [*range(len(STYLES))]
    scale = lambda values: alt.Scale(domain=cases, range=values)
    stroke = {
        "color": alt.Color("case:O", legend=None, scale=scale([colour for colour, *_ in STYLES.values()])),
        "strokeDash": alt.StrokeDash(
            "case:O", legend=None, scale=scale([drawing.DASHES[dashes] for _, dashes, *_ in STYLES.values()])
        ),
    }
    width = alt.expr(f"{[width for _, _, width, _ in STYLES.values()]}[datum.case]")
    ink = drawing.text_colour(f"{[colour for colour, *_ in STYLES.values()]}[datum.case]")
    groups: list[tuple[Any, ...]] = []
    for k, (layer, name_of) in enumerate(LAYERS.items()):
        steps = measured(layer, "trained").log_terms.shape[1]
        title = name_of.removeprefix("Speaker ").capitalize()
        panel = Panel(title, f"left{k}", f"right{k}", f"top{k}", f"bottom{k}")
        groups.append(
            (
                drawing.log_panel(panel, x_title="lag u (steps back)", x_end=f"{steps} - 0.5"),
                curve.transform_filter(f"datum.panel == {k}")
                .mark_line(strokeWidth=width, strokeCap="round", strokeJoin="round")
                .encode(x="lag:Q", y="share:Q", detail="case:N", **stroke),
            )
        )
    rights, bottoms = (", ".join(f"{edge}{k}" for k in range(len(LAYERS))) for edge in ("right", "bottom"))
    row = "names_y + 26 * datum.row"
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    letters = (
        FRAME.mark_point(opacity=0),
        *(
            said.mark_text(align="right", fontSize=alt.expr("letters"), fontWeight="bold", **how).encode(
                x=at(f"[{rights}][datum.panel] - 2"),
                y=at(f"[{bottoms}][datum.panel] - 44 + 17 * datum.row"),
                text="words:N",
            )
            for how in (drawing.HALO, {"color": ink})
        ),
        name.mark_rule(strokeWidth=width).encode(x=at("names_x"), x2=at("names_x + 34"), y=at(row), **stroke),
        name.mark_text(align="left", fontSize=13, fontWeight="bold", color=ink, limit=alt.expr("right - 42")).encode(
            x=at("names_x + 42"), y=at(row), text="name:N"
        ),
        words("0", at("12"), "title", **plain),
        words("0", at("31"), "subtitle", size=13, **plain),
    )
    described = "Each lag's share of the terms' total size, for each layer of three networks; the text below says it."
    return drawing.specification((*groups, letters), LAYOUT, max(HEIGHTS), described)
