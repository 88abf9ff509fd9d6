"""All times t at once: the map of every dC(t)/dW(t−u)."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

import jax
import numpy as np

from gradflow.flow.forward import Pass, begin
from gradflow.flow.lags import lags_of
from gradflow.flow.plain import block_squares
from gradflow.flow.powers import LN2, log_norm, log_total, logs
from gradflow.flow.sweep import block_norms, block_sums, totals
from gradflow.weights import Weights

_THREADS = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="gradflow")
_FIRST, _COMPILED = Lock(), set()


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
    _pass: Pass = field(repr=False)
    _norms: dict = field(repr=False, default_factory=dict)  # low -> ‖δ_g(t, s)‖ of the block, once asked for
    _sums: dict = field(repr=False, default_factory=dict)  # field -> low -> ‖Σ_s δ_g(t, s) z(s)ᵀ‖, likewise
    _squares: dict = field(repr=False, default_factory=dict)  # low -> ‖δ_g(t, s) z(s)ᵀ‖² unscaled, likewise

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
        steps = len(self.cost[:horizon])

        def by_step(name):  # [t, s]
            norms = self._blocks(block_norms, self._norms, steps)
            rows = np.isin(np.arange(norms[0][0].shape[1]), self._pass.rows(name, gate))
            delta = np.concatenate([logs(*totals(*block, rows)) for block in norms])
            return delta[:steps, :steps] + log_norm(self._pass.trace.factors[name])[:steps]

        return self._by_lag(self._pass.total(weight, gate, by_step), -np.inf)

    def log_sums(self, weight="weight_hh", gate=None, *, horizon=None):
        """log ‖Σ_u dC(t)/dW(t−u)‖_F, the gradient of the shared weight.

        Args and Raises: as in `log_terms`.

        Returns:
            f64[T]; −inf at an exact zero; NaN for t ≥ `overflow`.
        """
        steps = len(self.cost[:horizon])

        def by_row(name):
            self._blocks(block_norms, self._norms, steps)
            arguments = lambda low: (self._pass.trace.factors[name], *self._norms[low])
            sums = self._blocks(block_sums, self._sums.setdefault(name, {}), steps, arguments)
            return log_total(np.concatenate([logs(*block).T for block in sums])[:steps, self._pass.rows(name, gate)])

        sums = np.array(self._pass.total(weight, gate, by_row))
        sums[self._pass.limit :] = np.nan
        return sums

    def unscaled_terms(self, weight="weight_hh", gate=None, *, horizon=None):
        """‖dC(t)/dW(t−u)‖_F as plain backpropagation has it, in the working precision and without rescaling.

            ‖δ(t,s) z(s)ᵀ‖_F = √ Σ_ij (δ_i z_j)²        with δ(t,s) never divided by a power of two

        Every number, squares too, stays in that precision: below about 1e-19 in float32 a term is 0, above 1e+19
        inf, and NaN where a chain meets inf · 0 or inf − inf. `log_terms` has what the numbers are.

        Args and Raises: as in `log_terms`.

        Returns:
            f[T, T] at [t, u], plain numbers in the working precision; 0 where u > t; NaN in the rows t ≥ `overflow`.
        """
        steps = len(self.cost[:horizon])

        def squares(name):  # [t, s, D]
            blocks = self._blocks(block_squares, self._squares, steps, cell=self._pass.cell)
            rows = [np.asarray(block)[:steps, Weights._fields.index(name)] for block in blocks]
            return np.moveaxis(np.concatenate(rows, axis=-1)[..., :steps], -1, 0)

        return self._by_lag(self._pass.unscaled(weight, gate, squares), 0)

    def lags(self, t):
        """The `LagTerms` of one t, as `lag_terms` gives them, without another forward pass."""
        return lags_of(self._pass, t)

    def _by_lag(self, by_step, nothing):
        """[t, s] as [t, u], u = t − s, with `nothing` where u > t."""
        steps = np.arange(len(by_step))
        s = steps[:, None] - steps
        terms = np.take_along_axis(by_step, np.maximum(s, 0), axis=1)
        terms[s < 0] = nothing
        terms[self._pass.limit :] = np.nan
        return terms

    def _blocks(self, function, kept, steps, arguments=lambda low: (), **static):
        """function(weights, trace, low, *arguments(low)) of every block that begins below `steps`, `kept` by low.

        Blocks are independent: each missing one gets a thread, which takes over its caller's settings, since JAX
        keeps them by thread. The first call of its kind compiles, alone.
        """
        now = self._pass
        length, _, _, n = now.trace.to_delta.shape
        rows = min(length, 64 if n < 256 else 128)  # little waste in the triangle, enough for the matrix product
        wide, device = jax.config.jax_enable_x64, next(iter(now.trace.cost.devices()))
        shapes = [(a.shape, a.dtype) for a in (now.weights.weight_hh, now.inputs, now.trace.to_delta)]
        static |= {"cell_path_only": now.cell_path_only, "rows": rows}
        kind = (function, *static.values(), device, *shapes)

        def run(low):
            with jax.enable_x64(wide), jax.default_device(device):
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
    now = begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only)
    cost = np.array(now.trace.cost)
    log_residual = log_norm(now.trace.seed) + np.asarray(now.trace.seed_exponent) * LN2
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
