"""How much of the terms' total size lies at a lag or further back: the credit, and how far it reaches."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREY, ORANGE, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.reading import REACH, share


def domain(measurement: Measurement, view: View) -> Domain:
    return 0.0, 1.0


def _held(measurement):
    """The share from each lag on, f[t+1]; NaN where the forward pass overflowed, 0 where there is no term."""
    with np.errstate(invalid="ignore"):
        return share(measurement.log_row)


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    held, steps = _held(measurement), len(measurement.cost)
    grey = [("", _held(kept)[:steps], GREY, "thin")] if kept else []
    curves = [*grey, ("a tenth", np.full(len(held), 1 - REACH), ORANGE, "dotted"), ("the terms", held, BLUE, "solid")]
    back = base.steps_back(measurement)
    return line.tables(
        measurement,
        [(name, line.plain(values), colour, style) for name, values, colour, style in curves],
        domain,
        length=steps,
        title="How far back the terms reach",
        subtitle="share of the terms' sizes (no signs) from lag u on",
        lit=min(view.lag, measurement.t),
        words=[f"from lag {u} (step {back[u]}) on: {percent(part)}" for u, part in enumerate(held)],
        kept=kept,
        alarm=base.overflowed(measurement),
    )


def percent(part: float) -> str:
    """A share as text: "12.3 %", "0.00312 %"."""
    return f"{100 * part:.3g} %"


def say(measurement: Measurement, view: View) -> str:
    """What the curve shows, in a sentence with numbers."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    reading = measurement.reading
    if not np.isfinite(measurement.log_row).any():
        return f"At t = {measurement.t} there is no term that is not zero."
    return (
        f"At t = {measurement.t} the nearest {reading.memory} lags hold 90 % of the terms' total size; the lags from "
        f"{(measurement.t + 1) // 2} on hold {percent(reading.far_share)}."
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    said = "The share of the terms' size from each lag on; the text below says it."
    return line.specification("lag u (steps back)", said, plain_axis=True)
