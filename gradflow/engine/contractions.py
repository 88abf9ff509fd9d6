"""Sums of terms over lags, whose norm needs the matrices themselves."""

from functools import partial
from math import ceil

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.backward import CotangentBlock, cotangent_block, sweep, vjp_step
from gradflow.engine.emitters import emit_norms, emit_outflow, largest_exponent
from gradflow.engine.forward import Tape
from gradflow.engine.jit import jit
from gradflow.engine.recurrent_product import CACHE_UNITS, FILL_STEPS, SUM_COLUMNS, SUM_STEPS, index_step
from gradflow.engine.scaling import ZERO_EXPONENT, dot, exponent_of, normalise, power_of_two, scaled_rows


@jit(static_argnames=("cell_path_only", "block_size", "rows"))
def block_sums(
    tape: Tape,
    low: jax.Array,
    z: jax.Array,
    *,
    cell_path_only: bool,
    block_size: int,
    block: CotangentBlock | None = None,
    rows: tuple[int, ...] = (),
) -> tuple[jax.Array, ...]:
    """The `block_norms` and, of the same sweep, ‖Σ_s δ_g(t, s) z(s)ᵀ‖ as (mantissa, exponent), each [D, B].

        delta = (jac_preact[..., None] * ct[:, :, None]).sum(states)      # [T, D, n, B]
        total = einsum("sdnb,sc->dnbc", delta, z)
        norm  = sqrt((total**2).sum((n, c)))                              # [D, B]

    Every term is scaled to the largest of its sum. The sweep leaves ct, and δ is made again where it is needed. The
    contraction goes by some units, steps and columns of z at a time, so that what it works on stays in the cache;
    columns that are zero, and steps whose terms lie beneath the digits of their sums, cost nothing. δ is written into
    an array that the loop carries: fused with its reshape, it would be made one number at a time.
    """
    steps, states, D, n = tape.jacobians.preact.shape
    block = block or cotangent_block(tape, low, block_size)
    units = largest_divisor(n, CACHE_UNITS // block_size)
    padding = -steps % SUM_STEPS
    pad = lambda a: jnp.pad(a, ((0, padding), *[(0, 0)] * (a.ndim - 1)))

    norms, outflow = emit_norms(tape, block), emit_outflow(tape, rows)
    emit = lambda s, delta, state: (*norms(s, delta, state), state.exponent, *state.ct, *outflow(s, delta, state))
    swept = sweep(tape, block, vjp_step(tape, cell_path_only), emit, padding=padding, by_unit=cell_path_only)
    mantissa, norm_exponent, ct_exponent, *ct = swept
    jac_preact, gate_exponent = map(pad, tape.jacobians[2:])
    z, z_exponent = map(pad, scaled_rows(z))  # [T, c], [T, 1]
    size = norm_exponent + exponent_of(mantissa) + z_exponent[:, :, None]
    top = largest_exponent(mantissa, size, axis=0)  # [1, D, B]
    exponent = ct_exponent[:, None] + (z_exponent + gate_exponent)[:, :, None]
    scale = power_of_two(exponent - top, jac_preact.dtype)  # [T, D, B]

    tiles = ceil(z.shape[1] / SUM_COLUMNS)
    columns = jnp.pad(z, ((0, 0), (0, -z.shape[1] % tiles))).T.reshape(tiles, -1, len(z))  # [tiles, c / tiles, T]
    counts = (mantissa > 0) & (size - top > -2 * jnp.finfo(z.dtype).nmant)
    used = columns.any(1) & counts.any((1, 2))[None]  # [tiles, T]
    needed = jnp.where(used, jnp.arange(1, tiles + 1)[:, None], 0)  # how many tiles: up to the last that is used
    needed = needed.reshape(tiles, -1, SUM_STEPS).max((0, 2))  # by so many steps together
    first = jnp.argmax(needed > 0).astype(block.times.dtype)

    def of_units(gate, unit):
        def scaled(s):  # δ of a few steps, at most 1
            take = lambda a, start, size: lax.dynamic_slice(a, (s, *start), (FILL_STEPS, *size))
            jacobian = lambda k: take(jac_preact, (k, gate, unit), (1, 1, units)).reshape(FILL_STEPS, units, 1)
            delta = sum(jacobian(k) * take(ct[k], (unit, 0), (units, block_size)) for k in range(states))
            return (delta * take(scale, (gate, 0), (1, block_size))).astype(z.dtype)

        def add(i, loop_state):
            total, delta = loop_state

            def fill(j, delta):
                s = j * FILL_STEPS
                return lax.dynamic_update_slice_in_dim(delta, scaled(i * SUM_STEPS + s), s, 0)

            delta = lax.fori_loop(0, SUM_STEPS // FILL_STEPS, fill, delta)

            def add_tile(j, total):
                tile = lax.dynamic_slice_in_dim(index_step(columns, j), i * SUM_STEPS, SUM_STEPS, axis=1)
                added = index_step(total, j) + dot(tile, delta.reshape(SUM_STEPS, -1))
                return lax.dynamic_update_index_in_dim(total, added, j, 0)

            return lax.fori_loop(0, needed[i], add_tile, total), delta

        total = jnp.zeros((*columns.shape[:2], units * block_size), z.dtype)
        empty = jnp.zeros((SUM_STEPS, units, block_size), z.dtype)
        total, _ = lax.fori_loop(first, block.times[-1] // SUM_STEPS + 1, add, (total, empty))
        return jnp.sum(total.reshape(-1, block_size) ** 2, axis=0)

    of_gate = lambda gate: lax.map(partial(of_units, gate), jnp.arange(0, n, units)).sum(0)
    squares = lax.map(of_gate, jnp.arange(D))
    return mantissa[:steps], norm_exponent[:steps], jnp.sqrt(squares), top[0], *(a[:steps] for a in ct[states:])


def lower_factor(z: jax.Array) -> jax.Array:
    """L [T, c], lower triangular, that may stand for z: ‖Σ_s δ(s) L(s)ᵀ‖ = ‖Σ_s δ(s) z(s)ᵀ‖, as L Lᵀ = z zᵀ.

        L = cholesky(z @ z.T)

    Step s has s + 1 columns in place of c. It is z itself where those are too few to save time.
    """
    if z.shape[1] <= SUM_COLUMNS:
        return z
    with jax.enable_x64(True):
        return _lower_factor(z)


@jit()
def _lower_factor(z):
    """L by Householder's reflections of the columns of zᵀ, in float64; z where L overflows."""
    mantissa, exponent = normalise(z.astype(jnp.float64), axis=1)
    rows = jnp.arange(z.shape[1])

    def reflect(j, rest):  # [c, T]
        x = jnp.where(rows >= j, lax.dynamic_index_in_dim(rest, j, 1, keepdims=False), 0)
        v = x + jnp.where(rows == j, jnp.where(x[j] < 0, -1, 1) * jnp.sqrt(jnp.sum(x**2)), 0)
        size = jnp.sum(v**2)
        return rest - jnp.where(size > 0, 2 / size, 0) * v[:, None] * dot(v, rest)[None]

    lower = jnp.tril(lax.fori_loop(0, min(len(z), z.shape[1] - 1), reflect, mantissa.T).T)
    lower = (lower * power_of_two(exponent, lower.dtype)).astype(z.dtype)
    return jnp.where(jnp.isfinite(lower).all(), lower, z)


def largest_divisor(n: int, most: int) -> int:
    """The largest divisor of n up to `most`, at least 1."""
    return max(d for d in range(1, n + 1) if n % d == 0 and d <= max(most, 1))


@jit()
def partial_sums(delta: jax.Array, exponent: jax.Array, z: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖ for every u: (mantissa, exponent), each [T, D], the lags u > t 0.

        terms = einsum("sdn,sc->sdnc", delta * 2.0**exponent, z)[t::-1]   # [u, D, n, c]
        total = terms.cumsum(0)
        norm  = sqrt((total**2).sum((n, c)))                              # [u, D]

    The running total is rescaled whenever a larger term joins.
    """
    z, z_exponent = scaled_rows(z)
    exponent = exponent + z_exponent

    def add(u, state):
        total, top, sums, exponents = state  # [D, n, c] / 2^top[D]
        term_delta, term_exponent = index_step(delta, t - u), index_step(exponent, t - u)
        present = jnp.any(term_delta != 0, axis=1)
        higher = jnp.where(present, jnp.maximum(top, term_exponent), top)
        scale = jnp.where(present, power_of_two(term_exponent - higher, z.dtype), 0)
        term = (scale[:, None] * term_delta)[:, :, None] * index_step(z, t - u)[None, None]
        total = total * power_of_two(top - higher, z.dtype)[:, None, None] + term
        mantissa, own = normalise(total, axis=(1, 2))
        norm = jnp.sqrt(jnp.sum(mantissa**2, axis=(1, 2)))
        put = lambda a, new: lax.dynamic_update_index_in_dim(a, new, u, 0)
        return total, higher, put(sums, norm), put(exponents, higher + own[:, 0, 0])

    empty = jnp.zeros((*delta.shape[1:], z.shape[1]), z.dtype)
    none = jnp.zeros(exponent.shape, z.dtype), jnp.zeros_like(exponent)
    return lax.fori_loop(0, t + 1, add, (empty, jnp.full(delta.shape[1], ZERO_EXPONENT), *none))[2:]
