"""How a verdict is measured: medians over draws of weights and inputs, and numbers as text."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import attrgetter

import numpy as np

from gradflow.app.lessons.record import Evidence
from gradflow.app.measurement import Measurement, measure
from gradflow.app.scenario import Scenario
from gradflow.reading import number

SEEDS = range(8)
Value = Callable[[Measurement], float]


def drawn(scenario: Scenario, seeds: Iterable[int] = SEEDS) -> list[Measurement]:
    """The scenario with other weights and inputs, measured; one for each seed."""
    return [measure(replace(scenario, seed=seed)) for seed in seeds]


def rms_by_error(scenario: Scenario, seeds: Iterable[int]) -> np.ndarray:
    """‖Σ‖ / ‖dC(t)/dh(t)‖ at each t, the root of its mean square over draws, f64[T]."""
    logs = np.array([measurement.log_sums - measurement.log_residual for measurement in drawn(scenario, seeds)])
    return np.sqrt(np.mean(np.exp(2 * logs), axis=0))


def typical(scenario: Scenario, value: Value) -> tuple[float, float, float]:
    """(median, lowest, highest) of value(measurement) over `SEEDS`."""
    values = [value(measurement) for measurement in drawn(scenario)]
    return float(np.median(values)), min(values), max(values)


def typically(
    scenario: Scenario, value: Value, true: Callable[[float, float, float], bool], words: str
) -> Callable[[], Evidence]:
    """Evidence by a median: true(median, lowest, highest), and the numbers in place of {} in the words."""

    def evidence():
        found = typical(scenario, value)
        return Evidence(bool(true(*found)), words.format(three(*found)))

    return evidence


def three(median: float, low: float, high: float) -> str:
    """A median and its range, as text."""
    return f"{plain(median)} ({plain(low)} to {plain(high)})"


def spread(values: Sequence[float]) -> str:
    """The median and the range of values, as text."""
    return three(np.median(values), min(values), max(values))


def plain(value: float) -> str:
    """A number as text: "0.832", "1.3e-7"."""
    return "0" if value == 0 else ("−" if value < 0 else "") + number(math.log(abs(value)))


# Measurement -> of its reading:
pace = attrgetter("reading.pace")  # what a step back multiplies the error by: that of ‖δ(t, t−u)‖, not of the terms
term_pace = attrgetter("reading.term_pace")  # what a step back multiplies a term by: δ's pace, and what it meets
coherence = attrgetter("reading.coherence")  # ‖Σ term‖ / Σ ‖term‖, what is left of the terms when they are added
log_sum = attrgetter("reading.log_sum")  # natural log of ‖Σ term‖
by_error = attrgetter("reading.growth_by_error")  # how ‖Σ‖ / ‖dC(t)/dh(t)‖ grows with the horizon, a `Growth`
verdict = attrgetter("reading.verdict")  # the sentence that is true of any network, where a lesson's own says nothing
