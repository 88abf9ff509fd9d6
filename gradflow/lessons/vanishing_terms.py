"""Lesson 2, vanishing terms, healthy sum."""

import math
from dataclasses import replace

from gradflow.fields import Range
from gradflow.lessons.evidence import coherence, plain, typically
from gradflow.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import BENGIO, WERBOS
from gradflow.look import Look
from gradflow.reading import number
from gradflow.scenario import PRESETS, Scenario


def in_first_terms(measurement):
    """‖Σ‖ in units of the nearest term."""
    return math.exp(min(measurement.reading.log_sum - measurement.log_row[0], 700))


def _reveal_healthy(measurement, look):
    near, far, lag = *measurement.log_row[[0, -1]], max(measurement.t, 1)
    return (
        f"Each step back multiplies by {number((far - near) / lag)}; the term at lag {lag} is {number(far - near)} of "
        f"the nearest. The sum, {number(measurement.reading.log_sum)}, is {plain(in_first_terms(measurement))} times "
        f"the nearest, {number(near)}."
    )


def _geometric():
    ratios = [in_first_terms(replace(PRESETS["Vanishing"], gain=rho).measure()) for rho in (0.5, 0.8, 0.9)]
    true = all(abs(ratio * (1 - rho) - 1) < 1e-3 for ratio, rho in zip(ratios, (0.5, 0.8, 0.9), strict=True))
    return Evidence(true, "ρ = 0.5, 0.8, 0.9: " + ", ".join(map(plain, ratios)) + " times the nearest term")


TURNING = Scenario(cell="rnn-linear", init="orthogonal", weight="bias_hh", gain=0.98)


HEALTHY = Lesson(
    title="Vanishing terms, healthy sum",
    stance="statement",
    claim="Terms that vanish with the lag are no disease: the weight still gets a proper gradient, for it is the sum.",
    prose=(
        "Here is the smallest network there is: one linear unit, a number that keeps a share $\\rho$, the gain, of "
        "itself at every step. $W$ is the bias that it adds. Each step back multiplies the **term**, $dC(t)/dW(t-u)$, "
        "by $\\rho = 0.8$; on the left the terms fall on a straight line, because the axis counts powers of ten. The "
        "hundredth term is less than a billionth of the first. People call this the vanishing gradient, and conclude "
        "that the weight does not learn. But no single term is what the weight gets. It gets what is drawn on the "
        "right: their **running sum**."
    ),
    scenario=PRESETS["Vanishing"],
    look=Look(),
    controls=("gain", "horizon"),
    guess=Guess(
        "How many times the nearest term is the whole sum?",
        in_first_terms,
        range=Range(0.0, 20.0, 0.5),
        near=0.5,
    ),
    reveal=_reveal_healthy,
    conclusion="A geometric series: $1 + \\rho + \\rho^2 + \\dots = 1/(1-\\rho)$, which is 5 for $\\rho = 0.8$.",
    verdicts=(
        Verdict("holds", "for one linear unit: the sum is 1/(1−ρ)", _geometric),
        Verdict(
            "holds",
            "for a typical LSTM at initialisation",
            typically(
                Scenario(),
                in_first_terms,
                lambda median, *_: median > 1,
                "LSTM at initialisation, eight draws: {} times the nearest term",
            ),
        ),
        Verdict(
            "holds when",
            "the terms do not cancel; where weights turn the state, most of them do",
            typically(
                TURNING,
                coherence,
                lambda median, *_: median < 0.2,
                "orthogonal weights, gain 0.98: {} of the terms' total is left",
            ),
        ),
    ),
    examples=(
        Example("Show a real network", Scenario(), "An LSTM of 16 units as training finds it: the same picture."),
        stops(
            TURNING, "Sixteen linear units that turn their state: each step keeps 0.98, but most of the sum cancels."
        ),
    ),
    try_this="Set the gain to 0.95, then 0.99. How many lags must you add before the sum stops growing?",
    sources=(
        (BENGIO, "why the terms shrink"),
        (WERBOS, "the sum over the copies of a shared weight"),
    ),
)
