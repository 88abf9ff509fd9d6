"""What truncated backpropagation through time leaves out, by the number of steps that it goes back."""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREY, ORANGE, PURPLE, Domain, Tables
from gradflow.app.measurement import TRUNCATED_AT, Measurement
from gradflow.app.view import View
from gradflow.reading import number

ROUNDING = np.log(1e-6)  # of a difference of two gradients in float32: less is not told from nothing


def missing(measurement: Measurement) -> dict[str, np.ndarray]:
    """log ‖what is left out‖ / ‖whole gradient‖ by steps k kept, f[T+1]: of the cost at t, of all by window, by pieces.

    The last two are measured at the k of `TRUNCATED_AT`, as differences, down to `ROUNDING`; between them lie straight
    lines.
    """
    steps = len(measurement.cost)
    padded = lambda logs: np.append(logs, np.full(steps + 1 - len(logs), np.nan))
    found = {"one": padded(measurement.log_missing)}
    for name, logs in measurement.truncated.items():
        at, logs = TRUNCATED_AT[: len(logs)], np.where(logs < ROUNDING, np.nan, logs)
        found[name] = padded(np.interp(np.arange(at[-1] + 1), at, logs, left=np.nan))
    return found


def domain(measurement: Measurement, view: View) -> Domain:
    low, high = base.decades(*missing(measurement).values())
    return max(low, -10), max(high, 1)


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    found, steps = missing(measurement), len(measurement.cost)
    grey = [("", each[: steps + 1], GREY, "thin") for each in missing(kept).values()] if kept else []
    curves = [
        *grey,
        ("all of it", np.zeros(steps + 1), GREY, "dotted"),
        ("all costs, the state detached every k steps", found["pieces"], ORANGE, "dashed"),
        ("all costs, each k steps back", found["window"], PURPLE, "thin"),
        (f"the cost at t = {measurement.t}, k steps back", found["one"], BLUE, "solid"),
    ]
    return line.tables(
        measurement,
        curves,
        domain,
        length=steps + 1,
        title="What truncation leaves out of the gradient",
        subtitle="‖missing terms‖ / ‖whole gradient‖, by the k steps that are kept",
        lit=-1,
        words=[f"{k} steps kept: {number(log)} of the cost at t is missing" for k, log in enumerate(found["one"])],
        kept=kept,
        alarm=base.overflowed(measurement),
    )


def say(measurement: Measurement, view: View | None = None) -> str:
    """What is missing after a few numbers of steps, in a sentence or two."""
    if base.overflowed(measurement):
        return base.overflowed(measurement) + "."
    logs = measurement.log_missing
    told = [f"{number(logs[k])} with {k}" for k in (5, 10, 20, 50) if k < len(logs) - 1]
    if not told or not np.isfinite(measurement.log_partial[-1]):
        return f"At t = {measurement.t} there is nothing to truncate."
    said = f"What is missing of the gradient at t = {measurement.t}, going back so many steps only: {', '.join(told)}."
    window, pieces = (
        dict(zip(TRUNCATED_AT, measurement.truncated[name], strict=False)) for name in ("window", "pieces")
    )
    if 20 in pieces and not np.isnan(pieces[20]):
        said += (
            f" Of the gradient of all costs together, {_left(window[20])} is missing where each goes back 20 steps, "
            f"and {_left(pieces[20])} where the state is detached every 20 steps, as usual: most then go back fewer."
        )
    return said


def _left(log):
    return "less than 1e-6" if log < ROUNDING else number(log)


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    said = "The part of the gradient that truncation leaves out; the text beside it says it."
    return line.specification("steps kept, k", said)
