"""The engine: every dC(t)/dW(t−u) of one recurrent layer.

Every term is an outer product, dC(t)/dW_hh(s) = δ_h(t,s) h(s−1)ᵀ and dC(t)/dW_ih(s) = δ_x(t,s) x(s)ᵀ, so its norm is
a product of two norms and no matrix of derivatives is ever built. The δ of a block of times t go back through the
network together, one matrix product a step. A block begins at its own last t, so little is computed beyond t, and
blocks are independent.

A cell is elementwise, so its Jacobian is a handful of numbers a unit. They
are computed for all steps before the sweep, which then only multiplies and adds.

After each step every row is divided by a power of two near its largest entry, counted in an integer: no term ever
underflows or overflows, and everything leaves here as a logarithm.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial, reduce
from threading import Lock
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradflow.cells import Cell, openness
from gradflow.problem import check, check_entry, check_rows, check_time
from gradflow.weights import Weights

_dot = partial(jnp.matmul, precision="highest")
_LN2 = np.log(2.0)
_LOWEST = -(2**28)  # the exponent of nothing
_THREADS = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gradflow")
_FIRST, _COMPILED = Lock(), set()


class _Trace(NamedTuple):
    """The forward pass, and all that the sweep needs of it."""

    gates: dict  # openness of the sigmoid gates, each [T, n]
    factors: dict  # field -> the other factor z(s) of its outer product, finite, padded to [T, max(n, m)]
    to_delta: jax.Array  # d carry / d pre-activations, unit by unit, [T, K, D, n], D = G + separate gates
    to_carry: jax.Array  # d carry / d carry before, [T, K, K, n]
    seed: jax.Array  # dC(t)/dh(t) / 2^seed_exponent, [T, n]
    seed_exponent: jax.Array  # [T]
    cost: jax.Array  # [T]
    broken: jax.Array  # a carry or pre-activation is not finite, bool[T]
    flushed: jax.Array  # a state became zero by underflow, bool[T]


# ---------------------------------------------------------------------------------------------- powers of two


def _normalise(x, axis):
    """(x / 2^e, e): e is near log2 of the largest entry along `axis`, which is kept; zero stays zero."""
    exponent = _shift(jnp.abs(x), axis)
    return x * _power(-exponent, x.dtype), exponent


def _shift(size, axis):
    """The exponent of the largest size along `axis`, which is kept; 2^−exponent is a normal number."""
    least = jnp.finfo(size.dtype).minexp
    return jnp.clip(_exponent(jnp.max(size, axis=axis, keepdims=True)), least, -least)


def _exponent(x):
    """floor(log2 x) of x ≥ 0, from its bits; 0 for zero."""
    info = jnp.finfo(x.dtype)
    bits = lax.bitcast_convert_type(x, jnp.int32 if info.bits == 32 else jnp.int64)
    return jnp.where(x > 0, (bits >> info.nmant).astype(jnp.int32) + (info.minexp - 1), 0)


def _power(exponent, dtype):
    """2^exponent, exactly; zero below the smallest normal number, never more than the largest power of two."""
    info = jnp.finfo(dtype)
    biased = jnp.clip(exponent - info.minexp + 1, 0, info.maxexp - info.minexp)
    bits = biased.astype(jnp.int32 if info.bits == 32 else jnp.int64) << info.nmant
    return lax.bitcast_convert_type(bits, dtype)


def _scaled(z):
    """The rows of z as (z / 2^e, e); a zero row has the exponent of nothing."""
    mantissa, exponent = _normalise(z, axis=1)
    return mantissa, jnp.where(jnp.any(z != 0, axis=1, keepdims=True), exponent, _LOWEST)


def _scaled_whole(x):
    """x as (x / 2^e, e), one e for all entries; zero has the exponent of nothing."""
    mantissa, exponent = _scaled(x.reshape(1, -1))
    return mantissa.reshape(x.shape), exponent[0, 0]


# ------------------------------------------------------------------------------------------------ forward pass


def _copy(weights, s):
    """The copy of the weights used at step s."""
    return weights if weights.weight_hh.ndim == 2 else Weights(*(f[s] for f in weights))


@partial(jax.jit, static_argnames="cell")
def _forward(cell, weights, inputs, readout, targets, pins, carry):
    steps = jnp.arange(len(inputs))
    split = lambda a: a.reshape(len(cell.gates), -1)  # [G·n] -> [G, n]
    of_input = lambda s, x: split(_dot(_copy(weights, s).weight_ih, x) + _copy(weights, s).bias_ih)
    of_state = lambda s, h: split(_dot(_copy(weights, s).weight_hh, h) + _copy(weights, s).bias_hh)

    def step(carry, now):
        s, a_x, pin = now
        a_h = of_state(s, carry[0])
        after = cell.step(a_x, a_h, carry, pin)
        return after, (a_h, carry, after)

    a_x = jax.vmap(of_input)(steps, inputs)
    _, (a_h, before, after) = lax.scan(step, carry, (steps, a_x, pins))

    # Is a zero state a closed gate, or did it underflow? Enlarge the tiny entries one step before: a closed gate
    # still gives zero.
    info = jnp.finfo(a_x.dtype)
    grow = lambda c: jnp.where(jnp.abs(c) < info.tiny**0.5, c * 2.0 ** (-info.minexp // 2 - 3), c)
    grown = tuple(map(grow, before))
    again = jax.vmap(cell.step)(a_x, jax.vmap(of_state)(steps, grown[0]), grown, pins)
    tiny = [(jnp.abs(c) < info.tiny) & (jnp.abs(larger) >= info.tiny) for c, larger in zip(after, again, strict=True)]

    sound = [jnp.isfinite(a).reshape(len(steps), -1).all(1) for a in (a_x, a_h, *before, *after)]
    finite = lambda a: jnp.where(jnp.isfinite(a), a, 0)  # the rows that meet what is not are masked
    to_delta, to_carry = jax.vmap(partial(_jacobian, cell))(a_x, a_h, before, pins)
    seed, exponent, cost = jax.vmap(_seed, in_axes=(None, 0, 0))(readout, after[0], targets)
    gates = {name: jax.vmap(openness)((a_x + a_h)[:, cell.gates.index(name)], pin) for name, pin in pins.items()}
    return _Trace(
        gates=gates,
        factors=_factors(before[0], inputs),
        to_delta=finite(to_delta),
        to_carry=finite(to_carry),
        seed=finite(seed),
        seed_exponent=exponent,
        cost=cost,
        broken=~jnp.stack(sound).all(0),
        flushed=jnp.stack(tiny).any((0, 2)),
    )


def _factors(before, inputs):
    """h(s−1), x(s), or 1 for a bias; one shape for all, so that one compilation serves every field."""
    z = {"weight_ih": inputs, "weight_hh": before, "bias_ih": jnp.ones_like(before[:, :1])}
    wide = max(before.shape[1], inputs.shape[1])
    z = {name: jnp.pad(jnp.where(jnp.isfinite(a), a, 0), ((0, 0), (0, wide - a.shape[1]))) for name, a in z.items()}
    return z | {"bias_hh": z["bias_ih"]}


def _jacobian(cell, a_x, a_h, carry, pins):
    """The Jacobian of one step, unit by unit, as the `vmap`ped pullback of each of its K states.

    d carry / d (a_h, a_x of the separate gates) [K, D, n] and d carry / d carry before [K, K, n].
    """
    _, pullback = jax.vjp(lambda *now: cell.step(*now, pins), a_x, a_h, carry)
    one = jnp.eye(len(carry), dtype=a_h.dtype)
    by_x, by_h, by_carry = jax.vmap(pullback)(tuple(jnp.outer(row, jnp.ones_like(carry[0])) for row in one))
    if cell.separate:
        apart = by_x[:, np.array([cell.gates.index(gate) for gate in cell.separate])]
        by_h = jnp.concatenate([by_h, apart], axis=1)
    return by_h, jnp.stack(by_carry, axis=1)


def _seed(readout, h, target):
    """dC/dh = readoutᵀ (readout h − target) as (mantissa, exponent), and C; a NaN target masks both."""
    masked = jnp.isnan(target).any()
    parts = readout, h, jnp.where(masked, 0, target)
    (readout, r_exponent), (h, h_exponent), (target, t_exponent) = map(_scaled_whole, parts)
    top = jnp.maximum(r_exponent + h_exponent, t_exponent)
    scale = lambda exponent: _power(exponent - top, h.dtype)
    residual = _dot(readout, h) * scale(r_exponent + h_exponent) - target * scale(t_exponent)
    residual = jnp.where(masked, 0, residual)
    seed, own = _scaled_whole(_dot(residual, readout))
    half = jnp.sum(residual**2) / 2
    cost = jnp.where(half == 0, 0, half * _power(top, h.dtype) * _power(top, h.dtype))
    return seed, own + r_exponent + top, cost


# -------------------------------------------------------------------------------------------------- the sweep


def _pull(weight, to_delta, to_carry, ct):
    """All rows one step back: dC/d carry(s) -> δ(s) [D, n, rows] and dC/d carry(s−1), K states of [n, rows] each.

        δ = Σ_k (∂carry_k/∂a) ct_k        ct'_j = Σ_k (∂carry_k/∂carry_j) ct_k + (j = h) W_hhᵀ δ_h

    Rows ride along the last axis: sums over units then run down columns, and δ is the matrix product's operand as
    it stands. K is one or two, so its sums are written out.
    """
    states = range(len(ct))
    delta = sum(to_delta[k, :, :, None] * ct[k][None] for k in states)
    back = [sum(to_carry[k, j, :, None] * ct[k] for k in states) for j in states]
    if weight is not None:  # [n, G·n]
        back[0] += _dot(weight, delta.reshape(-1, delta.shape[2])[: weight.shape[1]])
    return delta, tuple(back)


def _sweep(cell_path_only, weights, trace, low, rows, emit):
    """Take the rows t = low … low+rows−1 back to s = 0.

    Returns what `emit(s, δ / 2^e, e)` gives at every s, with zeros beyond t: a tuple of arrays [T, …, rows].
    """
    steps, states, wide, n = trace.to_delta.shape
    row = low + jnp.arange(rows)
    seed = _rows(trace.seed, low, rows).T  # [n, rows]
    ct = (seed, *(jnp.zeros_like(seed) for _ in range(states - 1)))
    exponent = _rows(trace.seed_exponent, low, rows)
    last = jnp.minimum(low + rows, steps) - 1
    tied = weights.weight_hh.ndim == 2
    transposed = jnp.swapaxes(weights.weight_hh, -1, -2)

    def step(i, state):
        ct, exponent, out = state
        s = last - i
        weight = None if cell_path_only else transposed if tied else transposed[s]
        delta, back = _pull(weight, trace.to_delta[s], trace.to_carry[s], ct)
        delta, own = _normalise(delta, axis=1)
        shift = _shift(reduce(jnp.maximum, map(jnp.abs, back)), axis=0)  # [1, rows]
        joined = lambda new, old: jnp.where(jnp.broadcast_to(row >= s, new.shape), new, old)  # until s = t a row waits
        now = emit(s, delta, own[:, 0] + exponent[None])
        out = tuple(a.at[s].set(joined(b, 0)) for a, b in zip(out, now, strict=True))
        ct = tuple(joined(b * _power(-shift, b.dtype), c) for b, c in zip(back, ct, strict=True))
        return ct, joined(exponent + shift[0], exponent), out

    delta = jnp.zeros((wide, n, rows), seed.dtype)
    like = jax.eval_shape(emit, 0, delta, jnp.zeros((wide, rows), jnp.int32))
    out = tuple(jnp.zeros((steps, *a.shape), a.dtype) for a in like)
    return lax.fori_loop(0, last + 1, step, (ct, exponent, out))[2]


def _rows(a, low, rows):
    """a[low : low + rows]; the last block may stick out, into zeros."""
    padding = [(0, rows)] + [(0, 0)] * (a.ndim - 1)
    return lax.dynamic_slice_in_dim(jnp.pad(a, padding), low, rows)


@partial(jax.jit, static_argnames=("cell_path_only", "rows"))
def _norms(weights, trace, low, *, cell_path_only, rows):
    """‖δ_g(t, s)‖ of one block, as (mantissa, exponent), each [T(s), D, rows]."""
    emit = lambda s, delta, exponent: (jnp.sqrt(jnp.sum(delta**2, axis=1)), exponent)
    return _sweep(cell_path_only, weights, trace, low, rows, emit)


@jax.jit
def _totals(mantissa, exponent, rows):
    """‖δ(t, s)‖ of one block over the chosen rows, bool[D], as (mantissa, exponent), each [rows(t), T(s)]."""
    mantissa = jnp.where(rows[None, :, None], mantissa, 0)
    top = _top(mantissa, exponent, axis=1)
    total = jnp.sum((mantissa * _power(exponent - top, mantissa.dtype)) ** 2, axis=1)
    return jnp.sqrt(total).T, top[:, 0].T


def _top(mantissa, exponent, axis):
    """The largest exponent of what is not zero along `axis`, which is kept."""
    return jnp.max(jnp.where(mantissa > 0, exponent, _LOWEST), axis=axis, keepdims=True)


@partial(jax.jit, static_argnames=("cell_path_only", "rows"))
def _sums(weights, trace, low, z, mantissa, exponent, *, cell_path_only, rows):
    """‖Σ_s δ_g(t, s) z(s)ᵀ‖ of one block, as (mantissa, exponent), each [D, rows].

    The block's `_norms` tell the largest exponent of every sum, to which each term is scaled before one
    contraction over s.
    """
    z, z_exponent = _scaled(z)  # [T, c], [T, 1]
    top = _top(mantissa, exponent + z_exponent[:, :, None], axis=0)[0]  # [D, rows]

    def emit(s, delta, exponent):
        return (delta * _power(exponent + z_exponent[s][:, None] - top, delta.dtype)[:, None],)

    (delta,) = _sweep(cell_path_only, weights, trace, low, rows, emit)
    total = _dot(z.T, delta.reshape(len(z), -1)).reshape(-1, *delta.shape[1:])  # [c, D, n, rows]
    total, own = _normalise(total, axis=(0, 2))
    return jnp.sqrt(jnp.sum(total**2, axis=(0, 2))), top + own[0, :, 0]


@partial(jax.jit, static_argnames="cell_path_only")
def _deltas(weights, trace, t, *, cell_path_only):
    """δ(t, s) of one t: (mantissa [T, D, n], exponent [T, D])."""
    delta, exponent = _sweep(cell_path_only, weights, trace, t, 1, lambda s, delta, exponent: (delta, exponent))
    return delta[..., 0], exponent[..., 0]


@jax.jit
def _partial_sums(delta, exponent, z, t):
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖ for every u: (mantissa, exponent), each [T, D], the lags u > t last."""
    z, z_exponent = _scaled(z)
    exponent = exponent + z_exponent

    def add(state, u):
        total, top = state  # [D, n, c] / 2^top[D]
        s = t - u
        present = (s >= 0) & jnp.any(delta[s] != 0, axis=1)
        higher = jnp.where(present, jnp.maximum(top, exponent[s]), top)
        weigh = jnp.where(present, _power(exponent[s] - higher, z.dtype), 0)
        term = (weigh[:, None] * delta[s])[:, :, None] * z[s][None, None]
        total = total * _power(top - higher, z.dtype)[:, None, None] + term
        scaled, own = _normalise(total, axis=(1, 2))
        return (total, higher), (jnp.sqrt(jnp.sum(scaled**2, axis=(1, 2))), higher + own[:, 0, 0])

    empty = jnp.zeros((*delta.shape[1:], z.shape[1]), z.dtype)
    _, sums = lax.scan(add, (empty, jnp.full(delta.shape[1], _LOWEST)), jnp.arange(len(z)))
    return sums


# ------------------------------------------------------------------------------------------------- the results


class _Pass(NamedTuple):
    """A problem on its device, with its forward pass."""

    cell: Cell
    cell_path_only: bool
    weights: Weights
    inputs: jax.Array  # [T, m]
    trace: _Trace
    overflow: int | None
    underflow: int | None
    device: str

    @property
    def limit(self):
        """The first t that has no gradient."""
        return len(self.inputs) if self.overflow is None else self.overflow

    def rows(self, weight, gate):
        """Which of the D rows of δ hold dC/da for this field and gate, as indices."""
        index = {name: i for i, name in enumerate(self.cell.gates)}
        if weight.endswith("_ih"):
            index |= {name: len(self.cell.gates) + i for i, name in enumerate(self.cell.separate)}
        return [index[name] for name in (self.cell.gates if gate is None else (gate,))]

    def total(self, weight, gate, log_norm):
        """log_norm(field) for one field, or for the four together."""
        check_rows(self.cell, weight, gate)
        if weight != "all":
            return log_norm(weight)
        return _log_total(np.stack([log_norm(name) for name in Weights._fields], axis=-1))


def _begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only):
    problem = check(cell, weights, inputs, readout, targets, pins, carry, cell_path_only)
    dtype = jax.dtypes.canonicalize_dtype(problem.dtype)
    _, *arrays, _ = problem
    weights, inputs, *rest = jax.device_put(jax.tree.map(partial(_as, dtype), arrays))
    trace = _forward(problem.cell, weights, inputs, *rest)
    device = ", ".join(sorted(map(str, trace.cost.devices())))
    return _Pass(
        problem.cell, bool(cell_path_only), weights, inputs, trace, _first(trace.broken), _first(trace.flushed), device
    )


def _as(dtype, a):
    """An array in the working precision, a device's where it was and a host's on the host; masks stay masks."""
    return a.astype(dtype) if isinstance(a, jax.Array) else np.asarray(a, a.dtype if a.dtype == bool else dtype)


def _first(mask):
    """The first true step, or None."""
    return int(np.argmax(mask)) if np.any(mask) else None


def _logs(mantissa, exponent):
    """log(mantissa · 2^exponent) on the host, float64; −inf for zero."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(mantissa, np.float64)) + np.asarray(exponent) * _LN2


def _log_total(logs):
    """log of the norm of what has these log norms along the last axis."""
    if logs.shape[-1] == 1:
        return logs[..., 0]
    largest = logs.max(axis=-1)
    safe = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return safe + np.log(np.sum(np.exp(2 * (logs - safe[..., None])), axis=-1)) / 2


def _log_norm(x):
    """log of the 2-norm along the last axis, on the host, in float64."""
    with np.errstate(divide="ignore"):
        return _log_total(np.log(np.abs(np.asarray(x, np.float64))))


@dataclass(frozen=True, eq=False)
class GradientMap:
    """Every dC(t)/dW(t−u) of a layer, as natural logarithms of norms; see `gradient_map`.

    Attributes:
        cost: C(t), f[T]; may be inf before the state overflows, NaN from there on.
        log_residual: log ‖dC(t)/dh(t)‖, f64[T]; −inf where the target is masked, NaN from `overflow` on.
        gates: how open each sigmoid gate is, in [0, 1], name -> f[T, n].
        overflow: the first step whose carry or pre-activation is not finite, else None.
        underflow: the first step at which a state became zero by underflow, else None: zeros that stem from it are
            no closed gates.
        device: where this was computed, for example "TFRT_CPU_0".
    """

    cost: np.ndarray
    log_residual: np.ndarray
    gates: dict[str, np.ndarray]
    overflow: int | None
    underflow: int | None
    device: str
    _pass: _Pass = field(repr=False)
    _norms: dict = field(repr=False, default_factory=dict)  # low -> ‖δ_g(t, s)‖ of the block, once asked for
    _sums: dict = field(repr=False, default_factory=dict)  # field -> low -> ‖Σ_s δ_g(t, s) z(s)ᵀ‖, likewise

    def log_terms(self, weight="weight_hh", gate=None, *, horizon=None):
        """log ‖dC(t)/dW(t−u)‖_F = log ‖δ(t, t−u)‖ + log ‖z(t−u)‖, where z is h(s−1), x(s), or 1 for a bias.

        Args:
            weight: a field of `Weights`, or "all", the four together.
            gate: the rows of that gate alone; None for all rows.
            horizon: the first steps alone, for less work; None for all T.

        Returns:
            f64[T, T] at [t, u]; −inf at an exact zero and where u > t; NaN in the rows t ≥ `overflow`.

        Raises:
            ValueError: an unknown weight or gate.
        """
        steps = np.arange(len(self.cost))[:horizon]

        def by_step(name):  # [t, s]
            norms = self._blocks(_norms, self._norms, len(steps))
            rows = np.isin(np.arange(norms[0][0].shape[1]), self._pass.rows(name, gate))
            delta = np.concatenate([_logs(*_totals(*block, rows)) for block in norms])
            return delta[: len(steps), : len(steps)] + _log_norm(self._pass.trace.factors[name])[: len(steps)]

        s = steps[:, None] - steps  # at [t, u]
        terms = np.take_along_axis(self._pass.total(weight, gate, by_step), np.maximum(s, 0), axis=1)
        terms[s < 0] = -np.inf
        terms[self._pass.limit :] = np.nan
        return terms

    def log_sums(self, weight="weight_hh", gate=None, *, horizon=None):
        """log ‖Σ_u dC(t)/dW(t−u)‖_F, the gradient of the shared weight.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T]; −inf at an exact zero; NaN for t ≥ `overflow`.
        """
        steps = len(self.cost[:horizon])

        def by_row(name):
            self._blocks(_norms, self._norms, steps)
            arguments = lambda low: (self._pass.trace.factors[name], *self._norms[low])
            sums = self._blocks(_sums, self._sums.setdefault(name, {}), steps, arguments)
            return _log_total(np.concatenate([_logs(*block).T for block in sums])[:steps, self._pass.rows(name, gate)])

        sums = np.array(self._pass.total(weight, gate, by_row))
        sums[self._pass.limit :] = np.nan
        return sums

    def lags(self, t):
        """The `LagTerms` of one t, as `lag_terms` gives them, without another forward pass."""
        return _row(self._pass, t)

    def _blocks(self, function, kept, steps, arguments=lambda low: ()):
        """function(weights, trace, low, *arguments(low)) of every block that begins below `steps`, `kept` by low.

        Blocks are independent: each missing one gets a thread, which takes over its caller's settings, since JAX
        keeps them by thread. The first call of its kind compiles, alone.
        """
        now = self._pass
        length, _, _, n = now.trace.to_delta.shape
        rows = min(length, 64 if n < 256 else 128)  # little waste in the triangle, enough for the matrix product
        wide, device = jax.config.jax_enable_x64, next(iter(now.trace.cost.devices()))
        shapes = [(a.shape, a.dtype) for a in (now.weights.weight_hh, now.inputs, now.trace.to_delta)]
        kind = (function, now.cell_path_only, device, *shapes)

        def run(low):
            with jax.enable_x64(wide), jax.default_device(device):
                static = {"cell_path_only": now.cell_path_only, "rows": rows}
                kept[low] = jax.block_until_ready(function(now.weights, now.trace, low, *arguments(low), **static))

        with _FIRST:
            if kind not in _COMPILED:
                run(0)
                _COMPILED.add(kind)
        lows = range(0, steps, rows)
        list(_THREADS.map(run, [low for low in lows if low not in kept]))
        return [kept[low] for low in lows]


def gradient_map(cell, weights, inputs, readout, targets, *, pins=None, carry=None, cell_path_only=False):
    """Compute every dC(t)/dW(t−u) of a recurrent layer, for all t and all lags u.

        C(t) = ½ ‖readout · h(t) − target(t)‖²        dC(t)/dW = Σ_u dC(t)/dW(t−u)

    Args:
        cell: a name in `CELLS`, or a `Cell`, with G gates and n units.
        weights: `Weights` in PyTorch's shapes, [G·n, m], [G·n, n], [G·n], [G·n]; with a leading axis [T, ...] on
            every field each step has its own copy.
        inputs: f[T, m].
        readout: f[n] or f[k, n].
        targets: f[T] or f[T, k], as the readout; NaN masks the cost at that t.
        pins: gate name -> value or f[T] in [0, 1]; the gate is then that constant; NaN: the network decides. Only
            sigmoid gates: lstm input, forget, output; gru reset, update.
        carry: the initial (h,) or (h, c), each f[n]; zeros if None.
        cell_path_only: lstm only; no gradient from the gates into h(s−1), so that the cell path alone remains:

            δ_cell(t,s) = dC/dh(t) ⊙ o(t) ⊙ (1 − tanh² c(t)) ⊙ Π_{r=s+1..t} f(r) ⊙ i(s) ⊙ (1 − g(s)²)

    Returns:
        `GradientMap`. Times are 0-based; lag u of t is the copy used at step t − u; there weight_hh multiplies
        h(t−u−1), at lag t the initial carry. Precision is the result type of the arrays given; tanh' is measured
        down to 1e-38 (|z| = 44), σ' likewise (|z| = 87) in float32, and is an exact zero beyond.

    Raises:
        ValueError: names the field, its value and what is valid.

    Source: Werbos 1990 (backpropagation through time); Hochreiter & Schmidhuber 1997 (the truncation of the cell
    path); Pascanu, Mikolov & Bengio 2013, eq. 3–5 (the sum over lags).
    """
    now = _begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only)
    cost = np.array(now.trace.cost)
    log_residual = _log_norm(now.trace.seed) + np.asarray(now.trace.seed_exponent) * _LN2
    cost[now.limit :] = log_residual[now.limit :] = np.nan
    return GradientMap(
        cost=cost,
        log_residual=log_residual,
        gates={name: np.asarray(gate) for name, gate in now.trace.gates.items()},
        overflow=now.overflow,
        underflow=now.underflow,
        device=now.device,
        _pass=now,
    )


@dataclass(frozen=True, eq=False)
class LagTerms:
    """Every dC(t)/dW(t−u) of one time t, by lag; see `lag_terms`.

    Attributes:
        t: the time.
        overflow, underflow, device: as in `GradientMap`.
    """

    t: int
    overflow: int | None
    underflow: int | None
    device: str
    _pass: _Pass = field(repr=False)
    _delta: np.ndarray = field(repr=False)  # δ(t, s) / 2^exponent, [T, D, n]
    _exponent: np.ndarray = field(repr=False)  # [T, D]

    def log_terms(self, weight="weight_hh", gate=None):
        """log ‖dC(t)/dW(t−u)‖_F by lag, f64[t+1]; −inf at an exact zero. Args and Raises: as in `GradientMap`."""

        def by_step(name):
            rows = self._pass.rows(name, gate)
            delta = _log_norm(self._delta[:, rows]) + self._exponent[:, rows] * _LN2
            return _log_total(delta) + _log_norm(self._pass.trace.factors[name])

        return self._by_lag(self._pass.total(weight, gate, by_step))

    def log_partial_sums(self, weight="weight_hh", gate=None):
        """log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F, f64[t+1]. Args and Raises: as in `GradientMap`."""

        def by_lag(name):
            sums = _logs(*_partial_sums(self._delta, self._exponent, self._pass.trace.factors[name], self.t))
            return _log_total(sums[:, self._pass.rows(name, gate)])

        return self._masked(self._pass.total(weight, gate, by_lag)[: self.t + 1])

    def entry(self, weight, row, col=None):
        """The signed terms of one single weight, by lag.

        Args:
            weight: a field of `Weights`.
            row: its row in [0, G·n).
            col: its column, for a matrix and only there.

        Returns:
            (sign i8[t+1], log of the magnitude f64[t+1]); a zero is (0, −inf); from `overflow` on (0, NaN).

        Raises:
            ValueError: an unknown weight, or a row or column outside the matrix.
        """
        check_entry(self._pass.weights, weight, row, col)
        n = self._delta.shape[-1]
        index = self._pass.rows(weight, None)[row // n]
        delta = np.asarray(self._delta[:, index, row % n], np.float64)
        other = np.asarray(self._pass.trace.factors[weight], np.float64)[:, col or 0]
        with np.errstate(divide="ignore"):
            log = np.log(np.abs(delta)) + np.log(np.abs(other)) + self._exponent[:, index] * _LN2
        sign = (np.sign(delta) * np.sign(other)).astype(np.int8)
        if self.t >= self._pass.limit:
            sign = np.zeros_like(sign)
        return sign[self.t :: -1], self._by_lag(log)

    def _by_lag(self, by_step):
        return self._masked(by_step[self.t :: -1])

    def _masked(self, by_lag):
        return np.full_like(by_lag, np.nan) if self.t >= self._pass.limit else np.array(by_lag)


def lag_terms(cell, weights, inputs, readout, targets, t, *, pins=None, carry=None, cell_path_only=False):
    """Compute every dC(t)/dW(t−u) of one time t, with signs and partial sums.

    Args:
        t: the time, 0-based, in [0, T−1]; another t does not recompile.
        The others: as in `gradient_map`.

    Returns:
        `LagTerms`.

    Raises:
        ValueError: names the field, its value and what is valid.
    """
    return _row(_begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only), t)


def _row(now, t):
    t = check_time(t, len(now.inputs))
    delta, exponent = _deltas(now.weights, now.trace, t, cell_path_only=now.cell_path_only)
    return LagTerms(t, now.overflow, now.underflow, now.device, now, np.asarray(delta), np.asarray(exponent))


@cache
def select_device():
    """Settle, once per process, what JAX computes on.

    Returns:
        (description, notice): for example ("CPU", None). Where the accelerator asked for by `JAX_PLATFORMS` is
        missing, JAX falls back to the CPU and the notice says so.
    """
    notice = None
    try:
        device = jax.devices()[0]
    except (RuntimeError, AssertionError):  # JAX raises one or the other, by platform
        notice = f"There is no {jax.config.jax_platforms} device here: gradflow computes on the CPU."
        jax.config.update("jax_platforms", "cpu")
        device = jax.devices()[0]
    kind = device.platform.upper()
    return kind if kind == "CPU" else f"{kind} ({device.device_kind})", notice
