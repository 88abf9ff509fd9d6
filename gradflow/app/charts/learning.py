"""The loss while networks learn to recall, beside the loss of knowing nothing."""

from typing import Any

import numpy as np

from gradflow.app.charts import line
from gradflow.app.charts.base import BLUE, GREEN, GREY, ORANGE, PURPLE, Tables

LOWEST = -3  # log10 of the loss at the foot
STYLES = (  # of the networks, in their order: where two have the same loss, both are seen
    (ORANGE, "solid"),
    (BLUE, "dashed"),
    (GREEN, "dotted"),
    (PURPLE, "thin"),
)


def data(losses: dict[str, np.ndarray], chance: float, points: int) -> Tables:
    """The numbers of the chart.

    Args:
        losses: name -> mean losses, one after each point so far; NaN where a network has blown up.
        chance: the loss of always saying nothing.
        points: of a whole training.
    """
    logs = lambda values: np.log(np.maximum(np.asarray(values, float), 1e-30))
    drawn = [("chance", logs([chance] * points), GREY, "thin")]
    for (name, values), (colour, style) in zip(losses.items(), STYLES, strict=False):
        drawn.append((name, logs(values), colour, style))
    return line.tables(
        None,
        drawn,
        (LOWEST, 0),
        length=points,
        title="Learning to recall: the loss",
        subtitle="mean of each 25 steps, on sequences not seen before",
        lit=-1,
        words=[],
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    from gradflow.app.training import CHUNK

    each = {"labelExpr": f"datum.value * {CHUNK}", "tickMinStep": 1, "tickCount": 6}
    return line.specification("step of training", "The loss of each network by step; the text beside it says it.", each)
