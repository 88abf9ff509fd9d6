"""The gradient of all costs together, Σ_t dC(t)/dW: what each lag gives to it, and what each copy of W."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREY, PURPLE, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.reading import number


def parts(measurement: Measurement) -> tuple[np.ndarray, np.ndarray, float]:
    """(log ‖Σ_t dC(t)/dW(t−u)‖ by u, log ‖Σ_t dC(t)/dW(s)‖ by s, log ‖Σ_t Σ_u‖)."""
    return measurement.total_by_lag, measurement.total_by_copy, measurement.log_total


def domain(measurement: Measurement, view: View) -> Domain:
    return base.decades(*(np.asarray(part) for part in parts(measurement)))


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    by_lag, by_copy, total = parts(measurement)
    steps = len(by_lag)
    grey = [("", each[:steps], GREY, "thin") for each in parts(kept)[:2]] if kept else []
    curves = [
        *grey,
        ("‖all of it‖", np.full(steps, total), GREY, "dotted"),
        ("by copy s of W: ‖Σ over t of dC(t)/dW(s)‖", by_copy, PURPLE, "dashed"),
        ("by lag u: ‖Σ over t of dC(t)/dW(t−u)‖", by_lag, BLUE, "solid"),
    ]
    return line.tables(
        measurement,
        curves,
        domain,
        length=steps,
        title="The gradient of all costs, Σ over t of dC(t)/dW",
        subtitle=_broken(measurement) or "what each lag gives to it, and what each copy",
        lit=min(view.lag, measurement.t),
        words=[f"lag {k}: {number(by_lag[k])}; copy of step {k}: {number(by_copy[k])}" for k in range(steps)],
        kept=kept,
        alarm=base.overflowed(measurement),
    )


def _broken(measurement):
    return "" if measurement.overflow is None else f"The forward pass overflowed at step {measurement.overflow}"


def say(measurement: Measurement, view: View) -> str:
    """What the curves show, in a sentence with numbers."""
    by_lag, by_copy, total = parts(measurement)
    if measurement.overflow is not None:
        return _broken(measurement) + "."
    lags, copies = (np.flatnonzero(np.isfinite(each)) for each in (by_lag, by_copy))
    if not lags.size or not copies.size:
        return "The gradient of all costs is zero."
    return (
        f"The gradient of all costs is {number(total)}. By lag it goes from {number(by_lag[lags[0]])} at lag {lags[0]} "
        f"to {number(by_lag[lags[-1]])} at lag {lags[-1]}; by copy it is largest, {number(by_copy.max())}, for that of "
        f"step {int(np.argmax(by_copy))}."
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    said = "What each lag and each copy gives to the gradient of all costs; the text below says it."
    return line.specification("lag u, or step s of the copy", said)
