"""How every number on the page is defined, with its present value put in: Markdown, one paragraph a number."""

import math

import numpy as np

from gradflow.reading import number, share
from gradflow.scenario import gate_names
from gradflow.weights import spectrum

DERIVATIVE = {"rnn-tanh": 1.0, "rnn-sigmoid": 0.25, "rnn-relu": 1.0, "rnn-linear": 1.0}  # the bound γ of Pascanu 2013
OTHER = {"weight_hh": "h(t-u-1)", "weight_ih": "x(t-u)", "bias_ih": None, "bias_hh": None}

INTRODUCTION = r"""
A recurrent network uses **one weight many times**. $W(t-u)$ is the copy used $u$ steps before time $t$: $u$ is
the **lag**. The cost at time $t$ has one gradient for each copy, a **term**, and training uses their **sum**:

$$\frac{dC(t)}{dW} = \sum_{u=0}^{t} \frac{dC(t)}{dW(t-u)}$$
"""


def definitions(measurement, look):
    """The text, for the lag that is lit.

    Args:
        measurement: what `Scenario.measure` returns.
        look: whose lag is taken.
    """
    reading, t, row = measurement.reading, measurement.t, measurement.log_row
    if np.isnan(row).any():
        return INTRODUCTION + f"\n\nThe forward pass overflows at step {measurement.overflow}: there are no numbers."
    u = min(look.lag, t)
    weight = measurement.field["weight"]
    delta, other = measurement.lags.log_factors(**measurement.field)
    met = rf" \cdot \|{OTHER[weight]}\|" if OTHER[weight] else ""
    times = f" × {number(other[u])}" if OTHER[weight] else ""
    product = f"{number(delta[u])}{times} = {number(delta[u] + other[u])}"
    sizes = np.logaddexp.reduce(row)
    far = share(row)[(t + 1) // 2]
    growth = reading.growth
    several = " alone, since the four have no factors in common" if measurement.scenario.weight == "all" else ""
    lines = [
        rf"**A term** is the norm of a whole matrix, a product of two: $\|\delta(t,t-u)\|{met}$. "
        f"At t = {t} and lag {u}, of {weight}{several}: {product}.",
        rf"**The sum** $\|\sum_u dC(t)/dW(t-u)\|$ is {number(reading.log_sum)}. The sizes add up to {number(sizes)}; "
        f"{100 * reading.cancellation:.3g} % of that is left after the terms cancel.",
        _factor(reading),
        f"**90 % of the size**: the fewest nearest lags that hold nine tenths of {number(sizes)}: {reading.memory}.",
        f"**The far half**: lags from {(t + 1) // 2} on hold {100 * far:.2g} % of it. That is the credit that reaches "
        "back so far, and without credit a long dependency is not learned.",
        rf"**Over time**, $\|\text{{sum}}\| / \|dC/dh\|$ is fitted over the last three quarters of the horizon: "
        f"{growth.shape}" + (f", about t to the power {growth.power:.2f}." if math.isfinite(growth.power) else "."),
        rf"**The error** it answers to at t = {t}, $\|dC(t)/dh(t)\|$, is {number(measurement.log_residual[t])}.",
        _weights(measurement.scenario),
    ]
    return "\n\n".join([INTRODUCTION, *lines])


def _factor(reading):
    if not math.isfinite(reading.slope):
        return "**The factor per step** needs two terms that are not zero."
    return (
        rf"**The factor per step** is $e^b$ of the line $\log\|\text{{term}}(u)\| \approx a + b\,u$, fitted to lags "
        f"{reading.first} to {reading.last}: {number(reading.slope)}. The points lie within "
        f"×{math.exp(reading.fit_error):.3g} of it (rms)."
    )


def _weights(scenario):
    gates = gate_names(scenario.cell)
    table = [
        r"**The recurrent weights**, gate by gate: $\sigma_1$ is the most they stretch a vector in one step, $\rho$, "
        "the largest |eigenvalue|, what they settle to in many.",
        "",
        r"| rows | $\sigma_1$ | $\rho$ |",
        "| --- | ---: | ---: |",
    ]
    stretch = spectrum(scenario.weights(), gates)
    table += [f"| {gate} | {sigma:.3f} | {radius:.3f} |" for gate, (sigma, radius) in stretch.items()]
    bound = DERIVATIVE.get(scenario.cell)
    if bound is None:
        verdict = "Pascanu's bound is for the plain RNN; with gates it says nothing."
    else:
        sigma = bound * stretch["hidden"][0]
        verdict = rf"Pascanu's bound: $\gamma\sigma_1$ = {bound:g} · {stretch['hidden'][0]:.3f} = {sigma:.3f}, " + (
            "below 1, so the terms must vanish." if sigma < 1 else "not below 1, so they need not vanish."
        )
    return "\n".join([*table, "", verdict])
