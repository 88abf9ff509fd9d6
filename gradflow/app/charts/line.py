"""Curves over lag or time on one logarithmic axis, each with its name on it: the two factors, the sum over time."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from gradflow.app.charts import base
from gradflow.app.charts.base import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Domain, Tables, cut
from gradflow.app.measurement import Measurement
from gradflow.app.view import View
from gradflow.reading import in_words, number

WIDTHS = {"solid": 4, "dashed": 3, "dotted": 3, "thin": 2}  # px; colour is never alone
Curve = tuple[str, np.ndarray, str, str]  # name, natural logs, colour, style
STROKES = tuple((colour, style) for style in WIDTHS for colour in (BLUE, ORANGE, GREY, RED, GREEN, PURPLE))


def tables(
    measurement: Measurement | None,
    curves: Sequence[Curve],
    domain: Domain,
    *,
    length: int,
    title: str,
    subtitle: str,
    lit: int,
    words: Sequence[str],
    kept: Measurement | None = None,
    alarm: str = "",
) -> Tables:
    """The data of `specs.curves.spec`.

    Args:
        measurement: what it is drawn of.
        curves: (name, natural logs f[length], colour, style) each; one without a name is not labelled.
        domain: (low, high) in log10.
        length: steps on the x axis.
        title: what is drawn.
        subtitle: how to read it.
        lit: the index that is lit, or −1.
        words: what the read-out says of each index.
        kept: the measurement in grey, or None.
        alarm: a sentence, where there is nothing to draw.
    """
    parts, strokes = [], [STROKES.index((colour, style)) for _, _, colour, style in curves]
    for k, (_, logs, _, _) in enumerate(curves):
        y = cut(logs, domain)
        parts.append(
            {
                "x": np.arange(len(y), dtype=np.int16),
                "y": y,
                "curve": np.full(len(y), k, np.int8),
                "stroke": np.full(len(y), strokes[k], np.int8),
            }
        )
    # the topmost curve first
    legend = {name: stroke for (name, *_), stroke in zip(curves[::-1], strokes[::-1], strict=True) if name}
    right, low = base.free_corner([logs for _, logs, _, _ in curves], domain, 0.07 * (len(legend) + 0.5))
    frame = {
        "low": domain[0],
        "high": domain[1],
        "horizon": length,
        "corner": -0.5,
        "lit": lit,
        "title": title,
        "subtitle": subtitle,
        "alarm": alarm,
        "legend_right": right,
        "legend_low": low,
        "kept": base.kept_words(measurement, kept),
    }
    rows = np.arange(len(legend)) - (len(legend) - 1 if low else 0)  # away from the corner
    return {
        "frame": base.frame_table(**frame),
        "curves": pa.concat_tables(map(pa.table, parts)),
        "names": pa.table({"row": rows.astype(np.int8), "name": [*legend], "stroke": [*legend.values()]}),
        "columns": pa.table({"lag": np.arange(len(words), dtype=np.int16), "words": words}),
    }


# ------------------------------------------------------------------------------------------------ two factors


def factors(measurement: Measurement, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(log ‖δ‖, log ‖z‖, log of the terms), by lag; where it is wanted, without the size of the error."""
    delta, other = measurement.lags.log_factors(**measurement.field)
    if relative(measurement, view):
        delta = delta - measurement.log_residual[measurement.t]
    return delta, other, delta + other


def relative(measurement: Measurement, view: View) -> bool:
    """Whether δ is divided by the size of the error: it is wanted, and there is one."""
    return view.relative and np.isfinite(measurement.log_residual[measurement.t])


def factors_domain(measurement: Measurement, view: View) -> Domain:
    return base.decades(*factors(measurement, view))


OTHER = {"weight_hh": "‖h(s−1)‖", "weight_ih": "‖x(s)‖", "bias_ih": "1", "bias_hh": "1"}


def factors_data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
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
    return tables(
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


def factors_say(measurement: Measurement, view: View) -> str:
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


# ---------------------------------------------------------------------------------------------- sum over time

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


def growth_domain(measurement: Measurement, view: View) -> Domain:
    raw, values = sums(measurement)
    shapes = references(values)
    return base.decades(raw, values, shapes["bounded"], shapes["linear"])


def growth_data(measurement: Measurement, view: View, kept: Measurement | None, domain: Domain) -> Tables:
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
    return tables(
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


def growth_say(measurement: Measurement, view: View) -> str:
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
