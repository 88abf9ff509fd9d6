"""All costs at one lag together, which a sweep from step to step cannot sum without keeping every δ.

Column s holds the cost of t = s + u. A step back takes it to s − 1, where it is the cost of lag u + 1, so that at
every lag each column uses the Jacobian of its own step and moves on by one place.

    lag u       s:  0          1          2          3
    0               δ(0,0)     δ(1,1)     δ(2,2)     δ(3,3)
    1               δ(1,0)     δ(2,1)     δ(3,2)     nothing
    2               δ(2,0)     δ(3,1)     nothing    nothing
"""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.emitters import largest_exponent
from gradflow.engine.forward import Tape
from gradflow.engine.scaling import (
    ZERO_EXPONENT,
    dot,
    exponent_of,
    normalise,
    power_of_two,
    scaled_rows,
    shift_of,
)


def _sweep(tape: Tape, lags: jax.Array | int, update: Callable, out: Any, cell_path_only: bool) -> Any:
    """`out` after update(u, δ(s + u, s) [T, D, n], its exponent [T], out) for u = 0 … lags − 1."""
    back = _step_back(tape, cell_path_only)
    move = lambda a, last: jnp.concatenate([a[1:], jnp.full_like(a[:1], last)])

    def one_lag(u, loop_state):
        ct, exponent, out = loop_state  # K states of [T, n], [T, n or 1]
        delta, before = back(ct)
        nonzero = jnp.any(delta != 0, axis=1)  # [T, n]
        top = jnp.max(jnp.where(nonzero, exponent, ZERO_EXPONENT), axis=1)
        scale = power_of_two(exponent - top[:, None], delta.dtype)[:, None]
        out = update(u, delta * scale, top, out)
        shift = shift_of(reduce(jnp.maximum, map(jnp.abs, before)), axis=() if cell_path_only else 1)
        ct = tuple(move(c * power_of_two(-shift, c.dtype), 0) for c in before)
        return ct, move(exponent + shift, 0), out

    dC_dh, exponent, _ = tape.cotangents
    others = (jnp.zeros_like(dC_dh) for _ in tape.trajectory.before[1:])
    exponent = jnp.broadcast_to(exponent[:, None], dC_dh.shape if cell_path_only else (len(dC_dh), 1))
    return lax.fori_loop(0, lags, one_lag, ((dC_dh, *others), exponent, out))[2]


def _step_back(tape, cell_path_only):
    """K states of [T, n], each column at its own step -> (δ [T, D, n], the same states one step earlier)."""
    weight_hh = tape.weights.weight_hh

    def one(jac_preact, jac_carry, weight_hh, start, ct):
        states = range(len(ct))
        delta = sum(jac_preact[k] * ct[k][None] for k in states)  # [D, n]
        ct_h, *ct_others = (sum(jac_carry[k, j] * ct[k] for k in states) for j in states)
        if not cell_path_only:
            ct_h = ct_h + dot(delta.reshape(-1)[: len(weight_hh)], weight_hh)
        before = (ct_h, *ct_others)
        return delta, before if start is None else tuple(jnp.where(start, 0, c) for c in before)

    each = jax.vmap(one, in_axes=(0, 0, None if weight_hh.ndim == 2 else 0, 0, 0))
    return lambda ct: each(tape.jacobians.preact, tape.jacobians.carry, weight_hh, tape.starts, ct)


@partial(jax.jit, static_argnames="cell_path_only")
def total_norms_by_lag(tape: Tape, z: jax.Array, *, cell_path_only: bool) -> tuple[jax.Array, jax.Array]:
    """‖Σ_t δ_g(t, t−u) z(t−u)ᵀ‖ for every u, as (mantissa, exponent), each [T(u), D].

    total = einsum("sdn,sc->dnc", δ, z)        norm = sqrt((total**2).sum((n, c)))
    """
    z, z_exponent = scaled_rows(z)  # [T, c], [T, 1]
    steps, _, D, _ = tape.jacobians.preact.shape

    def update(u, delta, exponent, out):
        largest = jnp.max(jnp.abs(delta), axis=2)  # [T, D]
        exponent = exponent[:, None] + z_exponent
        top = largest_exponent(largest, exponent_of(largest) + exponent, axis=0)  # [1, D]
        scaled = delta * power_of_two(exponent - top, delta.dtype)[..., None]
        total = dot(z.T, scaled.reshape(steps, -1)).reshape(z.shape[1], D, -1)
        norm = jnp.sqrt(jnp.sum(total**2, axis=(0, 2)))
        return tuple(lax.dynamic_update_index_in_dim(a, b, u, 0) for a, b in zip(out, (norm, top[0]), strict=True))

    out = jnp.zeros((steps, D), z.dtype), jnp.zeros((steps, D), jnp.int32)
    return _sweep(tape, steps, update, out, cell_path_only)


@partial(jax.jit, static_argnames="cell_path_only")
def window_deltas(tape: Tape, lags: jax.Array, *, cell_path_only: bool) -> tuple[jax.Array, ...]:
    """Σ_{u < lags} δ(s + u, s): (mantissa [T, D, n], its norm [T, D], exponent [T, D]), as `total_deltas`."""

    def update(u, delta, exponent, out):
        total, own = out  # [T, D, n] / 2^own[T]
        top = jnp.maximum(own, exponent)
        scaled = lambda a, exponent: a * power_of_two(exponent - top, a.dtype)[:, None, None]
        return scaled(total, own) + scaled(delta, exponent), top

    nothing = jnp.zeros((len(tape.jacobians.preact), *tape.jacobians.preact.shape[2:]), tape.jacobians.preact.dtype)
    empty = nothing, jnp.full(len(nothing), ZERO_EXPONENT, jnp.int32)
    total, exponent = _sweep(tape, lags, update, empty, cell_path_only)
    mantissa, own = normalise(total, axis=2)
    return mantissa, jnp.sqrt(jnp.sum(mantissa**2, axis=2)), own[..., 0] + exponent[:, None]
