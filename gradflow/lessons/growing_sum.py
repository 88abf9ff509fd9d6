"""Lesson 3, not vanishing is not exploding."""

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np

from gradflow.lessons.evidence import SEEDS, coherence, pace, plain, three, typical
from gradflow.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import PASCANU, SAXE
from gradflow.lessons.vanishing_terms import TURNING
from gradflow.look import Look
from gradflow.scenario import PRESETS, Scenario


def doubling(measurement):
    """What doubling the horizon multiplies ‖Σ‖ / ‖dC/dh‖ by, at the present horizon."""
    ratio = measurement.log_sums - measurement.log_residual
    return math.exp(min(float(ratio[-1] - ratio[len(ratio) // 2 - 1]), 700))


def _which_growth(measurement):
    ratio = doubling(measurement)
    return 0 if ratio < 1.4 else 1 if ratio < 2.8 else 2


def _linear():
    ratios = [doubling(replace(PRESETS["Constant"], horizon=horizon).measure()) for horizon in (50, 100, 200)]
    return Evidence(max(abs(r - 2) for r in ratios) < 0.01, f"ρ = 1: twice the horizon, ×{plain(ratios[-1])}")


def _explodes():
    reading = replace(PRESETS["Constant"], gain=1.05, horizon=200).measure().reading
    return Evidence(reading.growth.shape == "exponential", "ρ = 1.05: exponential")


LIMITS = 2.0 ** np.arange(-4, 4.5, 0.5)  # of clipping, in medians of ‖g_i‖


@lru_cache(maxsize=2 * len(SEEDS))
def gradients(scenario):
    """dC(t)/dW_hh of each sequence of `SEEDS` for the same weights, f64[8, ·]."""
    from gradflow.flow import whole_gradient

    problem, t = scenario.problem(), min(scenario.time, scenario.horizon - 1)
    sequences = [replace(scenario, seed=seed).data() for seed in SEEDS]
    each = [problem | {"inputs": data.inputs, "targets": data.targets} for data in sequences]
    return np.array([np.ravel(whole_gradient(**one, t=t).weight_hh) for one in each], float)


def clipped(rows, limit):
    """Clipping by norm, over sequences: (what it changes, cosine).

    Compared are the means of g_i min(1, c / ‖g_i‖) and of g_i, the rows, with c so many times the median of ‖g_i‖.
    What it changes is the norm of their difference over that of the latter.
    """
    norms = np.linalg.norm(rows, axis=1)
    full = np.mean(rows, axis=0)
    cut = np.mean(rows * np.minimum(1, limit * np.median(norms) / norms)[:, None], axis=0)
    size = np.linalg.norm(full)
    return float(np.linalg.norm(cut - full) / size), float(cut @ full / size / np.linalg.norm(cut))


def clipping_curve(gain):
    """By limit, of `LIMITS`: (log of what clipping changes, cosine), medians over `SEEDS` draws of the weights."""
    draws = [gradients(Scenario(gain=gain, horizon=60, seed=seed)) for seed in SEEDS]
    found = np.median([[clipped(rows, limit) for limit in LIMITS] for rows in draws], axis=0)
    with np.errstate(divide="ignore"):  # nothing is changed
        return np.log(found[:, 0]), found[:, 1]


def _clipping(gain):
    def evidence():
        logs, cosines = clipping_curve(gain)
        (at,) = np.flatnonzero(LIMITS == 1)
        changed, cosine = float(np.exp(logs[at])), float(cosines[at])
        numbers = f"gain {gain:g}: the mean changes by {plain(changed)} of its size and turns, cosine {plain(cosine)}"
        return Evidence(changed < 0.6 and cosine > 0.9 if gain < 2 else changed > 0.9 and cosine < 0.8, numbers)

    return evidence


ORTHOGONAL = replace(TURNING, gain=1.0, horizon=256)


def _cancels():
    left, *ends = typical(ORTHOGONAL, coherence)
    flat, *_ = typical(ORTHOGONAL, pace)
    numbers = f"each step back ×{plain(flat)}, and of the total size {three(left, *ends)} is left"
    return Evidence(abs(flat - 1) < 0.01 and left < 0.1, numbers)


GROWTH = Lesson(
    title="Not vanishing is not exploding",
    stance="claim",
    claim="If the terms did not vanish, the sum would explode.",
    prose=(
        "Let $\\rho$ be what one step back multiplies the **term** by. Below one the terms vanish and the sum "
        "settles, above one they grow and the sum explodes. This lesson is about the border, $\\rho = 1$: every copy "
        "of the weight, however far back, gets the same term, $dC(t)/dW(t-u)$. The picture shows the size of the sum "
        "at every time $t$: in purple as it is, in blue divided by the error at $t$. Beside it are three shapes: one "
        "that stays, one in straight proportion (under the blue), and one that multiplies at every step. The axis "
        "counts powers of ten, on which a straight proportion bends over."
    ),
    scenario=PRESETS["Constant"],
    look=Look(closer=True, show="growth", relative=True),
    controls=("gain", "horizon"),
    guess=Guess(
        "Run the network twice as long. What happens to the sum?",
        _which_growth,
        ("It stays about the same", "It doubles", "It explodes: many times more than double"),
    ),
    reveal=lambda m, look: (
        f"Divided by the error, the sum grows by ×{plain(doubling(m))} from {m.t // 2 + 1} to {m.t + 1} steps."
    ),
    conclusion="At $\\rho = 1$ equal terms add up in proportion to their number: that is growth, and no explosion.",
    verdicts=(
        Verdict("false when", "every step keeps exactly what it gets: the sum grows in proportion", _linear),
        Verdict("false when", "the terms keep their size and turn: they cancel", _cancels),
        Verdict("true when", "the terms grow from lag to lag", _explodes),
    ),
    examples=(
        Example(
            "Show factors above one",
            replace(PRESETS["Constant"], gain=1.05),
            "Each step back multiplies by 1.05: now the sum explodes.",
        ),
        stops(ORTHOGONAL, "Orthogonal weights: no term vanishes, and hardly anything is left of their sum."),
    ),
    try_this="Find the gain at which the last sum is a thousand times the error. It is closer to 1 than you think.",
    sources=(
        (PASCANU, "the condition for exploding gradients is necessary, not sufficient; clipping by norm"),
        (SAXE, "orthogonal weights keep the size of what they carry"),
    ),
    remedies=(
        Verdict(
            "cost of",
            "clipping the gradients of eight sequences to their median size, where nothing explodes: it hardly turns "
            "their mean",
            _clipping(1.0),
        ),
        Verdict(
            "cost of",
            "the same where terms explode: a few huge gradients set the mean, which now points elsewhere",
            _clipping(8.0),
        ),
    ),
    curves=("clipping", "truncation"),
)
