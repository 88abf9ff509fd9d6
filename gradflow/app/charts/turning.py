"""Terms that turn, put end to end: two linear units whose weights keep every length, a rotation and a reflection."""

from itertools import pairwise
from typing import Any

import numpy as np

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREY, ORANGE, WHOLE_LAYOUT, Tables
from gradflow.app.measurement import Measurement

TERMS = 14  # that are put end to end
SIDES = ("rotation", "reflection")


def path(measurement: Measurement) -> np.ndarray:
    """Where the terms of the bias of two units end, put end to end, in units of the error at t: f64[TERMS + 1, 2].

    path[k] = Σ_{u<k} dC(t)/db(t−u) / ‖dC(t)/dh(t)‖
    """
    entries = [measurement.lags.entry("bias_hh", row, None) for row in range(2)]
    terms = [sign[:TERMS] * np.exp(log[:TERMS] - measurement.log_residual[measurement.t]) for sign, log in entries]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(np.transpose(terms), axis=0)])


def data(rotation: Measurement, reflection: Measurement) -> Tables:
    """The numbers of the chart: "steps", one per term, with the place before it, on one scale for both sides."""
    paths = [path(each) for each in (rotation, reflection)]
    middles = [(each.min(0) + each.max(0)) / 2 for each in paths]
    reach = 0.55 * max(np.ptp(each, axis=0).max() for each in paths)
    steps, sums = [], []
    for side, (each, middle) in enumerate(zip(paths, middles, strict=True)):
        places = ((each - middle) / reach).tolist()
        lines = [*pairwise(places), (places[0], places[-1])]
        drawn = [{"side": side, "x": x, "y": y, "x2": x2, "y2": y2} for (x, y), (x2, y2) in lines]
        steps += drawn[:-1]
        sums += drawn[-1:]
    frame = {
        "title": f"The nearest {TERMS} terms of the bias, put end to end",
        "subtitle": "each as long as the error at t; orange: their sum",
        **{side: f"{side}: sum {_length(each[-1])}" for side, each in zip(SIDES, paths, strict=True)},
    }
    return {
        "frame": base.frame_table(**frame),
        "steps": base.columns(steps, *steps[0]),
        "sums": base.columns(sums, *sums[0]),
    }


def _length(vector):
    return f"{np.linalg.norm(vector):.3g}"


def say(rotation: Measurement, reflection: Measurement) -> str:
    """What the paths show, in two sentences with numbers."""
    turned, run = (path(each) for each in (rotation, reflection))
    furthest = np.linalg.norm(turned, axis=1).max()
    return (
        f"Put end to end, {TERMS} terms that a rotation turns go round and come back: they are never further than "
        f"{furthest:.3g} terms from where they began, and end {_length(turned[-1])} away. Under a reflection what lies "
        f"along one direction is not turned, and the same {TERMS} terms end {_length(run[-1])} away."
    )


HEIGHT = 330  # px
LAYOUT = {
    **WHOLE_LAYOUT,
    "bottom": "315",
    "half": "min(115, right / 4 - 12)",  # px, of `reach`
    "middle": "175",
}


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    import altair as alt

    from gradflow.app.charts import drawing
    from gradflow.app.charts.drawing import at, words

    step, total = drawing.marks("steps", "sums")
    across = lambda x: at(f"right * (0.25 + 0.5 * datum.side) + half * datum.{x}")
    down = lambda y: at(f"middle - half * datum.{y}")
    ends = {"x": across("x"), "x2": across("x2"), "y": down("y"), "y2": down("y2")}
    plain: dict[str, Any] = {"align": "left", "limit": alt.expr("right")}
    layers = (
        total.mark_rule(color=ORANGE, strokeWidth=5, strokeCap="round").encode(**ends),
        step.mark_rule(color=BLUE, strokeWidth=2.5).encode(**ends),
        step.mark_point(filled=True, opacity=1, color=BLUE, size=36).encode(x=across("x2"), y=down("y2")),
        total.mark_point(filled=True, opacity=1, color=GREY, size=120).encode(x=across("x"), y=down("y")),
        *(
            words(f"right * {0.25 + 0.5 * k}", at("bottom"), side, size=13, limit=alt.expr("right / 2 - 8"))
            for k, side in enumerate(SIDES)
        ),
        words("0", at("16"), "title", **plain),
        words("0", at("35"), "subtitle", size=13, **plain),
    )
    said = "Terms put end to end: a rotation takes them round, a reflection on and on; the text below says it."
    return drawing.specification((layers,), LAYOUT, HEIGHT, said)
