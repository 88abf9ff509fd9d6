"""Where the gradient of each cost enters: C(t) and dC(t)/dh(t) of every loss, in any range of magnitudes.

    y = readout · h + readout_bias        dC/dh = readoutᵀ r,  r = dC/dy

A loss is one function of y and the target that gives C and r without cancellation, and a plain one for r alone.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gradflow.engine.scaling import dot, power_of_two, scaled_array
from gradflow.problem import BinaryCrossEntropy, CrossEntropy, GivenCotangents, SquaredError

Cost = Any  # one of the records of `problem`, of arrays on the device
Scaled = tuple[jax.Array, jax.Array]  # (mantissa, exponent)


class Cotangents(NamedTuple):
    """Where the gradient of each C(t) enters."""

    dC_dh: jax.Array  # dC(t)/dh(t) / 2^exponent, [T, n]
    exponent: jax.Array  # [T]
    unscaled: jax.Array  # dC(t)/dh(t) in plain arithmetic, [T, n]


def cotangents_of(cost: Cost, h: jax.Array) -> tuple[Cotangents, jax.Array]:
    """`Cotangents` and C(t) of all t; C is NaN where only its derivative is known."""
    if isinstance(cost, GivenCotangents):
        dC_dh, exponent = jax.vmap(scaled_array)(cost.cotangents)
        return Cotangents(dC_dh, exponent, cost.cotangents), jnp.full(len(h), jnp.nan, h.dtype)
    residual_and_cost, _ = _LOSSES[type(cost)]

    def one(h, target):
        (residual, top), value = residual_and_cost(cost, h, target)
        readout, exponent = scaled_array(cost.readout)
        dC_dh, own = scaled_array(dot(residual, readout))
        return dC_dh, own + exponent + top, value

    dC_dh, exponent, value = jax.vmap(one)(h, cost.targets)
    return Cotangents(jnp.where(jnp.isfinite(dC_dh), dC_dh, 0), exponent, unscaled_cotangents(cost, h)), value


def unscaled_cotangents(cost: Cost, h: jax.Array) -> jax.Array:
    """The same dC/dh in plain arithmetic, [T, n]."""
    if isinstance(cost, GivenCotangents):
        return cost.cotangents
    _, plain_residual = _LOSSES[type(cost)]

    def one(h, target):
        return dot(plain_residual(_output(cost, h), target), cost.readout)

    return jax.vmap(one)(h, cost.targets)


def squared_error(cost: Cost, h: jax.Array, target: jax.Array) -> tuple[Scaled, jax.Array]:
    """C = ½ ‖r‖², r = y − target; a NaN target masks both."""
    masked = jnp.isnan(target).any()
    target = target if cost.readout_bias is None else target - cost.readout_bias
    parts = cost.readout, h, jnp.where(masked, 0, target)
    (readout, r_exponent), (h, h_exponent), (target, t_exponent) = map(scaled_array, parts)
    top = jnp.maximum(r_exponent + h_exponent, t_exponent)
    scale = lambda exponent: power_of_two(exponent - top, h.dtype)
    residual = dot(readout, h) * scale(r_exponent + h_exponent) - target * scale(t_exponent)
    residual = jnp.where(masked, 0, residual)
    half = jnp.sum(residual**2) / 2
    value = jnp.where(half == 0, 0, half * power_of_two(top, h.dtype) * power_of_two(top, h.dtype))
    return (residual, top), value


def cross_entropy(cost: Cost, h: jax.Array, target: jax.Array) -> tuple[Scaled, jax.Array]:
    """C = −log q_c, r = q − onehot(c) with q = softmax(y) and c the class, of which target is the one-hot.

        C = log(1 + S),  S = Σ_{j≠c} exp(y_j − y_c)        r_j = exp(y_j − y_c) / (1 + S),  r_c = −Σ_{j≠c} r_j

    No 1 is subtracted from q_c: where the network is sure, r is as exact as y.
    """
    y = _output(cost, h)
    above = jnp.where(target, -jnp.inf, y - jnp.sum(jnp.where(target, y, 0)))  # y_j − y_c, j ≠ c
    top = jnp.max(above)
    others = jnp.exp(above - top)
    log_sum = top + jnp.log(jnp.sum(others))
    value = jax.nn.softplus(log_sum)
    residual, exponent = _times_exp(jnp.where(target, -jnp.sum(others), others), top - value)
    return (jnp.where(target.any(), residual, 0), exponent), jnp.where(target.any(), value, 0)


def binary_cross_entropy(cost: Cost, h: jax.Array, target: jax.Array) -> tuple[Scaled, jax.Array]:
    """C = −Σ target log σ(y) + (1 − target) log σ(−y); a NaN target masks it.

    r = σ(y) − target = (1 − target) σ(y) − target σ(−y)
    """
    masked = jnp.isnan(target).any()
    y, target = _output(cost, h), jnp.where(masked, 0, target)
    log_up, log_down = -jax.nn.softplus(-y), -jax.nn.softplus(y)  # log σ(y), log σ(−y)
    top = jnp.max(jnp.maximum(jnp.where(target < 1, log_up, -jnp.inf), jnp.where(target > 0, log_down, -jnp.inf)))
    up, down = (
        jnp.where(part > 0, part * jnp.exp(log - top), 0) for part, log in ((1 - target, log_up), (target, log_down))
    )
    residual, exponent = _times_exp(jnp.where(masked, 0, up - down), top)
    value = -jnp.sum(target * log_up + (1 - target) * log_down)
    return (residual, exponent), jnp.where(masked, 0, value)


def _output(cost, h):
    y = dot(cost.readout, h)
    return y if cost.readout_bias is None else y + cost.readout_bias


def _times_exp(x, log):
    """x · exp(log) as (mantissa, exponent)."""
    exponent = jnp.floor(log / math.log(2))
    return x * jnp.exp(log - exponent * math.log(2)), exponent.astype(jnp.int32)


def _plain_squared(y, target):
    return jnp.where(jnp.isnan(target).any(), 0, y - target)


def _plain_cross_entropy(y, target):
    return jnp.where(target.any(), jax.nn.softmax(y) - target.astype(y.dtype), 0)


def _plain_binary(y, target):
    return jnp.where(jnp.isnan(target).any(), 0, jax.nn.sigmoid(y) - target)


_LOSSES = {
    SquaredError: (squared_error, _plain_squared),
    CrossEntropy: (cross_entropy, _plain_cross_entropy),
    BinaryCrossEntropy: (binary_cross_entropy, _plain_binary),
}
