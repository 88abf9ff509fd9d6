"""The backward sweep: every δ(t, s), its norms and its sums.

The δ of a block of times t go back through the network together, one matrix product a step. A block begins at its
own last t, so little is computed beyond t, and blocks are independent. After each step every row is divided by a
power of two near its largest entry, counted in an integer.
"""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.flow.powers import LOWEST, dot, normalise, power_of_two, scaled, shift_of


class Rows(NamedTuple):
    """What goes back together: costs of several t, or the units of one."""

    times: jax.Array  # where each row begins, ascending, [rows]
    seeds: jax.Array  # d/dh(time) / 2^exponent, [n, rows]
    exponents: jax.Array  # [rows]


def step_back(cell_path_only, weights, trace):
    """The pull of a `sweep`: all rows one step back, by the Jacobians of the trace.

        δ = Σ_k (∂carry_k/∂a) ct_k        ct'_j = Σ_k (∂carry_k/∂carry_j) ct_k + (j = h) W_hhᵀ δ_h

    Rows ride along the last axis: sums over units then run down columns, and δ is the matrix product's operand as
    it stands. K is one or two, so its sums are written out.
    """
    through = through_weight(cell_path_only, weights)

    def pull(s, ct):
        to_delta, to_carry, states = trace.to_delta[s], trace.to_carry[s], range(len(ct))
        delta = sum(to_delta[k, :, :, None] * ct[k][None] for k in states)
        h, *others = (sum(to_carry[k, j, :, None] * ct[k] for k in states) for j in states)
        return delta, (through(s, h, delta), *others)

    return pull


def through_weight(cell_path_only, weights):
    """(s, h, δ) -> h + W_hhᵀ δ_h, which joins dC/dh(s−1); of δ [≥G, n, rows] the first G count."""
    if cell_path_only:
        return lambda s, h, delta: h
    tied = weights.weight_hh.ndim == 2
    transposed = jnp.swapaxes(weights.weight_hh, -1, -2)  # [n, G·n]

    def through(s, h, delta):
        weight = transposed if tied else transposed[s]
        return h + dot(weight, delta.reshape(-1, delta.shape[2])[: weight.shape[1]])

    return through


def sweep(trace, rows, pull, emit, shift_of=shift_of):
    """Take all `Rows` from their times back to s = 0, each rescaled after each step by its `shift_of`.

    `pull(s, ct)` takes them one step back, d/d carry(s) -> δ(s) [D, n, rows] and d/d carry(s−1). Returns what
    `emit(s, δ, ct)` gives at every s, with zeros beyond a row's time: a tuple of arrays [T, …, rows]. There δ is
    (δ(s) / 2^e [D, n, rows], e [D, rows]), and ct is (d/d carry(s) / 2^e, K states of [n, rows], e [rows]).
    """
    steps, states, wide, n = trace.to_delta.shape
    ct = (rows.seeds, *(jnp.zeros_like(rows.seeds) for _ in range(states - 1)))
    last = jnp.minimum(rows.times[-1], steps - 1)

    def step(i, state):
        ct, exponent, out = state
        s = last - i
        delta, back = pull(s, ct)
        own = shift_of(jnp.abs(delta), axis=1)  # [D, 1, rows]
        shift = shift_of(reduce(jnp.maximum, map(jnp.abs, back)), axis=0)  # [1, rows]
        begun = rows.times >= s  # until then a row waits
        joined = lambda new, old: jnp.where(jnp.broadcast_to(begun, new.shape), new, old)
        now = emit(s, (delta * power_of_two(-own, delta.dtype), own[:, 0] + exponent[None]), (ct, exponent))
        out = tuple(a.at[s].set(joined(b, 0)) for a, b in zip(out, now, strict=True))
        ct = tuple(joined(b * power_of_two(-shift, b.dtype), c) for b, c in zip(back, ct, strict=True))
        return ct, joined(exponent + shift[0], exponent), out

    delta = jnp.zeros((wide, n, len(rows.times)), rows.seeds.dtype), jnp.zeros((wide, len(rows.times)), jnp.int32)
    like = jax.eval_shape(emit, 0, delta, (ct, rows.exponents))
    out = tuple(jnp.zeros((steps, *a.shape), a.dtype) for a in like)
    return lax.fori_loop(0, last + 1, step, (ct, rows.exponents, out))[2]


def block(trace, low, rows):
    """The costs of t = low … low+rows−1."""
    return Rows(low + jnp.arange(rows), cut(trace.seed, low, rows).T, cut(trace.seed_exponent, low, rows))


def cut(a, low, rows):
    """a[low : low + rows]; the last block may stick out, into zeros."""
    padding = [(0, rows)] + [(0, 0)] * (a.ndim - 1)
    return lax.dynamic_slice_in_dim(jnp.pad(a, padding), low, rows)


@partial(jax.jit, static_argnames=("cell_path_only", "rows"))
def block_norms(weights, trace, low, *, cell_path_only, rows):
    """‖δ_g(t, s)‖ of one block, as (mantissa, exponent), each [T(s), D, rows]."""
    emit = lambda s, delta, ct: (jnp.sqrt(jnp.sum(delta[0] ** 2, axis=1)), delta[1])
    return sweep(trace, block(trace, low, rows), step_back(cell_path_only, weights, trace), emit)


@jax.jit
def totals(mantissa, exponent, rows):
    """‖δ(t, s)‖ of one block over the chosen rows, bool[D], as (mantissa, exponent), each [rows(t), T(s)]."""
    mantissa = jnp.where(rows[None, :, None], mantissa, 0)
    top = _top(mantissa, exponent, axis=1)
    total = jnp.sum((mantissa * power_of_two(exponent - top, mantissa.dtype)) ** 2, axis=1)
    return jnp.sqrt(total).T, top[:, 0].T


def _top(mantissa, exponent, axis):
    """The largest exponent of what is not zero along `axis`, which is kept."""
    return jnp.max(jnp.where(mantissa > 0, exponent, LOWEST), axis=axis, keepdims=True)


@partial(jax.jit, static_argnames=("cell_path_only", "rows"))
def block_sums(weights, trace, low, z, mantissa, exponent, *, cell_path_only, rows):
    """‖Σ_s δ_g(t, s) z(s)ᵀ‖ of one block, as (mantissa, exponent), each [D, rows].

    The `block_norms` tell the largest exponent of every sum, to which each term is scaled before one contraction
    over s.
    """
    z, z_exponent = scaled(z)  # [T, c], [T, 1]
    top = _top(mantissa, exponent + z_exponent[:, :, None], axis=0)[0]  # [D, rows]

    def emit(s, delta, ct):
        delta, exponent = delta
        return (delta * power_of_two(exponent + z_exponent[s][:, None] - top, delta.dtype)[:, None],)

    (delta,) = sweep(trace, block(trace, low, rows), step_back(cell_path_only, weights, trace), emit)
    total = dot(z.T, delta.reshape(len(z), -1)).reshape(-1, *delta.shape[1:])  # [c, D, n, rows]
    total, own = normalise(total, axis=(0, 2))
    return jnp.sqrt(jnp.sum(total**2, axis=(0, 2))), top + own[0, :, 0]


@partial(jax.jit, static_argnames="cell_path_only")
def deltas(weights, trace, t, *, cell_path_only):
    """δ(t, s) of one t: (mantissa [T, D, n], exponent [T, D])."""
    pull, emit = step_back(cell_path_only, weights, trace), lambda s, delta, ct: delta
    delta, exponent = sweep(trace, block(trace, t, 1), pull, emit)
    return delta[..., 0], exponent[..., 0]


@partial(jax.jit, static_argnames="cell_path_only")
def state_norms(weights, trace, t, *, cell_path_only):
    """‖dh_i(t)/dh(s)‖ of every unit i of one t, as (mantissa, exponent), each [T(s), n]."""
    n = trace.seed.shape[1]

    def emit(s, delta, ct):
        (h, *_), exponent = ct
        h, own = normalise(h, axis=0)
        return jnp.sqrt(jnp.sum(h**2, axis=0)), own[0] + exponent

    units = Rows(jnp.full(n, t), jnp.eye(n, dtype=trace.seed.dtype), jnp.zeros(n, jnp.int32))
    return sweep(trace, units, step_back(cell_path_only, weights, trace), emit)


@jax.jit
def partial_sums(delta, exponent, z, t):
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖ for every u: (mantissa, exponent), each [T, D], the lags u > t last."""
    z, z_exponent = scaled(z)
    exponent = exponent + z_exponent

    def add(state, u):
        total, top = state  # [D, n, c] / 2^top[D]
        s = t - u
        present = (s >= 0) & jnp.any(delta[s] != 0, axis=1)
        higher = jnp.where(present, jnp.maximum(top, exponent[s]), top)
        weigh = jnp.where(present, power_of_two(exponent[s] - higher, z.dtype), 0)
        term = (weigh[:, None] * delta[s])[:, :, None] * z[s][None, None]
        total = total * power_of_two(top - higher, z.dtype)[:, None, None] + term
        mantissa, own = normalise(total, axis=(1, 2))
        return (total, higher), (jnp.sqrt(jnp.sum(mantissa**2, axis=(1, 2))), higher + own[:, 0, 0])

    empty = jnp.zeros((*delta.shape[1:], z.shape[1]), z.dtype)
    _, sums = lax.scan(add, (empty, jnp.full(delta.shape[1], LOWEST)), jnp.arange(len(z)))
    return sums
