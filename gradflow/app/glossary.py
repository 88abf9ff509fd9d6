"""How every number on the page is defined, with its present value put in: Markdown, one paragraph a number."""

import math

import numpy as np

from gradflow.app.measurement import Measurement
from gradflow.app.scenario import gate_names
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import WORDS, in_words, number, per_step_factor, share
from gradflow.weights import spectrum

OTHER = {"weight_hh": "h(t-u-1)", "weight_ih": "x(t-u)", "bias_ih": None, "bias_hh": None}

INTRODUCTION = r"""
A recurrent network uses **one weight many times**. $W(t-u)$ is the copy used $u$ steps before time $t$: $u$ is
the **lag**. The cost at time $t$ has one gradient for each copy, a **term**; its gradient by the one shared $W$ is
their **sum**. Training adds such sums, of every $t$ and every sequence of a batch:

$$\frac{dC(t)}{dW} = \sum_{u=0}^{t} \frac{dC(t)}{dW(t-u)}$$
"""


def definitions(measurement: Measurement, view: View) -> str:
    """The text, for the lag that is lit.

    Args:
        measurement: what `measure` returns.
        view: whose lag is taken.
    """
    reading, t, row = measurement.reading, measurement.t, measurement.log_row
    if np.isnan(row).any():
        return INTRODUCTION + f"\n\nThe forward pass overflows at step {measurement.overflow}: there are no numbers."
    u = min(view.lag, t)
    weight = measurement.field["weight"]
    delta, other = measurement.lags.log_factors(**measurement.field)
    met = rf" \cdot \|{OTHER[weight]}\|" if OTHER[weight] else ""
    times = f" × {number(other[u])}" if OTHER[weight] else ""
    product = f"{number(delta[u])}{times} = {number(delta[u] + other[u])}"
    sizes = np.logaddexp.reduce(row)
    far = share(row)[(t + 1) // 2]
    several = " alone, since the four have no factors in common" if measurement.scenario.weight == "all" else ""
    lines = [
        rf"**A term** is a matrix; what is drawn is its norm, a product of two: $\|\delta(t,t-u)\|{met}$. "
        f"At t = {t} and lag {u}, of {weight}{several}: {product}.",
        rf"**The sum** $\|\sum_u dC(t)/dW(t-u)\|$ is {number(reading.log_sum)}. The sizes add up to {number(sizes)}; "
        f"{100 * reading.coherence:.3g} % of that is left after the terms cancel.",
        _pace(reading, measurement.lags.log_delta(**measurement.scenario.rows)),
        _terms(reading, row),
        f"**90 % of the size**: the fewest nearest lags that hold nine tenths of {number(sizes)}: {reading.memory}.",
        f"**The far half**: lags from {(t + 1) // 2} on hold {100 * far:.2g} % of it. That is the credit that reaches "
        "back so far: without it a long dependency is not learned, and with it not for sure.",
        rf"**Over time**, over the last three quarters of the horizon, the sum divided by its error, "
        rf"$\|\text{{sum}}\| / \|dC/dh\|$, {in_words(reading.growth_by_error)}; the sum itself "
        f"{in_words(reading.growth)}.",
        rf"**The error** it answers to at t = {t}, $\|dC(t)/dh(t)\|$, is {number(measurement.log_residual[t])}.",
        _weights(measurement.scenario, reading),
        "**The words**: " + "; ".join(f"*{word}*: {meaning}" for word, meaning in WORDS.items()) + ".",
    ]
    return "\n\n".join([INTRODUCTION, *lines])


def _pace(reading, log_delta):
    if not math.isfinite(reading.pace):
        return "**The pace** needs two lags at which something is sent back."
    fit = per_step_factor(log_delta)
    steady = "steady: one factor describes them" if reading.pace_steady else "not steady: no one factor describes them"
    return (
        r"**The pace** is what a step back multiplies the error sent back, $\|\delta(t,t-u)\|$, by: $e^b$ of the "
        rf"line $\log\|\delta\| \approx a + b\,u$, fitted to lags {fit.first} to {fit.last}: {number(fit.slope)}. "
        f"The points lie within ×{math.exp(fit.error):.3g} of it (rms); they are {steady}."
    )


def _terms(reading, row):
    if not math.isfinite(reading.term_pace):
        return "**The terms' own slope** needs two terms that are not zero."
    return (
        "**The terms' own slope** has what they meet in it as well, which may grow or fade beside δ: "
        f"×{number(per_step_factor(row).slope)} a step."
    )


def _weights(scenario, reading):
    cell, gates = CELLS[scenario.cell], gate_names(scenario.cell)
    if "weight_hh" in cell.unused:
        return (
            r"**The recurrent weights** are not used: $h(t) = k \odot h(t-1) + (1 - k) \odot \text{new}$, where the "
            f"gate $k$, {cell.label(cell.keep_gate or '')}, and new are made of $x(t)$ alone. What a step back "
            "multiplies by is $k$, unit by unit. The paper's $z$ is $1 - k$ (Feng et al. 2024)."
        )
    table = [
        r"**The recurrent weights**, gate by gate: $\sigma_1$ is the most they stretch a vector in one step, $\rho$, "
        "the largest |eigenvalue|, what many steps of these weights settle to where no activation or gate is between.",
        "",
        r"| rows | $\sigma_1$ | $\rho$ |",
        "| --- | ---: | ---: |",
    ]
    stretch = spectrum(scenario.weights(), gates)
    table += [f"| {cell.label(gate)} | {sigma:.3f} | {radius:.3f} |" for gate, (sigma, radius) in stretch.items()]
    bound = cell.max_slope  # γ of Pascanu 2013
    if bound is None:
        verdict = (
            r"Pascanu's bound is, as it stands, for cells that are one activation of bounded slope, $h = \phi(a)$; "
            "this one is not. Miller & Hardt 2019 have bounds for LSTMs."
        )
    else:
        sigma = bound * stretch["hidden"][0]
        verdict = rf"Pascanu's bound: $\gamma\sigma_1$ = {bound:g} · {stretch['hidden'][0]:.3f} = {sigma:.3f}, " + (
            f"below 1, so δ must vanish at least as fast as {sigma:.3f} a step"
            if sigma < 1
            else "not below 1, so δ need not vanish"
        )
        verdict += f"; its pace here is {number(math.log(reading.pace))}." if reading.pace > 0 else "."
    return "\n".join([*table, "", verdict])
