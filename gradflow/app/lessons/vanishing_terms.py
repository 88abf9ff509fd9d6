"""Lesson 2, vanishing terms, and a sum that settles."""

import math
from dataclasses import replace

import numpy as np

from gradflow.app.lessons.evidence import by_error, coherence, drawn, plain, rms_by_error, spread, verdict
from gradflow.app.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import BENGIO, PASCANU, WERBOS, ZUCCHET
from gradflow.app.measurement import Measurement, measure
from gradflow.app.presets import PRESETS
from gradflow.app.ranges import Range
from gradflow.app.scenario import Scenario
from gradflow.app.view import View
from gradflow.reading import CANCELS, number, share

UNIT = PRESETS["Vanishing"]
RECURRENT = replace(UNIT, weight="weight_hh", horizon=256)
FED_ONCE = replace(UNIT, weight="weight_hh", sequence="impulse")
TURNING = Scenario(cell="rnn-linear", init="orthogonal", weight="bias_hh", gain=0.98)
MANY = range(48)  # seeds, where a root mean square is compared with a formula


def in_first_terms(measurement: Measurement) -> float:
    """‖Σ‖ in units of the nearest term."""
    return math.exp(min(measurement.reading.log_sum - measurement.log_row[0], 700))


def in_errors(measurement: Measurement) -> float:
    """‖Σ‖ in units of the error at t, ‖dC(t)/dh(t)‖."""
    return math.exp(min(measurement.reading.log_sum - measurement.log_residual[measurement.t], 700))


def _prose(scenario):
    rho, lag = scenario.gain, scenario.horizon - 1
    last = number(lag * math.log(rho)) if rho else "0"
    if rho < 1:
        means = (
            "This is the vanishing gradient. Bengio et al. (1994) and Pascanu et al. (2013) conclude that *long* "
            "dependencies are hard to learn, not that the weight gets nothing; it gets their **running sum** (right)."
        )
    else:
        means = "These do not vanish: lesson 3 is about them. On the right is their **running sum**."
    return (
        "The smallest network: one linear unit, which keeps a share $\\rho$, the gain, of itself at every step and "
        "adds a bias. $W$ is that bias. Its **term** at lag 0, $dC(t)/dW(t-u)$ for $u = 0$, is the error at $t$ "
        f"itself, and each step back multiplies it by $\\rho$ = {rho:g}. The axis counts powers of ten, so the terms "
        f"lie on a straight line; the one at lag {lag} is {last} of the nearest. {means}"
    )


def _reveal(measurement, view):
    row = measurement.log_row
    finite = np.flatnonzero(np.isfinite(row))
    if not finite.size or finite[0]:
        return verdict(measurement)
    last = int(finite[-1])
    far = f"The term at lag {last} is {number(row[last] - row[0])} of the nearest."
    total, times = number(measurement.reading.log_sum), plain(in_first_terms(measurement))
    if measurement.scenario.hidden == 1 and measurement.scenario.weight.startswith("bias"):
        return f"The sum, {total}, is {times} times its nearest term, {number(row[0])}, which is the error at t. {far}"
    errors = plain(in_errors(measurement))
    return f"The sum, {total}, is {times} times its nearest term and {errors} times the error at t. {far}"


def _geometric():
    rhos = 0.5, 0.8, 0.9
    ratios = [in_first_terms(measure(replace(UNIT, gain=rho))) for rho in rhos]
    true = all(abs(ratio * (1 - rho) - 1) < 1e-3 for ratio, rho in zip(ratios, rhos, strict=True))
    return Evidence(true, "ρ = 0.5, 0.8, 0.9: " + ", ".join(map(plain, ratios)) + " times the nearest term")


def recurrent_limit(rho: float) -> float:
    """The root mean square of ‖Σ‖ / ‖dC/dh‖ of the recurrent weight of a unit that reads noise: what it tends to.

        √E[(dh/dρ)²] = √((1+ρ²) / (1−ρ²)³)

    Source: Zucchet & Orvieto 2024, section 2.
    """
    return math.sqrt((1 + rho**2) / (1 - rho**2) ** 3)


def recurrent_sum(rho: float, input_gain: float = 1.0) -> float:
    """The same, measured: over `MANY` draws and the last quarter of 256 steps."""
    values = rms_by_error(replace(RECURRENT, gain=rho, input_gain=input_gain), MANY)
    return float(np.sqrt(np.mean(values[-64:] ** 2)))


def _recurrent():
    rhos = 0.5, 0.8
    both = [(recurrent_sum(rho), recurrent_limit(rho)) for rho in rhos]
    true = all(abs(measured / formula - 1) < 0.15 for measured, formula in both)
    measured, formula = (", ".join(map(plain, each)) for each in zip(*both, strict=True))
    return Evidence(
        true, f"ρ = 0.5, 0.8, noise as input, rms over 48 draws: {measured} times the error; formula: {formula}"
    )


def _near_one():
    rhos = 0.9, 0.95, 0.97
    bias = [in_errors(measure(replace(UNIT, gain=rho, horizon=256))) for rho in rhos]
    both = [(recurrent_sum(rho), recurrent_limit(rho)) for rho in rhos]
    true = all(abs(measured / formula - 1) < 0.15 for measured, formula in both)
    true &= all(abs(value * (1 - rho) - 1) < 1e-2 for value, rho in zip(bias, rhos, strict=True))
    recurrent = ", ".join(plain(measured) for measured, _ in both)
    return Evidence(
        true,
        f"ρ = 0.9, 0.95, 0.97: the bias' sum is {', '.join(map(plain, bias))} times the error, the recurrent weight's "
        f"{recurrent} (rms over 48 draws)",
    )


def _lstm():
    found = drawn(Scenario(horizon=200))
    settled = sum(by_error(measurement).said == "settles" for measurement in found)
    nearest, errors = ([value(measurement) for measurement in found] for value in (in_first_terms, in_errors))
    return Evidence(
        settled >= 7,
        f"200 steps: the sum settles in {settled} of 8 draws, at {spread(errors)} times the error; it is "
        f"{spread(nearest)} times the nearest term",
    )


def _turning():
    found = drawn(TURNING)
    left, times = ([value(measurement) for measurement in found] for value in (coherence, in_first_terms))
    cancel = sum(part < CANCELS for part in left)
    return Evidence(
        bool(cancel > 4 and min(times) > 1),
        f"orthogonal weights, gain 0.98: the terms cancel in {cancel} of 8 draws; {spread(left)} of their size is "
        f"left, which is {spread(times)} times the nearest term",
    )


def _fades():
    near, far = (in_errors(measure(replace(FED_ONCE, horizon=horizon))) for horizon in (50, 100))
    gru = max(in_errors(measurement) for measurement in drawn(Scenario(cell="gru", sequence="impulse")))
    return Evidence(
        far < 1e-6 < near < 0.01 and gru < 1e-6,
        f"ρ = 0.8, the recurrent weight: the sum is {plain(near)} of the error after 50 steps, {plain(far)} after 100; "
        f"GRU, 100 steps, eight draws: at most {plain(gru)}",
    )


def _no_reach():
    far = float(share(measure(UNIT).log_row)[50])
    return Evidence(far < 1e-4, f"ρ = 0.8: lags of 50 and more hold {plain(far)} of the terms' size")


SETTLES = Lesson(
    title="Vanishing terms, a sum that settles",
    stance="statement",
    claim="Though its terms vanish with the lag, the gradient of a weight does not vanish: it is their sum.",
    prose=_prose,
    scenario=UNIT,
    view=View(),
    controls=("gain", "horizon"),
    guess=Guess(
        "The whole sum is a multiple of its nearest term, that at lag 0. Which multiple?",
        in_first_terms,
        range=Range(0.0, 20.0, 0.5),
        near=0.5,
    ),
    reveal=_reveal,
    conclusion=(
        "A geometric series: $1 + \\rho + \\rho^2 + \\dots = 1/(1-\\rho)$, which is 5 for $\\rho = 0.8$. That the far "
        "terms vanish is what lets the sum settle."
    ),
    verdicts=(
        Verdict("holds", "for the bias of one linear unit: the sum is 1/(1−ρ) times the nearest term", _geometric),
        Verdict(
            "holds",
            "for its recurrent weight, whose terms are the error times the state that they meet: over draws, the sum's "
            "rms settles at √((1+ρ²)/(1−ρ²)³) times the error",
            _recurrent,
        ),
        Verdict(
            "holds", "for an LSTM at initialisation, its forget gate at 0.73 (a forget bias of 1, as in Keras)", _lstm
        ),
        Verdict("holds when", "weights turn the state, too; but in most draws the terms then cancel", _turning),
        Verdict(
            "does not say",
            "how large the sum is: as ρ comes near 1 it settles ever higher, as 1/(1−ρ) for the bias, and for the "
            "recurrent weight faster still",
            _near_one,
        ),
        Verdict(
            "does not say", "that what lies far back is learned: there the terms have vanished (lesson 8)", _no_reach
        ),
        Verdict(
            "stops where",
            "the state that the weight meets dies away, as after a single number at the start: then every term, near "
            "or far, is next to nothing",
            _fades,
        ),
    ),
    examples=(
        Example(
            "Show it on a plain axis",
            UNIT,
            "The nearest twelve terms one by one, and the rest together: each bar is ρ times the one before.",
            View(closer=True, show="sums"),
        ),
        Example(
            "Show a real network",
            Scenario(),
            "An LSTM of 16 units as it is drawn, before any training: its terms vanish, and its sum settles.",
        ),
        Example(
            "Show weights that turn", TURNING, "Sixteen linear units that turn their state: most of the terms cancel."
        ),
        Example(
            "Show ρ near 1",
            replace(RECURRENT, gain=0.97),
            "The recurrent weight at ρ = 0.97: every step back takes 3 % from the error, yet the sum is many times the "
            "error.",
        ),
        stops(
            FED_ONCE,
            "The recurrent weight where a 1 is read at the start and nothing after: each term is the error at $t$ "
            "times 0.8 to the power $t-1$.",
        ),
    ),
    try_this=(
        "Set the gain to 0.95; the number can be typed. From which horizon on is the sum more than 18 times its "
        "nearest term, nine tenths of 1/(1−ρ)? And at 0.99, more than 90 times?"
    ),
    sources=(
        (BENGIO, "why the terms shrink, and that long dependencies are then hard to learn"),
        (PASCANU, "the same, by the largest singular value of the recurrent weights"),
        (WERBOS, "the sum over the copies of a shared weight"),
        (ZUCCHET, "how the gradient of a recurrent weight grows as ρ comes near 1"),
    ),
)
