"""The engine: every dC(t)/dW(t−u) of one recurrent layer.

Every term is an outer product, dC(t)/dW_hh(s) = δ_h(t,s) h(s−1)ᵀ and dC(t)/dW_ih(s) = δ_x(t,s) x(s)ᵀ, so its norm is
a product of two norms and no matrix of derivatives is ever built. The cotangents of many costs ride back through
time together: one step is the pullback of one row, `vmap`ped over the rows t of a block, and its heart is one matrix
product. A block begins at its own last row, so what lies beyond t is hardly ever computed.

A cell is elementwise, so its Jacobian is K × D numbers a unit (K states out; D pre-activations and states in). They
are computed for all steps before the sweep, which then only multiplies and adds.

After each step every row is divided by a power of two near its largest entry, counted in an integer: no term ever
underflows or overflows, and everything leaves here as a logarithm.
"""

from dataclasses import dataclass, field
from functools import cache, partial
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


class _Trace(NamedTuple):
    """The forward pass, and all that the sweep needs of it."""

    before: tuple  # carry before step s, each [T, n]
    gates: dict  # openness of the sigmoid gates, each [T, n]
    jacobian: jax.Array  # [T, K, D, n], D = G + separate gates + K
    seed: jax.Array  # dC(t)/dh(t) / 2^seed_exponent, [T, n]
    seed_exponent: jax.Array  # [T]
    cost: jax.Array  # [T]
    broken: jax.Array  # a carry or pre-activation is not finite, bool[T]
    flushed: jax.Array  # a state became zero by underflow, bool[T]


# ---------------------------------------------------------------------------------------------- powers of two


def _normalise(x, axis):
    """(x / 2^e, e): e is near log2 of the largest entry along `axis`, which is kept; zero stays zero."""
    largest = jnp.max(jnp.abs(x), axis=axis, keepdims=True)
    exponent = jnp.clip(_exponent(largest), -100, 100)  # 2^±100 is a normal number in every precision
    return x * _power(-exponent, x.dtype), exponent


def _exponent(x):
    """floor(log2 x) of x ≥ 0, from its bits; 0 for zero."""
    info = jnp.finfo(x.dtype)
    bits = lax.bitcast_convert_type(x, jnp.int32 if info.bits == 32 else jnp.int64)
    return jnp.where(x > 0, (bits >> info.nmant).astype(jnp.int32) + (info.minexp - 1), 0)


def _power(exponent, dtype):
    """2^exponent, exactly; zero below the smallest normal number."""
    info = jnp.finfo(dtype)
    bits = jnp.int32 if info.bits == 32 else jnp.int64
    biased = jnp.maximum(exponent - info.minexp + 1, 0).astype(bits) << info.nmant
    return lax.bitcast_convert_type(biased, dtype)


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
    jacobian = jax.vmap(partial(_jacobian, cell))(a_x, a_h, before, pins)
    seed, exponent, cost = jax.vmap(_seed, in_axes=(None, 0, 0))(readout, after[0], targets)
    gates = {
        name: jax.vmap(openness)((a_x + a_h)[:, cell.gates.index(name)], pin) for name, pin in pins.items()
    }
    return _Trace(
        before=before,
        gates=gates,
        jacobian=jnp.where(jnp.isfinite(jacobian), jacobian, 0),  # rows that meet these are masked
        seed=jnp.where(jnp.isfinite(seed), seed, 0),
        seed_exponent=exponent,
        cost=cost,
        broken=~jnp.stack(sound).all(0),
        flushed=jnp.stack(tiny).any((0, 2)),
    )


def _jacobian(cell, a_x, a_h, carry, pins):
    """d carry / d (a_h, a_x of the separate gates, carry before) of one step, unit by unit, [K, D, n]."""
    _, pullback = jax.vjp(lambda *now: cell.step(*now, pins), a_x, a_h, carry)

    def row(k):
        one = tuple(jnp.full_like(c, k == j) for j, c in enumerate(carry))
        by_x, by_h, by_carry = pullback(one)
        apart = by_x[np.array([cell.gates.index(g) for g in cell.separate], int)]
        return jnp.concatenate([by_h, apart, jnp.stack(by_carry)])

    return jnp.stack([row(k) for k in range(len(carry))])


def _seed(readout, h, target):
    """dC/dh = readoutᵀ (readout h − target) as (mantissa, exponent), and C; a NaN target masks both."""
    masked = jnp.isnan(target).any()
    target = jnp.where(masked, 0, target)
    exponent = jnp.clip(_exponent(jnp.max(jnp.abs(h))), 0, 100)  # a large state must not overflow here
    scale = _power(-exponent, h.dtype)
    residual = jnp.where(masked, 0, _dot(readout, h * scale) - target * scale)
    cost = jnp.sum(residual**2) / 2
    seed, extra = _normalise(_dot(residual, readout), axis=0)
    cost = jnp.where(cost == 0, 0, cost / scale / scale)
    return seed, exponent + extra[0], cost


# -------------------------------------------------------------------------------------------------- the sweep


def _pull(weight, jacobian, ct):
    """All rows one step back: dC/d carry(s) [K, n, rows] -> δ(s) [D−K, n, rows], dC/d carry(s−1) [K, n, rows].

        δ = Σ_k J_k ct_k        ct'_k = direct path + (k = h) W_hhᵀ δ_h

    Rows ride along the last axis: sums over units then run down columns, and δ is the matrix product's operand as
    it stands. K is one or two, so its sum is written out.
    """
    states, _, rows = ct.shape
    out = sum(jacobian[k, :, :, None] * ct[k][None] for k in range(states))  # [D, n, rows]
    delta, back = out[:-states], out[-states:]
    if weight is not None:  # [n, G·n]
        back = back.at[0].add(_dot(weight, delta.reshape(-1, rows)[: weight.shape[1]]))
    return delta, back


def _sweep(cell_path_only, weights, trace, low, rows, emit):
    """Take the rows t = low … low+rows−1 back to s = 0.

    Returns what `emit(δ / 2^e)` gives at every s, with zeros beyond t, and e: [T, …, rows] and [T, D−K, rows].
    """
    steps, states, wide, n = trace.jacobian.shape
    row = low + jnp.arange(rows)
    ct = jnp.zeros((states, n, rows), trace.seed.dtype).at[0].set(_rows(trace.seed, low, rows).T)
    exponent = _rows(trace.seed_exponent, low, rows)
    last = jnp.minimum(low + rows, steps) - 1
    tied = weights.weight_hh.ndim == 2
    transposed = jnp.swapaxes(weights.weight_hh, -1, -2)

    def step(i, state):
        ct, exponent, out, out_exponent = state
        s = last - i
        weight = None if cell_path_only else transposed if tied else transposed[s]
        delta, back = _pull(weight, trace.jacobian[s], ct)
        delta, own = _normalise(delta, axis=1)
        back, shift = _normalise(back.reshape(1, -1, rows), axis=1)
        joined = lambda new, old: jnp.where(jnp.broadcast_to(row >= s, new.shape), new, old)  # until s = t a row waits
        out = out.at[s].set(joined(emit(delta), 0))
        out_exponent = out_exponent.at[s].set(own[:, 0] + exponent[None])
        return joined(back.reshape(ct.shape), ct), joined(exponent + shift[0, 0], exponent), out, out_exponent

    like = jax.eval_shape(emit, jax.ShapeDtypeStruct((wide - states, n, rows), ct.dtype))
    out = jnp.zeros((steps, *like.shape), ct.dtype)
    out_exponent = jnp.zeros((steps, wide - states, rows), jnp.int32)
    return lax.fori_loop(0, last + 1, step, (ct, exponent, out, out_exponent))[2:]


def _rows(a, low, rows):
    """a[low : low + rows]; the last block may stick out, into zeros."""
    padding = [(0, rows)] + [(0, 0)] * (a.ndim - 1)
    return lax.dynamic_slice_in_dim(jnp.pad(a, padding), low, rows)


def _blocks(steps, rows):
    return jnp.arange(0, steps, rows)


@partial(jax.jit, static_argnames=("cell_path_only", "rows"))
def _norms(weights, trace, *, cell_path_only, rows):
    """‖δ_g(t, s)‖ for every pair and block of gate rows: (mantissa, exponent), each [blocks, T(s), D−K, rows]."""
    norm = lambda delta: jnp.sqrt(jnp.sum(delta**2, axis=1))
    block = lambda low: _sweep(cell_path_only, weights, trace, low, rows, norm)
    return lax.map(block, _blocks(len(trace.seed), rows))


@partial(jax.jit, static_argnames=("cell_path_only", "rows", "which"))
def _sums(weights, trace, z, *, cell_path_only, rows, which):
    """‖Σ_s δ_g(t, s) z(s)ᵀ‖ for the gate rows `which`: (mantissa, exponent), each [blocks, G, rows].

    Every term is scaled to the largest exponent of its row before one contraction over s.
    """
    z, z_exponent = _normalise(z, axis=1)  # [T, c]

    def block(low):
        delta, exponent = _sweep(cell_path_only, weights, trace, low, rows, lambda delta: delta)
        delta, exponent = delta[:, which], exponent[:, which] + z_exponent[:, :, None]
        present = jnp.abs(delta).max(2) > 0
        top = jnp.max(jnp.where(present, exponent, _LOWEST), axis=0, keepdims=True)  # [1, G, rows]
        scaled = delta * _power(jnp.minimum(exponent - top, 0), delta.dtype)[:, :, None]
        total = _dot(z.T, scaled.reshape(len(z), -1)).reshape(-1, *scaled.shape[1:])  # [c, G, n, rows]
        total, own = _normalise(total, axis=(0, 2))
        return jnp.sqrt(jnp.sum(total**2, axis=(0, 2))), top[0] + own[0, :, 0]

    return lax.map(block, _blocks(len(trace.seed), rows))


@partial(jax.jit, static_argnames="cell_path_only")
def _deltas(weights, trace, t, *, cell_path_only):
    """δ(t, s) of one t: (mantissa [T, D−K, n], exponent [T, D−K])."""
    delta, exponent = _sweep(cell_path_only, weights, trace, t, 1, lambda delta: delta)
    return delta[..., 0], exponent[..., 0]


@partial(jax.jit, static_argnames="which")
def _partial_sums(delta, exponent, z, t, *, which):
    """‖Σ_{u'≤u} δ_g(t, t−u') z(t−u')ᵀ‖ for every u: (mantissa, exponent), each [T, G], the lags u > t last."""
    z, z_exponent = _normalise(z, axis=1)
    delta, exponent = delta[:, which], exponent[:, which] + z_exponent

    def add(state, u):
        total, top = state  # [G, n, c] / 2^top[G]
        s = t - u
        present = (s >= 0) & (jnp.abs(delta[s]).max(1) > 0)
        higher = jnp.where(present, jnp.maximum(top, exponent[s]), top)
        weigh = jnp.where(present, _power(exponent[s] - higher, z.dtype), 0)
        term = (weigh[:, None] * delta[s])[:, :, None] * z[s][None, None]
        total = total * _power(top - higher, z.dtype)[:, None, None] + term
        scaled, own = _normalise(total, axis=(1, 2))
        return (total, higher), (jnp.sqrt(jnp.sum(scaled**2, axis=(1, 2))), higher + own[:, 0, 0])

    empty = jnp.zeros((len(which), delta.shape[2], z.shape[1]), z.dtype)
    _, sums = lax.scan(add, (empty, jnp.full(len(which), _LOWEST)), jnp.arange(len(z)))
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
        """Which of the D−K rows of δ hold dC/da for this field and gate."""
        index = {name: i for i, name in enumerate(self.cell.gates)}
        if weight.endswith("_ih"):
            index |= {name: len(self.cell.gates) + i for i, name in enumerate(self.cell.separate)}
        return tuple(index[name] for name in (self.cell.gates if gate is None else (gate,)))

    def factor(self, weight):
        """The other factor of the outer product, [T, c]: h(s−1), x(s), or 1 for a bias."""
        before = self.trace.before[0]
        return {"weight_hh": before, "weight_ih": self.inputs}.get(weight, jnp.ones_like(before[:, :1]))

    def total(self, weight, gate, log_norm):
        """log_norm(field) for one field, or for the four together."""
        check_rows(self.cell, weight, gate)
        if weight != "all":
            return log_norm(weight)
        return _log_total(np.stack([log_norm(name) for name in Weights._fields], axis=-1))


def _begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only):
    problem = check(cell, weights, inputs, readout, targets, pins, carry, cell_path_only)
    dtype = jax.dtypes.canonicalize_dtype(problem.dtype)
    on_device = lambda a: jnp.asarray(a, a.dtype if a.dtype == bool else dtype)
    _, weights, inputs, readout, targets, pins, carry, _ = problem
    weights, inputs, *rest = jax.tree.map(on_device, (weights, inputs, readout, targets, pins, carry))
    trace = _forward(problem.cell, weights, inputs, *rest)
    device = ", ".join(sorted(map(str, trace.cost.devices())))
    return _Pass(
        problem.cell, bool(cell_path_only), weights, inputs, trace, _first(trace.broken), _first(trace.flushed), device
    )


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
    _log_delta: np.ndarray = field(repr=False)  # log ‖δ_g(t, s)‖ at [s, t, g]
    _log_sums: dict = field(repr=False, default_factory=dict)  # field -> [T, G], once asked for

    def log_terms(self, weight="weight_hh", gate=None):
        """log ‖dC(t)/dW(t−u)‖_F = log ‖δ(t, t−u)‖ + log ‖z(t−u)‖, where z is h(s−1), x(s), or 1 for a bias.

        Args:
            weight: a field of `Weights`, or "all", the four together.
            gate: the rows of that gate alone; None for all rows.

        Returns:
            f64[T, T] at [t, u]; −inf at an exact zero and where u > t; NaN in the rows t ≥ `overflow`.

        Raises:
            ValueError: an unknown weight or gate.
        """

        def by_step(name):  # [s, t]
            delta = _log_total(self._log_delta[:, :, self._pass.rows(name, gate)])
            return delta + _log_norm(self._pass.factor(name))[:, None]

        steps = np.arange(len(self.cost))
        s = steps[:, None] - steps  # at [t, u]
        terms = np.where(s >= 0, self._pass.total(weight, gate, by_step)[s, steps[:, None]], -np.inf)
        terms[self._pass.limit :] = np.nan
        return terms

    def log_sums(self, weight="weight_hh", gate=None):
        """log ‖Σ_u dC(t)/dW(t−u)‖_F, the gradient of the shared weight.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T]; −inf at an exact zero; NaN for t ≥ `overflow`.
        """

        def by_gate(name):
            if name not in self._log_sums:
                self._log_sums[name] = self._sum(name)
            chosen = self._pass.cell.gates if gate is None else (gate,)
            return _log_total(self._log_sums[name][:, [self._pass.cell.gates.index(g) for g in chosen]])

        sums = np.array(self._pass.total(weight, gate, by_gate))
        sums[self._pass.limit :] = np.nan
        return sums

    def lags(self, t):
        """The `LagTerms` of one t, as `lag_terms` gives them, without another forward pass."""
        return _row(self._pass, t)

    def _sum(self, name):
        now = self._pass
        mantissa, exponent = _sums(
            now.weights,
            now.trace,
            now.factor(name),
            cell_path_only=now.cell_path_only,
            rows=_sum_rows(*now.trace.jacobian.shape),
            which=now.rows(name, None),
        )
        logs = _logs(mantissa, exponent)  # [blocks, G, rows]
        return np.moveaxis(logs, 1, 2).reshape(-1, logs.shape[1])[: len(self.cost)]


def _map_rows(steps, states, wide, n):
    """Rows of one block of the map."""
    return min(steps, 128)


def _sum_rows(steps, states, wide, n):
    """Rows of one block of sums: its δ, [T, D−K, n, rows], stay near 32 MB."""
    return int(np.clip(2**23 // (steps * wide * n), min(steps, 16), steps))


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
    mantissa, exponent = _norms(
        now.weights,
        now.trace,
        cell_path_only=now.cell_path_only,
        rows=_map_rows(*now.trace.jacobian.shape),
    )
    steps = len(now.inputs)
    log_delta = np.moveaxis(_logs(mantissa, exponent), (1, 3, 2), (0, 2, 3))  # [T(s), blocks, rows, D−K]
    cost = np.array(now.trace.cost)
    residual = _log_norm(now.trace.seed) + np.asarray(now.trace.seed_exponent) * _LN2
    cost[now.limit :] = residual[now.limit :] = np.nan
    return GradientMap(
        cost=cost,
        log_residual=residual,
        gates={name: np.asarray(gate) for name, gate in now.trace.gates.items()},
        overflow=now.overflow,
        underflow=now.underflow,
        device=now.device,
        _pass=now,
        _log_delta=log_delta.reshape(steps, -1, log_delta.shape[-1])[:, :steps],
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
    _delta: np.ndarray = field(repr=False)  # δ(t, s) / 2^exponent, [T, D−K, n]
    _exponent: np.ndarray = field(repr=False)  # [T, D−K]

    def log_terms(self, weight="weight_hh", gate=None):
        """log ‖dC(t)/dW(t−u)‖_F by lag, f64[t+1]; −inf at an exact zero. Args and Raises: as in `GradientMap`."""

        def by_step(name):
            rows = list(self._pass.rows(name, gate))
            delta = _log_norm(self._delta[:, rows]) + self._exponent[:, rows] * _LN2
            return _log_total(delta) + _log_norm(self._pass.factor(name))

        return self._by_lag(self._pass.total(weight, gate, by_step))

    def log_partial_sums(self, weight="weight_hh", gate=None):
        """log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F, f64[t+1]. Args and Raises: as in `GradientMap`."""

        def by_lag(name):
            which = self._pass.rows(name, gate)
            return _log_total(_logs(*_partial_sums(self._delta, self._exponent, self._pass.factor(name), self.t, which=which)))

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
        other = np.asarray(self._pass.factor(weight), np.float64)[:, col or 0]
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
    except RuntimeError:
        notice = f"There is no {jax.config.jax_platforms} device here: gradflow computes on the CPU."
        jax.config.update("jax_platforms", "cpu")
        device = jax.devices()[0]
    kind = device.platform.upper()
    return kind if kind == "CPU" else f"{kind} ({device.device_kind})", notice
