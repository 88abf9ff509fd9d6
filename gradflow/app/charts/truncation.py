"""What truncated backpropagation through time leaves out, by the lag at which it stops."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREY, Tables
from gradflow.app.measurement import Measurement
from gradflow.reading import number


def data(measurement: Measurement) -> Tables:
    logs = measurement.log_missing
    drawn = [("all of it", np.zeros(len(logs)), GREY, "dotted"), ("what is left out", logs, BLUE, "solid")]
    return line.tables(
        measurement,
        drawn,
        base.decades(logs),
        length=len(logs),
        title="What truncation leaves out of the gradient",
        subtitle="‖missing terms‖ / ‖whole gradient‖, by the lags that are kept",
        lit=-1,
        words=[f"{k} lags kept: {number(log)} is missing" for k, log in enumerate(logs)],
        alarm=base.overflowed(measurement),
    )


def say(measurement: Measurement) -> str:
    """What is missing after a few numbers of lags, in a sentence."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    logs = measurement.log_missing
    told = [f"{number(logs[k])} with {k} lags" for k in (5, 10, 20, 50) if k < len(logs) - 1]
    if not told:
        return "There is nothing to truncate."
    return f"What is missing of the gradient at t = {measurement.t}, going back a few lags only: {', '.join(told)}."


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    said = "The part of the gradient that truncation leaves out; the text beside it says it."
    return line.specification("lags kept", said)
