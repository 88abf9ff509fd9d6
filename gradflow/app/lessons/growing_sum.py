"""Lesson 3, not vanishing is not exploding."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from gradflow.app.lessons.clipping_bias import mean_step, one_batch
from gradflow.app.lessons.evidence import by_error, coherence, drawn, plain, rms_by_error, spread, verdict
from gradflow.app.lessons.record import Dots, Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import PASCANU, SAXE, ZUCCHET
from gradflow.app.lessons.vanishing_terms import MANY, TURNING
from gradflow.app.measurement import Measurement, measure
from gradflow.app.presets import PRESETS
from gradflow.app.view import View
from gradflow.reading import number

BORDER = PRESETS["Constant"]
LONG = replace(BORDER, horizon=256)
ABOVE = replace(BORDER, gain=1.1)
LAWS = {"weight_ih": 0.5, "bias_hh": 1.0, "weight_hh": 1.5}  # the power of T that the sum grows like at ρ = 1
ORTHOGONAL = replace(TURNING, gain=1.0, horizon=256)
DRAWS = range(16)  # seeds of the orthogonal weights
PAIR = replace(ORTHOGONAL, hidden=2)
TWO_UNITS = replace(PAIR, seed=13), replace(PAIR, seed=5)  # a rotation, by 28°, and a reflection
ROTATION, REFLECTION = ORTHOGONAL, replace(ORTHOGONAL, seed=2)


def ratio(measurement: Measurement) -> np.ndarray:
    """log of ‖Σ‖ / ‖dC/dh‖ at each t."""
    return measurement.log_sums - measurement.log_residual


# ------------------------------------------------------------------------------------------------- at the border


@lru_cache(maxsize=1)
def sums_at_one() -> dict[str, np.ndarray]:
    """Weight -> log of its ‖Σ‖ / ‖dC/dh‖ at ρ = 1, the root mean square over `MANY` draws of the noise, f64[256]."""
    with np.errstate(divide="ignore"):  # before the first step there is no state
        return {weight: np.log(rms_by_error(replace(LONG, weight=weight), MANY)) for weight in LAWS}


@lru_cache(maxsize=1)
def laws() -> dict[str, tuple[float, float]]:
    """Weight -> (power of T, what doubling 128 steps multiplies by) of its sum by its error at ρ = 1.

    Read from root mean squares over `MANY` draws of the noise that a linear unit takes in.
    """
    steps, found = np.arange(1, 257), {}
    for weight, logs in sums_at_one().items():
        power, _ = np.polyfit(np.log(steps[64:]), logs[64:], 1)
        found[weight] = float(power), math.exp(logs[255] - logs[127])
    return found


def _which_growth(measurement):
    power, _ = laws()["weight_hh"]
    return int(np.searchsorted([0.75, 1.25, 4.0], power))


def _no_end():
    doubled = [twice for _, twice in laws().values()]
    said = f"from 128 to 256 steps ×{plain(doubled[0])} of the input weight, ×{plain(doubled[1])} of the bias, "
    return Evidence(min(doubled) > 1.2, f"{said}×{plain(doubled[2])} of the recurrent weight (rms over 48 draws)")


def _three_laws():
    powers = {weight: power for weight, (power, _) in laws().items()}
    true = all(abs(powers[weight] - power) < 0.1 for weight, power in LAWS.items())
    said = ", ".join(f"{power:.2f}" for power in powers.values())
    return Evidence(true, f"powers of T, rms over 48 draws of 256 steps: {said}; in theory ½, 1, 1½")


def _explodes():
    growth = by_error(measure(replace(ABOVE, horizon=200)))
    numbers = f"ρ = 1.1, 200 steps: divided by its error, ×{plain(growth.rate)} a step"
    return Evidence(growth.said == "explodes", numbers)


# ------------------------------------------------------------------------------------------- terms that turn


@lru_cache(maxsize=1)
def turned() -> list[tuple[bool, float, np.ndarray]]:
    """Of each draw of orthogonal weights: (whether a rotation, what is left of the terms, ‖Σ‖ / ‖dC/dh‖ at each t)."""
    found = []
    for measurement in drawn(ORTHOGONAL, DRAWS):
        turn = np.linalg.det(np.float64(measurement.scenario.weights().weight_hh)) > 0
        found.append((bool(turn), coherence(measurement), np.exp(ratio(measurement))))
    return found


def left_by_kind() -> list[tuple[str, str, tuple[float, ...]]]:
    """The groups of the chart of draws."""
    values: dict[str, list[float]] = {"rotation": [], "reflection": []}
    for rotates, left, _ in turned():
        values["rotation" if rotates else "reflection"].append(math.log(left))
    return [("16 linear units, W orthogonal, 256 steps", kind, tuple(each)) for kind, each in values.items()]


def _cancels():
    rotations = [sums for rotates, _, sums in turned() if rotates]
    largest = [float(sums.max()) for sums in rotations]
    early, late = (
        float(np.median([sums[part].max() for sums in rotations])) for part in (slice(128), slice(128, None))
    )
    return Evidence(
        max(largest) < 20 and late < 1.5 * early,
        f"{len(rotations)} rotations, 256 steps: the terms' sizes add up to 256 times the error, and their sum is at "
        f"no time more than {plain(max(largest))} times the error (median of the draws {plain(np.median(largest))})",
    )


def _stays():
    reflections = [(left, sums) for rotates, left, sums in turned() if not rotates]
    lefts, twice = (
        [*each] for each in zip(*((left, sums[255] / sums[127]) for left, sums in reflections), strict=True)
    )
    return Evidence(
        min(twice) > 1.8 and max(twice) < 2.2,
        f"{len(reflections)} reflections, 256 steps: {spread(lefts)} of the terms' size is left, and from 128 to 256 "
        f"steps the sum grows by ×{spread(twice)}",
    )


# --------------------------------------------------------------------------------------------------- the lesson


def _prose(scenario):
    rho = scenario.gain
    if rho == 1:
        here = (
            "Here is the border, $\\rho$ = 1: a linear unit, and each copy of its bias, however far back, has the same"
        )
    else:
        here = f"Here is $\\rho$ = {rho:g}: a linear unit, and with each step back it multiplies the bias'"
    return (
        "Let $\\rho$ be the **pace**, what one step back multiplies the error by. Below 1 the sum has a limit (lesson "
        f"2). {here} **term**, $dC(t)/dW(t-u)$. Blue is the size of the sum at each time $t$, divided by the size of "
        "the error at $t$; as it is, in purple, it jumps about with the error. On an axis that counts powers of ten, "
        "what is in proportion to $t$ bends over."
    )


def _reveal(measurement, view):
    logs, half = ratio(measurement), (measurement.t + 1) // 2
    error = measurement.log_residual[measurement.t]
    now, before = logs[measurement.t], logs[half - 1]
    if not (half and np.isfinite([error, now, before]).all()):
        return verdict(measurement)
    sizes = float(np.logaddexp.reduce(measurement.log_row) - error)
    return (
        f"Divided by the error, the sum is {number(now)} after {measurement.t + 1} steps, ×{number(now - before)} of "
        f"what it was after {half}. The sizes of its terms add up to {number(sizes)}: "
        f"{100 * coherence(measurement):.3g} % of that is left."
    )


GROWTH = Lesson(
    title="Not vanishing is not exploding",
    stance="claim",
    claim="If the terms did not vanish, the sum would explode.",
    prose=_prose,
    scenario=BORDER,
    view=View(closer=True, show="growth", relative=True),
    controls=("gain", "horizon"),
    guess=Guess(
        "Blue goes like the number of steps, $T$. A term of the recurrent weight is the error times the state it "
        "meets, which under noise wanders off like $\\sqrt{T}$. How does its sum go?",
        _which_growth,
        ("Like √T", "Like T", "Like T√T", "By a factor at every step"),
        why=(
            "√T is how the state alone grows; the input weight's sum does the same.",
            "That would need a state that stays of one size, as the constant 1 that the bias meets does.",
            "",
            "A factor at every step needs an error that grows on its way back, and here it keeps its size.",
        ),
    ),
    reveal=_reveal,
    conclusion=(
        "At $\\rho = 1$ sums grow without end, but by no factor a step: like $\\sqrt{T}$ (input weight), $T$ (bias), "
        "$T\\sqrt{T}$ (recurrent weight), and where terms turn they may cancel: ‖Σ terms‖ ≤ Σ ‖terms‖. To settle for "
        "sure, terms must vanish fast enough: 1/(u+1) vanishes too, and its sum grows like log T."
    ),
    verdicts=(
        Verdict("true when", "ρ is above 1: each step more multiplies the sum, so it explodes", _explodes),
        Verdict(
            "false when",
            "ρ is 1: no step multiplies the sums of input weight, bias and recurrent weight; they go like √T, T, T√T",
            _three_laws,
        ),
        Verdict("false when", "the terms keep their size and turn, under a rotation: most of them cancel", _cancels),
        Verdict(
            "false when",
            "the terms turn under a reflection: of an even number of units it has an eigenvalue 1, and along its "
            "vector the sum grows in proportion to $T$",
            _stays,
        ),
        Verdict(
            "true when",
            "“explode” is to mean no more than “have no end”, and ρ is 1: these three sums grow on",
            _no_end,
        ),
    ),
    examples=(
        Example(
            "Show the recurrent weight",
            replace(LONG, weight="weight_hh"),
            "One draw of the noise: the state wanders, and the sum with it. Only over many draws does it go like T√T.",
        ),
        Example("Show a pace above one", ABOVE, "Each step back multiplies by 1.1: the sum explodes."),
        Example(
            "Show a reflection",
            REFLECTION,
            "Orthogonal weights with determinant −1: they have an eigenvalue 1, and the sum grows in proportion.",
        ),
        stops(
            ROTATION, "Orthogonal weights with determinant +1, a rotation: no term vanishes, and their sum stays small."
        ),
    ),
    try_this="Find the gain at which the sum, divided by the error, is a thousand. It is closer to 1 than you think.",
    sources=(
        (PASCANU, "a largest singular value above 1/γ is necessary for an explosion, not sufficient; clipping by norm"),
        (SAXE, "orthogonal weights keep the size of what they carry"),
        (ZUCCHET, "how the gradient of the recurrent weight of one linear unit grows"),
    ),
    draws=Dots(
        left_by_kind,
        "What is left of the terms",
        "‖Σ terms‖ / Σ ‖terms‖",
        log=True,
        says="W keeps all sizes in each of these draws. A rotation (determinant +1) of an even number of units need "
        "not have a real eigenvalue; a reflection (−1) has 1 and −1. What is left then is how much of the readout lies "
        "along the vector of 1.",
    ),
    remedies=(
        Verdict("cost of", "clipping the gradient of a batch: this one step is shortened, and never turned", one_batch),
        Verdict(
            "cost of",
            "the same over many batches, each cut to their median length, where nothing explodes: the mean step keeps "
            "its direction",
            mean_step(1.0),
        ),
        Verdict(
            "cost of",
            "the same where terms explode: mostly one sequence alone makes more than half of the squares, and clipped, "
            "the mean step points elsewhere",
            mean_step(8.0),
        ),
    ),
    curves=("laws", "clipping", "turning"),
)
