"""All costs at one lag together, which a sweep from step to step cannot sum without keeping every δ.

Column s holds the cost of t = s + u. A step back takes it to s − 1, where it is the cost of lag u + 1, so that at
every lag each column uses the Jacobian of its own step and moves on by one place.

    lag u       s:  0          1          2          3
    0               δ(0,0)     δ(1,1)     δ(2,2)     δ(3,3)
    1               δ(1,0)     δ(2,1)     δ(3,2)     nothing
    2               δ(2,0)     δ(3,1)     nothing    nothing
"""

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.emitters import largest_exponent
from gradflow.engine.forward import Tape
from gradflow.engine.jit import jit
from gradflow.engine.losses import Cotangents
from gradflow.engine.scaling import ZERO_EXPONENT, dot, exponent_of, normalise, power_of_two, scaled_rows, shift_of


def _sweep(
    tapes: tuple[Tape, ...],
    cotangents: Cotangents,
    lags: jax.Array | int,
    update: Callable,
    out: Any,
    rows: tuple[int, ...],
    cell_path_only: bool,
) -> Any:
    """`out` after update(u, δ(s + u, s) [T, D, n], its exponent [T], out) for u = 0 … lags − 1, δ of the lowest layer.

    Args:
        tapes: layers above one another, all forward; of the cell path alone, one.
        cotangents: of the top layer.
        rows: of δ that are δ_x, as in `emitters.emit_outflow`.
    """
    backs = [_step_back(tape, cell_path_only) for tape in tapes]
    move = lambda a: jnp.concatenate([a[1:], jnp.zeros_like(a[:1])])

    def one_lag(u, loop_state):
        states, out = loop_state  # of each layer, K states of [T, n] and their exponent [T, n or 1]
        moved: list[Any] = [None] * len(tapes)
        inflow = None
        for layer in reversed(range(len(tapes))):
            ct, exponent = states[layer] if inflow is None else _join(*states[layer], *inflow)
            delta, before = backs[layer](ct)
            if layer:
                inflow = _outflow(tapes[layer].weights.weight_ih, delta[:, jnp.array(rows)], exponent)
            shift = shift_of(reduce(jnp.maximum, map(jnp.abs, before)), axis=() if cell_path_only else 1)
            moved[layer] = tuple(move(c * power_of_two(-shift, c.dtype)) for c in before), move(exponent + shift)
        nonzero = jnp.any(delta != 0, axis=1)  # [T, n]
        top = jnp.max(jnp.where(nonzero, exponent, ZERO_EXPONENT), axis=1)
        scale = power_of_two(exponent - top[:, None], delta.dtype)[:, None]
        return moved, update(u, delta * scale, top, out)

    def at_first(tape):
        nothing = jnp.zeros_like(tape.trajectory.after[0])
        shape = nothing.shape if cell_path_only else nothing[:, :1].shape
        return [nothing for _ in tape.trajectory.after], jnp.full(shape, ZERO_EXPONENT, jnp.int32)

    states = list(map(at_first, tapes))
    ct, exponent = states[-1]
    ct[0], exponent = cotangents.dC_dh, jnp.broadcast_to(cotangents.exponent[:, None], exponent.shape)
    states[-1] = ct, exponent
    states = [(tuple(ct), exponent) for ct, exponent in states]
    return lax.fori_loop(0, lags, one_lag, (states, out))[1]


def _join(ct, exponent, dC_dh, inflow_exponent):
    """K states of [T, n] / 2^exponent [T, 1] with what comes in at the same steps, as `backward.join`."""
    nonzero = reduce(jnp.logical_or, (c != 0 for c in ct)).any(1, keepdims=True)
    own = jnp.where(nonzero, exponent, ZERO_EXPONENT)
    top = jnp.maximum(own, inflow_exponent)
    ct_h, *ct_others = (c * power_of_two(own - top, c.dtype) for c in ct)
    return (ct_h + dC_dh * power_of_two(inflow_exponent - top, dC_dh.dtype), *ct_others), top


def _outflow(weight_ih, delta_x, exponent):
    """W_ihᵀ δ_x at every step, [T, m] / 2^exponent [T, 1]."""
    of_step = lambda delta, W: dot(delta.reshape(-1), W)
    each = jax.vmap(of_step, in_axes=(0, None if weight_ih.ndim == 2 else 0))
    dC_dx, own = normalise(each(delta_x, weight_ih), axis=1)
    return dC_dx, jnp.where(jnp.any(dC_dx != 0, axis=1, keepdims=True), exponent + own, ZERO_EXPONENT)


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


@jit(static_argnames=("rows", "cell_path_only"))
def total_norms_by_lag(
    tapes: tuple[Tape, ...], cotangents: Cotangents, z: jax.Array, *, rows: tuple[int, ...], cell_path_only: bool
) -> tuple[jax.Array, jax.Array]:
    """‖Σ_t δ_g(t, t−u) z(t−u)ᵀ‖ of the lowest layer for every u, as (mantissa, exponent), each [T(u), D].

    total = einsum("sdn,sc->dnc", δ, z)        norm = sqrt((total**2).sum((n, c)))
    """
    z, z_exponent = scaled_rows(z)  # [T, c], [T, 1]
    steps, _, D, _ = tapes[0].jacobians.preact.shape

    def update(u, delta, exponent, out):
        largest = jnp.max(jnp.abs(delta), axis=2)  # [T, D]
        exponent = exponent[:, None] + z_exponent
        top = largest_exponent(largest, exponent_of(largest) + exponent, axis=0)  # [1, D]
        scaled = delta * power_of_two(exponent - top, delta.dtype)[..., None]
        total = dot(z.T, scaled.reshape(steps, -1)).reshape(z.shape[1], D, -1)
        norm = jnp.sqrt(jnp.sum(total**2, axis=(0, 2)))
        return tuple(lax.dynamic_update_index_in_dim(a, b, u, 0) for a, b in zip(out, (norm, top[0]), strict=True))

    out = jnp.zeros((steps, D), z.dtype), jnp.zeros((steps, D), jnp.int32)
    return _sweep(tapes, cotangents, steps, update, out, rows, cell_path_only)


@jit(static_argnames=("rows", "cell_path_only"))
def window_deltas(
    tapes: tuple[Tape, ...], cotangents: Cotangents, lags: jax.Array, *, rows: tuple[int, ...], cell_path_only: bool
) -> tuple[jax.Array, ...]:
    """Σ_{u < lags} δ(s + u, s) of the lowest layer, as `total_deltas`: mantissa, norm, exponent."""

    def update(u, delta, exponent, out):
        total, own = out  # [T, D, n] / 2^own[T]
        top = jnp.maximum(own, exponent)
        scaled = lambda a, exponent: a * power_of_two(exponent - top, a.dtype)[:, None, None]
        return scaled(total, own) + scaled(delta, exponent), top

    steps, _, D, n = tapes[0].jacobians.preact.shape
    nothing = jnp.zeros((steps, D, n), cotangents.dC_dh.dtype)
    empty = nothing, jnp.full(steps, ZERO_EXPONENT, jnp.int32)
    total, exponent = _sweep(tapes, cotangents, lags, update, empty, rows, cell_path_only)
    mantissa, own = normalise(total, axis=2)
    return mantissa, jnp.sqrt(jnp.sum(mantissa**2, axis=2)), own[..., 0] + exponent[:, None]
