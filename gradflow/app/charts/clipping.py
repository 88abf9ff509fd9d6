"""What clipping each batch by norm changes in the mean step, by the limit, where nothing explodes and where some do."""

from functools import cache
from typing import Any

import numpy as np

from gradflow.app.charts import line
from gradflow.app.charts.base import BLUE, RED, Tables
from gradflow.app.lessons.clipping_bias import LIMITS, clipping_curve
from gradflow.app.lessons.evidence import plain

STYLES = {1.0: (BLUE, "solid"), 8.0: (RED, "dashed")}  # of each gain


@cache
def data() -> Tables:
    found = {gain: clipping_curve(gain) for gain in STYLES}  # gain -> (log of what is changed, cosine), by limit
    drawn = [(f"gain {gain:g}", found[gain][0], *style) for gain, style in STYLES.items()]
    words = [
        f"limit ×{plain(limit)}: "
        + "; ".join(
            f"gain {gain:g} ‖change‖ {plain(np.exp(log[k]))}, cosine {plain(cosine[k])}"
            for gain, (log, cosine) in found.items()
        )
        for k, limit in enumerate(LIMITS)
    ]
    return line.tables(
        None,
        drawn,
        (-2, 0),
        length=len(LIMITS),
        title="What clipping changes in the mean step",
        subtitle="‖change‖ / ‖mean of 16 batches‖, medians of 8",
        lit=-1,
        words=words,
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    every = {"labelExpr": f"pow(2, datum.value / 2 - {len(LIMITS) // 4})", "tickMinStep": 2, "tickCount": 6}
    said = "What clipping changes in the mean gradient, by the limit; the text beside it says it."
    return line.specification("limit, in median lengths of a batch's gradient", said, every)
