"""The sum at each time, as it is and by its error, beside three shapes."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.reading import in_words, number

RATE = np.log(1.1)  # of the exponential for comparison


def sums(measurement: Measurement) -> tuple[np.ndarray, np.ndarray]:
    """log ‖Σ‖ at each t, and the same by the size of the error it answers to, ‖dC(t)/dh(t)‖."""
    error = np.where(np.isfinite(measurement.log_residual), measurement.log_residual, np.nan)
    return measurement.log_sums, measurement.log_sums - error


def references(values: np.ndarray) -> dict[str, np.ndarray]:
    """Three shapes through the curve's level at a quarter of the horizon: name -> natural logs."""
    t = np.arange(len(values))
    start = len(t) // 4
    near = values[max(0, start - 2) : start + 3]
    level = np.median(near[np.isfinite(near)]) if np.isfinite(near).any() else np.nan
    return {
        "bounded": np.full(len(t), level),
        "linear": level + np.log((t + 1) / (start + 1)),
        "exponential, ×1.1": level + RATE * (t - start),
    }


def domain(measurement: Measurement, view: View) -> Domain:
    raw, values = sums(measurement)
    shapes = references(values)
    return base.decades(raw, values, shapes["bounded"], shapes["linear"])


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    raw, values = sums(measurement)
    grey = [("", sums(kept)[1][: len(values)], GREY, "thin")] if kept else []
    colours = (GREEN, ORANGE, RED)
    shapes = zip(references(values).items(), colours, ("dotted", "dashed", "dashed"), strict=True)
    inside = lambda logs: np.where(logs / np.log(10) <= domain[1] + 1e-9, logs, np.nan)
    curves = [
        *grey,
        ("‖sum‖ as it is", raw, PURPLE, "thin"),
        *((shape, inside(logs), colour, style) for (shape, logs), colour, style in shapes),
        ("‖sum‖ / ‖dC/dh‖", values, BLUE, "solid"),
    ]
    said = [f"t = {t}: sum {number(raw[t])}, divided by its error {number(value)}" for t, value in enumerate(values)]
    return line.tables(
        measurement,
        curves,
        domain,
        length=len(values),
        title="The gradient W gets at each time t",
        subtitle="orange: the chosen t; three shapes to compare with",
        lit=measurement.t,
        words=said,
        kept=kept,
        alarm=base.overflowed(measurement),
    )


def say(measurement: Measurement, view: View) -> str:
    """What the curve shows, in a sentence with numbers."""
    growth, (raw, values) = measurement.reading.growth_by_error, sums(measurement)
    here = np.flatnonzero(np.isfinite(values))
    if not here.size:
        return "There is no sum at any time."
    shape = f"it {in_words(growth)}" if growth.said else "no law can be told"
    return (
        f"Divided by the size of its error, the sum goes from {number(values[here[0]])} at t = {here[0]} to "
        f"{number(values[here[-1]])} at t = {here[-1]} (as it is, {number(raw[here[0]])} to {number(raw[here[-1]])}); "
        f"over the last three quarters, {shape.replace('settles', 'stays bounded')}."
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    said = "The size of the sum at each time, beside three shapes; the text below says it."
    return line.specification("time t", said)
