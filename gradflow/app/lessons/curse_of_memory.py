"""Lesson 10, nothing explodes, and it is still hard: the curse of memory."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache

import numpy as np

from gradflow.app.lessons.evidence import drawn, plain, three, typical, verdict
from gradflow.app.lessons.record import Dots, Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import ORVIETO, ZUCCHET
from gradflow.app.lessons.vanishing_terms import RECURRENT, UNIT, in_errors, recurrent_limit, recurrent_sum
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
from gradflow.app.view import View

NEAR = replace(RECURRENT, gain=0.95)
RHOS = 0.9, 0.95, 0.97
TARGETS = 0.9, 0.95, 0.97, 0.99
OPENNESS = 0.73, 0.9, 0.97, 0.99
STEPS = 300  # of gradient descent
RATE, OTHER_RATE = 0.003, 1.0  # of ρ itself, and of ν where ρ = exp(−e^ν)
LSTM, GRU = (Scenario(cell=cell, horizon=256) for cell in ("lstm", "gru"))


def shrunk(rho: float) -> float:
    """By what the input is multiplied so that the state keeps the size 1 at any ρ: √(1−ρ²)."""
    return math.sqrt(1 - rho**2)


def _listed(values):
    return ", ".join(plain(float(value)) for value in values)


def _values(given):
    return ", ".join(f"{value:g}" for value in given)


# ------------------------------------------------------------------------------------------------- how large it gets


def _which_multiple(measurement):
    return int(np.searchsorted([1.3, 2.4, 4.0], recurrent_sum(0.95) / recurrent_sum(0.9)))


def _near_one():
    both = [(recurrent_sum(rho), recurrent_limit(rho)) for rho in RHOS]
    bias = [in_errors(measure(replace(UNIT, gain=rho, horizon=256))) for rho in RHOS]
    true = all(abs(measured / limit - 1) < 0.15 for measured, limit in both)
    measured, limits = zip(*both, strict=True)
    return Evidence(
        true and measured[2] > 5 * measured[0],
        f"ρ = {_values(RHOS)}: {_listed(measured)} times the error (rms over 48 draws; limits {_listed(limits)}), "
        f"where the bias has {_listed(bias)}",
    )


def _milder():
    both = [(recurrent_sum(rho, shrunk(rho)), recurrent_limit(rho) * shrunk(rho)) for rho in RHOS]
    true = all(abs(measured / limit - 1) < 0.15 for measured, limit in both)
    measured, limits = zip(*both, strict=True)
    return Evidence(
        true, f"ρ = {_values(RHOS)}: {_listed(measured)} times the error; limits √(1+ρ²) / (1−ρ²): {_listed(limits)}"
    )


def _far_from_one():
    measured, limit = recurrent_sum(0.5), recurrent_limit(0.5)
    return Evidence(measured < 2, f"ρ = 0.5: {plain(measured)} times the error; limit {plain(limit)}")


def _by_gate(scenario, gate):
    return [typical(replace(scenario, **{gate: openness}), in_errors) for openness in OPENNESS]


def _lstm():
    found = _by_gate(LSTM, "forget")
    return Evidence(
        found[-1][0] > 8 * found[0][0],
        f"forget gate at {_values(OPENNESS)}, 256 steps, eight draws: the sum is {'; '.join(three(*x) for x in found)} "
        "times the error",
    )


def _gru():
    found = _by_gate(GRU, "update")
    medians = [median for median, *_ in found]
    return Evidence(
        max(medians) < 2 * min(medians),
        f"update gate at {_values(OPENNESS)}: {'; '.join(three(*x) for x in found)} times the error",
    )


def _draws():
    for rho in RHOS:
        label = f"ρ = {rho:g}"
        for kind, weight in (("recurrent weight", "weight_hh"), ("bias", "bias_hh")):
            each = drawn(replace(NEAR, gain=rho, weight=weight), range(16))
            yield label, kind, tuple(math.log(in_errors(measurement)) for measurement in each)


# ------------------------------------------------------------------------------------------------- what it does


@lru_cache(maxsize=1)
def _noise():
    return np.random.default_rng(0).standard_normal((512, 48))


def respond(rho: float, scaled: bool) -> tuple[np.ndarray, np.ndarray]:
    """A linear unit that reads noise, and how it follows ρ: h(s) = ρ h(s−1) + g x(s), and dh(s)/dρ.

    Args:
        rho: ρ, in (0, 1).
        scaled: whether g is √(1−ρ²), else 1.

    Returns:
        (h, dh/dρ), f64[384, 48]: the steps from 128 on, of 48 sequences.
    """
    scale = shrunk(rho) if scaled else 1.0
    slope = -rho / scale if scaled else 0.0
    h, dh, found = np.zeros(48), np.zeros(48), []
    for x in _noise():
        dh = h + rho * dh + slope * x
        h = rho * h + scale * x
        found.append((h, dh))
    states, derivatives = zip(*found[128:], strict=True)
    return np.array(states), np.array(derivatives)


@cache
def descend(target: float, rate: float, modern: bool) -> tuple[int | None, float]:
    """Gradient descent on ρ alone, on the mean of ½ (h(s) − h*(s))², where h* is the unit at the target.

        ρ ← ρ − rate · E[(h − h*) dh/dρ], from 1 − 1.5 (1 − target); modern: the same on ν, where ρ = exp(−e^ν)

    Args:
        target: ρ*, in (⅓, 1).
        rate: the learning rate.
        modern: whether ν is learned and the input multiplied by √(1−ρ²).

    Returns:
        (step, ρ): the first step at which ρ is within 1 % of 1 − ρ*, None if there is none in `STEPS` or ρ leaves
        [0, 1) before; and ρ at the end.
    """
    wanted, _ = respond(target, modern)
    rho = 1 - 1.5 * (1 - target)
    for step in range(1, STEPS + 1):
        states, derivatives = respond(rho, modern)
        gradient = float(np.mean((states - wanted) * derivatives))
        if modern:
            power = math.log(-math.log(rho)) - rate * gradient * rho * math.log(rho)
            rho = math.exp(-math.exp(power))
        else:
            rho -= rate * gradient
        if not 0 <= rho < 1:
            return None, rho
        if abs(rho - target) < 0.01 * (1 - target):
            return step, rho
    return None, rho


def _ends(found: Sequence[tuple[int | None, float]]) -> str:
    """What became of descents, one for each of `TARGETS`."""
    return ", ".join(
        f"{target:g} {f'learned in {step} steps' if step else f'lost: a step led to ρ = {plain(rho)}'}"
        for target, (step, rho) in zip(TARGETS, found, strict=True)
    )


def _one_rate():
    found = [descend(target, RATE, False) for target in TARGETS]
    true = found[0][0] is not None and all(step is None and not 0 <= rho < 1 for step, rho in found[1:])
    return Evidence(true, f"learning rate {RATE:g}, ρ: {_ends(found)}")


def _one_rate_for_all():
    found = [descend(target, OTHER_RATE, True) for target in TARGETS]
    steps = [step for step, _ in found if step]
    true = len(steps) == len(TARGETS) and max(steps) < 2 * min(steps)
    return Evidence(true, f"learning rate {OTHER_RATE:g}, of ν: {_ends(found)}")


# ------------------------------------------------------------------------------------------------- the lesson


def _prose(scenario):
    rho = scenario.gain
    if rho < 1:
        ends = f"With $\\rho$ = {rho:g} the error is down to $\\rho^u$ of itself, so the terms vanish, and their "
        ends += "**running sum** (right) comes to rest."
    else:
        ends = f"With $\\rho$ = {rho:g} nothing vanishes: lesson 3 is about that."
    return (
        "The linear unit of lesson 2 once more; now $W$ is its recurrent weight $\\rho$, the gain, which multiplies "
        "the error at each step back. Its **term** $dC(t)/dW(t-u)$ is the error, carried back $u$ steps, times the "
        f"state that this copy met (left). {ends} The unit reads noise, so sums are compared over many draws: the "
        "root of the mean of their squares (rms), in units of the error."
    )


def _reveal(measurement, view):
    rho, errors = measurement.scenario.gain, in_errors(measurement)
    if not math.isfinite(measurement.log_residual[measurement.t]) or not math.isfinite(measurement.reading.log_sum):
        return verdict(measurement)
    said = f"In this draw the sum is {plain(errors)} times the error at t, and each step back multiplies by {rho:g}."
    scenario = measurement.scenario
    if scenario == replace(NEAR, gain=rho, input_gain=scenario.input_gain, horizon=scenario.horizon) and 0 < rho < 1:
        said += (
            f" Over draws, the sum's rms tends to {plain(recurrent_limit(rho) * scenario.input_gain)} times the error."
        )
    return said


HARD = Lesson(
    title="Nothing explodes, and it is still hard",
    stance="claim",
    claim="Where all terms vanish and nothing explodes, one learning rate will do.",
    prose=_prose,
    scenario=NEAR,
    view=View(),
    controls=("gain", "input_gain", "horizon"),
    guess=Guess(
        "From ρ = 0.9 to ρ = 0.95 the sum of the bias doubles, from 10 errors to 20. And that of the recurrent weight?",
        _which_multiple,
        ("It hardly changes: all terms still vanish", "It doubles, too", "It nearly triples", "It grows without end"),
        why=(
            "That they vanish gives the sum a limit, and how high that is depends on how slowly they do.",
            "The bias' does, since it meets a constant 1; the recurrent weight meets the state, which grows as well.",
            "",
            "Below 1 each sum has a limit: the terms vanish fast enough.",
        ),
    ),
    reveal=_reveal,
    conclusion=(
        "The limit of the sum goes like $(1-\\rho)^{-3/2}$, although nothing explodes: the longer a unit remembers, "
        "the more a small change of $\\rho$ changes. A learning rate for short memories is far too large for long "
        "ones. Recurrences that are built for long memories multiply the input by $\\sqrt{1-\\rho^2}$ and learn "
        "$\\nu$, with $\\rho = \\exp(-e^\\nu)$; a GRU's $1-z$ multiplies what enters, too."
    ),
    verdicts=(
        Verdict(
            "false",
            "gradient descent on ρ: the rate that learns 0.9 in a few steps overshoots at 0.95 and beyond",
            _one_rate,
        ),
        Verdict("false", "of the size: as ρ nears 1, the recurrent weight's sum settles ever higher", _near_one),
        Verdict("false", "milder, where the input is multiplied by √(1−ρ²) so that the state keeps its size", _milder),
        Verdict("false when", "an LSTM's forget gate nears 1: its sums grow, too", _lstm),
        Verdict("true when", "a GRU's update gate z does: what enters is multiplied by 1−z, and no sum grows", _gru),
        Verdict(
            "true when", "the input is multiplied by √(1−ρ²) and ν is learned: one rate serves all", _one_rate_for_all
        ),
        Verdict("true when", "ρ is well below 1: the sum is about as large as the error", _far_from_one),
    ),
    examples=(
        Example("Show the bias", replace(NEAR, weight="bias_hh"), "The same unit; its sum is 20 times the error."),
        Example(
            "Show ρ = 0.99",
            replace(NEAR, gain=0.99),
            "Each step back takes one per cent away; after 256 steps the sum has not yet come to rest.",
        ),
        Example(
            "Show the input shrunk",
            replace(NEAR, input_gain=0.312),
            "Multiplied by √(1−0.95²) = 0.312 the state has size 1, and each term is smaller by as much.",
        ),
        stops(replace(NEAR, gain=0.5), "ρ = 0.5: a few terms, and a sum about as large as the error."),
    ),
    try_this=(
        "Type 0.97 into the gain and read how large the sum tends to be over draws. Which input gain takes it down to "
        "24 times the error?"
    ),
    sources=(
        (ZUCCHET, "the curse of memory: the formula, and what normalising and writing ρ otherwise do about it"),
        (ORVIETO, "ρ = exp(−e^ν), and an input multiplied by √(1−ρ²), in linear recurrent units"),
    ),
    draws=Dots(
        _draws,
        "The sum after 256 steps",
        "‖Σ terms‖ / error",
        log=True,
        says="Each dot is one draw of the noise. The bias meets no noise, so its draws agree.",
    ),
)
