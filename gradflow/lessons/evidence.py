"""How a verdict is measured: medians over draws of weights and inputs, and numbers as text."""

import math
from dataclasses import replace

import numpy as np

from gradflow.lessons.record import Evidence
from gradflow.reading import number

SEEDS = range(8)


def drawn(scenario):
    """The scenario with other weights and inputs, measured; one for each of `SEEDS`."""
    return [replace(scenario, seed=seed).measure() for seed in SEEDS]


def typical(scenario, value):
    """(median, lowest, highest) of value(measurement) over `SEEDS`."""
    values = [value(measurement) for measurement in drawn(scenario)]
    return float(np.median(values)), min(values), max(values)


def typically(scenario, value, true, words):
    """Evidence by a median: true(median, lowest, highest), and the numbers in place of {} in the words."""

    def evidence():
        found = typical(scenario, value)
        return Evidence(bool(true(*found)), words.format(three(*found)))

    return evidence


def three(median, low, high):
    """A median and its range, as text."""
    return f"{plain(median)} ({plain(low)} to {plain(high)})"


def plain(value):
    """A number as text: "0.832", "1.3e-7"."""
    return "0" if value == 0 else ("−" if value < 0 else "") + number(math.log(abs(value)))


def factor(measurement):
    return measurement.reading.factor


def cancellation(measurement):
    return measurement.reading.cancellation
