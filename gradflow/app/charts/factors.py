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


def met(measurement: Measurement) -> tuple[str, str]:
    """What the error meets at the chosen weight: (as it stands in a formula, in words)."""
    weight, below = measurement.field["weight"], getattr(measurement.gmap, "layer", 0)
    if weight.startswith("bias"):
        return "1", "the constant 1"
    if weight == "weight_hh":
        return "‖h(s−1)‖", "h(s−1)"
    return (f"‖layer {below}'s output‖", f"layer {below}'s output") if below else ("‖x(s)‖", "the input x(s)")


def chosen(measurement: Measurement) -> str:
    """The weight that stands for all four, where all are chosen; else nothing."""
    return measurement.field["weight"] if measurement.scenario.weight == "all" else ""


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    delta, other, terms = factors(measurement, view)
    (other_factor, _), of = met(measurement), chosen(measurement)
    sent = "‖δ(t,s)‖ / ‖dC/dh‖" if relative(measurement, view) else "‖δ(t,s)‖"
    steps = len(measurement.cost)  # what is kept may be longer
    grey = [("", each[:steps], GREY, "thin") for each in factors(kept, view)[:2]] if kept else []
    curves = [
        *grey,
        ("their product, the term", terms, GREY, "dotted"),
        (f"{other_factor}, read going forward", other, PURPLE, "dashed"),
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
        title=f"What a term {f'of {of} ' if of else ''}is made of",
        subtitle=f"{sent} times {other_factor}, s = t−u",
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
    (_, name), of = met(measurement), chosen(measurement)
    ends = f"goes from {number(other[first])} to {number(other[last])}"
    if measurement.field["weight"].startswith("bias"):
        ends = "stays"
    return (
        f"{f'Of {of}: from' if of else 'From'} lag {first} to lag {last}, what is sent back goes from "
        f"{number(delta[first])} to {number(delta[last])}; what it meets, {name}, {ends}."
    )


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    return line.specification("lag u (steps back)", "The two factors of each term by lag; the text below says it.")
