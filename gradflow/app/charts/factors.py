"""The two factors of every term, by lag: what is sent back, and what it meets."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREY, PURPLE, Domain, Tables
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.reading import number


def factors(measurement: Measurement, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(log ‖δ‖, log ‖z‖, log of the terms), by lag; where it is wanted, without the size of the error."""
    delta, other = measurement.lags.log_factors(**measurement.field)
    if relative(measurement, view):
        delta = delta - measurement.log_residual[measurement.t]
    return delta, other, delta + other


def relative(measurement: Measurement, view: View) -> bool:
    """Whether δ is divided by the size of the error: it is wanted, and there is one."""
    return view.relative and np.isfinite(measurement.log_residual[measurement.t])


def domain(measurement: Measurement, view: View) -> Domain:
    return base.decades(*factors(measurement, view))


OTHER = {"weight_hh": "‖h(s−1)‖", "weight_ih": "‖x(s)‖", "bias_ih": "1", "bias_hh": "1"}


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    delta, other, terms = factors(measurement, view)
    sent = "‖δ(t,s)‖ / ‖dC/dh‖" if relative(measurement, view) else "‖δ(t,s)‖"
    steps = len(measurement.cost)  # what is kept may be longer
    grey = [("", each[:steps], GREY, "thin") for each in factors(kept, view)[:2]] if kept else []
    curves = [
        *grey,
        ("their product, the term", terms, GREY, "dotted"),
        (f"{OTHER[measurement.field['weight']]}, read going forward", other, PURPLE, "dashed"),
        (f"{sent}, sent back", delta, BLUE, "solid"),
    ]
    back = base.steps_back(measurement)
    said = [
        f"lag {u} (step {back[u]}): {number(delta[u])} × {number(other[u])} = {number(terms[u])}"
        for u in range(len(delta))
    ]
    return line.tables(
        measurement,
        curves,
        domain,
        length=steps,
        title="What a term is made of",
        subtitle=f"{sent} times {OTHER[measurement.field['weight']]}, s = t−u",
        lit=min(view.lag, measurement.t),
        words=said,
        kept=kept,
        alarm=base.overflowed(measurement),
    )


def say(measurement: Measurement, view: View) -> str:
    """What the curves show, in a sentence with numbers."""
    delta, other, _ = factors(measurement, view)
    here = np.flatnonzero(np.isfinite(delta + other))
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    if here.size < 2:
        return "At this time fewer than two terms are there to be taken apart."
    first, last = here[0], here[-1]
    name = OTHER[measurement.field["weight"]].strip("‖") if other.any() else "the constant 1"
    return (
        f"From lag {first} to lag {last}, what is sent back goes from {number(delta[first])} to {number(delta[last])}; "
        f"what it meets, {name}, goes from {number(other[first])} to {number(other[last])}."
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    return line.specification("lag u (steps back)", "The two factors of each term by lag; the text below says it.")
