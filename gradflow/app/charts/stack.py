"""The terms of every layer of a network, on one scale."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Tables
from gradflow.reading import number

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED)
Rows = dict[str, np.ndarray]  # name of a layer -> natural logs of its terms at one t by lag, f64[t+1]


def data(rows: Rows, grey: Rows, called: str, t: int, labels: Sequence[str]) -> Tables:
    """The numbers of the chart.

    Args:
        rows: of the recorded layers.
        grey: of another network, in grey; empty: not shown.
        called: what that is.
        t: the time.
        labels: what each of the T steps of the lag axis read, "" where it has no name.
    """
    styles = [(colour, style) for style in ("solid", "dashed", "dotted") for colour in COLOURS]
    others = [(called if k == 0 else "", row, GREY, "thin") for k, row in enumerate(grey.values())]
    own = [(name, row, *styles[k % len(styles)]) for k, (name, row) in enumerate(rows.items())]
    steps = [f"{t - u} {labels[t - u]}".strip() for u in range(t + 1)]
    by_layer = ["; ".join(f"{name} {number(row[u])}" for name, row in rows.items()) for u in range(t + 1)]
    told = [f"lag {u} (step {step}): {each}" for u, (step, each) in enumerate(zip(steps, by_layer, strict=True))]
    return line.tables(
        None,
        [*others, *own],
        base.decades(*rows.values(), *grey.values()),
        length=len(labels),
        title="The terms of every layer, on one scale",
        subtitle=f"‖dC(t)/dW(t−u)‖ at t = {t}",
        lit=-1,
        words=told,
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    return line.specification("lag u (steps back)", "The terms of every layer by lag; the table below says it.")
