"""The backward sweep: every δ(t, s), its norms and its sums.

The δ of a block of times t go back through the network together, one matrix product a step. A block begins at its
own last t, so little is computed beyond t, and blocks are independent. After each step every row is divided by a
power of two near its largest entry, counted in an integer. On the cell path alone units never mix, and one that is
lost beneath the largest of its row may be all that is left later: there every unit of a row is divided by its own.
"""

from functools import partial, reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gradflow.engine.scaling import LOWEST, dot, exponent_of, normalise, power_of_two, scaled, shift_of


class Rows(NamedTuple):
    """What goes back together: costs of several t, or the units of one."""

    times: jax.Array  # where each row begins, ascending, [rows]
    seeds: jax.Array  # d/dh(time) / 2^exponent, [n, rows]
    exponents: jax.Array  # [rows]


def step_back(cell_path_only, weights, trace):
    """The pull of a `sweep`: all rows one step back, by the Jacobians of the trace.

        δ = Σ_k (∂carry_k/∂a) ct_k        ct'_j = Σ_k (∂carry_k/∂carry_j) ct_k + (j = h) W_hhᵀ δ_h

    Rows ride along the last axis: sums over units then run down columns. K is one or two, so its sums are written
    out.
    """
    through = through_weight(weights, trace)

    def pull(s, ct):
        to_delta, to_carry, states = at(trace.to_delta, s), at(trace.to_carry, s), range(len(ct))
        h, *others = (sum(to_carry[k, j, :, None] * ct[k] for k in states) for j in states)
        delta = delta_of(to_delta, ct)
        return delta, (h if cell_path_only else h + through(s, ct, to_delta, delta), *others)

    return pull


def through_weight(weights, trace):
    """(s, ct, ∂carry/∂a, δ) -> W_hhᵀ δ_h, which joins dC/dh(s−1).

        W_hhᵀ δ_h = Σ_g W_gᵀ Σ_k (∂carry_k/∂a_g ⊙ ct_k) = Σ_k M_k ct_k        M_k = Σ_g W_gᵀ diag(∂carry_k/∂a_g)

    On the right the product for all rows has K blocks of n × n, not G; it pays for making the M_k where there are
    enough units, and rows. Where each form begins, and which way M lies, was found by timing them on two cores.
    """
    states, n = trace.to_delta.shape[1], trace.seed.shape[1]
    tied = weights.weight_hh.ndim == 2
    turned = jnp.swapaxes(weights.weight_hh, -1, -2)  # [n, G·n]
    gates = turned.shape[-1] // n
    now = lambda a, s: a if tied else at(a, s)
    scaled_blocks = lambda blocks, scale: sum(block[None] * scale(g) for g, block in enumerate(blocks))  # [K, n, n]

    def whole(s, ct, to_delta, delta):
        return dot(now(turned, s), delta.reshape(-1, delta.shape[2])[: gates * n])

    def lying(s, ct, to_delta, delta):  # Mᵀ, all states in one product
        blocks = now(weights.weight_hh, s).reshape(gates, n, n)
        return dot(scaled_blocks(blocks, lambda g: to_delta[:, g, :, None]).reshape(-1, n).T, jnp.concatenate(ct))

    def standing(s, ct, to_delta, delta):
        blocks = jnp.split(now(turned, s), gates, axis=-1)
        return sum(map(dot, scaled_blocks(blocks, lambda g: to_delta[:, g, None, :]), ct))

    def through(s, ct, to_delta, delta):
        few = n < 64 or ct[0].shape[1] < 16 or states == gates
        return (whole if few else lying if n < 128 else standing)(s, ct, to_delta, delta)

    return through


def delta_of(to_delta, ct):
    """Σ_k (∂carry_k/∂a) ct_k, [D, n, rows]."""
    return sum(to_delta[k, :, :, None] * ct[k][None] for k in range(len(ct)))


def at(a, s):
    """a[s], of an s that is known to lie within."""
    return lax.dynamic_index_in_dim(a, s, keepdims=False)


class Going(NamedTuple):
    """How far a sweep has come: d/d carry(s) / 2^exponent."""

    ct: tuple  # K states of [n, rows]
    exponent: jax.Array  # [rows]; of units that go apart [n, rows]


def together(delta, going):
    """δ and how far a sweep has come, with one exponent a row where there was one a unit."""
    present = reduce(jnp.logical_or, (c != 0 for c in going.ct))
    top = jnp.max(jnp.where(present, going.exponent, LOWEST), axis=0, keepdims=True)
    scale = power_of_two(going.exponent - top, delta.dtype)  # [n, rows]
    return delta * scale[None], Going(tuple(c * scale for c in going.ct), top[0])


def sweep(trace, rows, pull, emit, shift_of=shift_of, spare=0, apart=False):
    """Take all `Rows` from their times back to s = 0, each rescaled after each step by its `shift_of`.

    `pull(s, ct)` takes them one step back, d/d carry(s) -> δ(s) [D, n, rows] and d/d carry(s−1). Where it mixes no
    units, each may go `apart`, with an exponent of its own. Returns what `emit(s, δ, going)` gives at every s, with
    zeros beyond a row's time and in `spare` more steps: a tuple of arrays [T + spare, …, rows]. There δ and ct are
    without their 2^exponent.
    """
    steps, states = trace.to_delta.shape[:2]
    last = rows.times[-1]

    def step(i, state):
        going, out = state
        s = last - i
        begun = rows.times >= s  # until then a row waits
        joined = lambda new, old: jnp.where(jnp.broadcast_to(begun, new.shape), new, old)
        delta, back = pull(s, going.ct)
        now = emit(s, *(together(delta, going) if apart else (delta, going)))
        out = tuple(lax.dynamic_update_index_in_dim(a, joined(b, 0), s, 0) for a, b in zip(out, now, strict=True))
        shift = shift_of(reduce(jnp.maximum, map(jnp.abs, back)), axis=() if apart else 0)  # [n or 1, rows]
        ct = tuple(joined(b * power_of_two(-shift, b.dtype), c) for b, c in zip(back, going.ct, strict=True))
        return Going(ct, joined(going.exponent + (shift if apart else shift[0]), going.exponent)), out

    going = Going((rows.seeds, *(jnp.zeros_like(rows.seeds) for _ in range(states - 1))), rows.exponents)
    like = jax.eval_shape(lambda: emit(0, pull(0, going.ct)[0], going))
    out = tuple(jnp.zeros((steps + spare, *a.shape), a.dtype) for a in like)
    if apart:
        going = going._replace(exponent=jnp.broadcast_to(going.exponent, rows.seeds.shape))
    return lax.fori_loop(0, last + 1, step, (going, out))[1]


def block(trace, low, rows):
    """The costs of t = low … low+rows−1."""
    return Rows(low + jnp.arange(rows), cut(trace.seed, low, rows).T, cut(trace.seed_exponent, low, rows))


def cut(a, low, rows):
    """a[low : low + rows]; the first block may begin before time 0, with zeros."""
    padding = [(rows, 0)] + [(0, 0)] * (a.ndim - 1)
    return lax.dynamic_slice_in_dim(jnp.pad(a, padding), low + rows, rows)


def norms_of(trace, rows):
    """The emit of a `sweep` that gives ‖δ_g(s)‖ as (mantissa, exponent), each [D, rows].

    δ is of the size of ct, which is near one, so its squares are mostly numbers. Where one row's sum of them is not,
    or is so small that some may be lost, δ is scaled before it is squared.
    """
    info = jnp.finfo(trace.seed.dtype)
    least = info.tiny * 2.0**40
    open_gates = jnp.any(trace.to_delta != 0, axis=(1, 3))  # [T, D]; a shut gate's δ is zero, and no wonder
    asked = jnp.any(rows.seeds != 0, axis=0)

    def emit(s, delta, going):
        squares = jnp.sum(delta**2, axis=1)
        due = at(open_gates, s)[:, None] & (asked & (rows.times >= s))[None]
        sure = ((squares > least) & (squares <= info.max)) | ~due

        at_once = jnp.sqrt(squares), jnp.zeros(squares.shape, jnp.int32)

        def scaled_first(ct):  # what is rare may compute δ again; what is sure stays what it is beside any other rows
            mantissa, own = normalise(delta_of(at(trace.to_delta, s), ct), axis=1)
            norm = jnp.sqrt(jnp.sum(mantissa**2, axis=1)), own[:, 0]
            return tuple(jnp.where(sure, a, b) for a, b in zip(at_once, norm, strict=True))

        mantissa, own = lax.cond(jnp.all(sure), lambda ct: at_once, scaled_first, going.ct)
        return mantissa, own + going.exponent[None]

    return emit


@partial(jax.jit, static_argnames=("cell_path_only", "rows"))
def block_norms(weights, trace, low, *, cell_path_only, rows):
    """‖δ_g(t, s)‖ of one block, as (mantissa, exponent), each [T(s), D, rows]."""
    rows = block(trace, low, rows)
    pull = step_back(cell_path_only, weights, trace)
    return sweep(trace, rows, pull, norms_of(trace, rows), apart=cell_path_only)


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
def block_sums(weights, trace, low, z, *, cell_path_only, rows):
    """The `block_norms` and, of the same sweep, ‖Σ_s δ_g(t, s) z(s)ᵀ‖ as (mantissa, exponent), each [D, rows].

    Every term is scaled to the largest of its sum. The sweep leaves ct, from which δ = Σ_k (∂carry_k/∂a) ct_k is
    made again where it is needed. The contraction over s goes by some units and some steps at a time, so that what it
    works on stays in the cache.
    """
    steps, states, wide, n = trace.to_delta.shape
    group, width = block(trace, low, rows), largest_divisor(n, 2**12 // rows)
    chunk = min(max(64, n // 2), 256)  # steps
    norms = norms_of(trace, group)
    emit = lambda s, delta, going: (*norms(s, delta, going), going.exponent, *going.ct)
    spare = -steps % chunk
    longer = lambda a: jnp.pad(a, ((0, spare), *[(0, 0)] * (a.ndim - 1)))
    pull = step_back(cell_path_only, weights, trace)
    mantissa, own, exponent, *ct = sweep(trace, group, pull, emit, spare=spare, apart=cell_path_only)
    z, z_exponent = map(longer, scaled(z))  # [T, c], [T, 1]
    to_delta = longer(trace.to_delta)
    size = own + exponent_of(mantissa) + z_exponent[:, :, None]
    top = _top(mantissa, size, axis=0)  # [1, D, rows]
    scale = power_of_two(exponent[:, None] + z_exponent[:, :, None] - top, z.dtype)  # [T, D, rows]

    def of_units(gate, unit):
        def add(i, total):
            now = lambda a, start, size: lax.dynamic_slice(a, (i * chunk, *start), (chunk, *size))
            by_unit = lambda k: now(to_delta, (k, gate, unit), (1, 1, width)).reshape(chunk, width, 1)
            delta = sum(by_unit(k) * now(ct[k], (unit, 0), (width, rows)) for k in range(states))
            weighed = delta * now(scale, (gate, 0), (1, rows))
            return total + dot(now(z, (0,), z.shape[1:]).T, weighed.reshape(chunk, -1))

        chunks = (low + rows - 1) // chunk + 1
        total = lax.fori_loop(0, chunks, add, jnp.zeros((z.shape[1], width * rows), z.dtype))
        return jnp.sum(total.reshape(-1, rows) ** 2, axis=0)

    units = jnp.arange(0, n, width)
    squares = lax.map(lambda gate: lax.map(lambda unit: of_units(gate, unit), units).sum(0), jnp.arange(wide))
    return mantissa[:steps], own[:steps], jnp.sqrt(squares), top[0]


def largest_divisor(n, most):
    """The largest divisor of n up to `most`, at least 1."""
    return max(d for d in range(1, n + 1) if n % d == 0 and d <= max(most, 1))


@partial(jax.jit, static_argnames="cell_path_only")
def deltas(weights, trace, t, *, cell_path_only):
    """δ(t, s) of one t: (mantissa [T, D, n], its norm [T, D], exponent [T, D])."""

    def emit(s, delta, going):
        delta, own = normalise(delta, axis=1)
        return delta, jnp.sqrt(jnp.sum(delta**2, axis=1)), own[:, 0] + going.exponent[None]

    pull = step_back(cell_path_only, weights, trace)
    return [a[..., 0] for a in sweep(trace, block(trace, t, 1), pull, emit, apart=cell_path_only)]


@partial(jax.jit, static_argnames="cell_path_only")
def state_norms(weights, trace, t, *, cell_path_only):
    """‖dh_i(t)/d carry(s)‖ of every unit i of one t, all states together, as (mantissa, exponent), each [T(s), n]."""
    n = trace.seed.shape[1]

    def emit(s, delta, going):
        states, own = normalise(jnp.concatenate(going.ct), axis=0)  # [K·n, n]
        return jnp.sqrt(jnp.sum(states**2, axis=0)), own[0] + going.exponent

    units = Rows(jnp.full(n, t), jnp.eye(n, dtype=trace.seed.dtype), jnp.zeros(n, jnp.int32))
    return sweep(trace, units, step_back(cell_path_only, weights, trace), emit)


@jax.jit
def partial_sums(delta, exponent, z, t):
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖ for every u: (mantissa, exponent), each [T, D], the lags u > t 0."""
    z, z_exponent = scaled(z)
    exponent = exponent + z_exponent

    def add(u, state):
        total, top, sums, exponents = state  # [D, n, c] / 2^top[D]
        now, at_now = at(delta, t - u), at(exponent, t - u)
        present = jnp.any(now != 0, axis=1)
        higher = jnp.where(present, jnp.maximum(top, at_now), top)
        weigh = jnp.where(present, power_of_two(at_now - higher, z.dtype), 0)
        term = (weigh[:, None] * now)[:, :, None] * at(z, t - u)[None, None]
        total = total * power_of_two(top - higher, z.dtype)[:, None, None] + term
        mantissa, own = normalise(total, axis=(1, 2))
        norm = jnp.sqrt(jnp.sum(mantissa**2, axis=(1, 2)))
        put = lambda a, new: lax.dynamic_update_index_in_dim(a, new, u, 0)
        return total, higher, put(sums, norm), put(exponents, higher + own[:, 0, 0])

    empty = jnp.zeros((*delta.shape[1:], z.shape[1]), z.dtype)
    none = jnp.zeros(exponent.shape, z.dtype), jnp.zeros_like(exponent)
    return lax.fori_loop(0, t + 1, add, (empty, jnp.full(delta.shape[1], LOWEST), *none))[2:]
