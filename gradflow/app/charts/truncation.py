"""What truncated backpropagation through time leaves out, by the number of steps that it goes back.

For the gradient of all costs a pass is needed for each number: a few are measured, and drawn as points.
"""

from typing import Any

import numpy as np

from gradflow.app.charts import base, line
from gradflow.app.charts.base import BLUE, GREY, ORANGE, PURPLE, Domain, Tables
from gradflow.app.measurement import TRUNCATED_AT, Measurement
from gradflow.app.view import View
from gradflow.reading import number

ROUNDING = np.log(1e-6)  # of a difference of two gradients in float32: less is not told from nothing
AS_USUAL = 20  # steps between two cuts of the state, of which the sentence tells


def missing(measurement: Measurement) -> dict[str, np.ndarray]:
    """log ‖what is left out‖ / ‖whole gradient‖ by steps k kept, f[T+1]: of the cost at t, of all by window, by pieces.

    The last two are measured at the k of `TRUNCATED_AT`, as differences, down to `ROUNDING`; NaN where they are not.
    """
    steps = len(measurement.cost)
    padded = lambda logs: np.append(logs, np.full(steps + 1 - len(logs), np.nan))
    found = {"one": padded(measurement.log_missing)}
    for name, logs in measurement.truncated.items():
        found[name] = np.full(steps + 1, np.nan)
        found[name][[*TRUNCATED_AT[: len(logs)]]] = np.where(logs < ROUNDING, np.nan, logs)
    return found


def domain(measurement: Measurement, view: View) -> Domain:
    low, high = base.decades(*missing(measurement).values())
    return max(low, -10), max(high, 1)


def data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
    found, steps = missing(measurement), len(measurement.cost)
    styles = {"one": "thin", "window": "circle", "pieces": "diamond"}
    grey = [("", each[: steps + 1], GREY, styles[name]) for name, each in missing(kept).items()] if kept else []
    curves = [
        *grey,
        ("all of it", np.zeros(steps + 1), GREY, "dotted"),
        ("all costs, the state detached every k steps", found["pieces"], ORANGE, styles["pieces"]),
        ("all costs, each k steps back", found["window"], PURPLE, styles["window"]),
        (f"the cost at t = {measurement.t}, k steps back", found["one"], BLUE, "solid"),
    ]
    return line.tables(
        measurement,
        curves,
        domain,
        length=steps + 1,
        title="What truncation leaves out of the gradient",
        subtitle="‖missing terms‖ / ‖whole gradient‖, by k",
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
    if AS_USUAL in pieces and not np.isnan(pieces[AS_USUAL]):
        (t, *more), left = np.flatnonzero(np.isfinite(measurement.log_residual)), (window[AS_USUAL], pieces[AS_USUAL])
        whose, who = ("all costs together,", "each") if more else (f"the only cost, at t = {t},", "it")
        said += (
            f" Of the gradient of {whose} {_left(left[0])} is missing where {who} goes back {AS_USUAL} steps, "
            f"and {_left(left[1])} where the state is detached every {AS_USUAL} steps, as usual{_then(t, *more)}."
        )
    return said


def _then(*times):
    """What becomes of the costs at these times where the state is detached."""
    back = [t % AS_USUAL + 1 for t in times]
    if len(back) == 1:
        return f": it then goes back {back[0]} step{'' if back[0] == 1 else 's'}"
    fewer = sum(steps < min(AS_USUAL, t + 1) for t, steps in zip(times, back, strict=True))
    return f": {'most' if 2 * fewer > len(back) else 'some'} then go back fewer" if fewer else ""


def _left(log):
    return "less than 1e-6" if log < ROUNDING else number(log)


def specification() -> dict[str, Any]:
    """The constant Vega-Lite specification."""
    said = "The part of the gradient that truncation leaves out; the text beside it says it."
    return line.specification("steps kept, k", said, points=True)
