"""One time t: every dC(t)/dW(t−u) by lag, with signs and partial sums, and the chains beside it."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from gradflow.engine.backward import deltas, partial_sums, state_norms
from gradflow.engine.forward import Pass, begin
from gradflow.engine.scaling import LN2, LOWEST, log_norm, log_total, logs, scaled_on_host
from gradflow.engine.unscaled import partial_squares, plain_deltas
from gradflow.problem import check_entry, check_rows, check_time
from gradflow.weights import Weights


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
    _pass: Pass = field(repr=False)
    _delta: np.ndarray = field(repr=False)  # δ(t, s) / 2^exponent, [T, D, n]
    _norm: np.ndarray = field(repr=False)  # ‖δ(t, s)‖ / 2^exponent, [T, D]
    _exponent: np.ndarray = field(repr=False)  # [T, D]

    def log_terms(self, weight="weight_hh", gate=None):
        """log ‖dC(t)/dW(t−u)‖_F by lag, f64[t+1]; −inf at an exact zero. Args and Raises: as in `GradientMap`."""
        by_step = lambda name: np.add(*self._log_factors(name, gate))
        return self._by_lag(self._pass.total(weight, gate, by_step))

    def log_factors(self, weight="weight_hh", gate=None):
        """The two factors of every term, log ‖δ(t,t−u)‖ and log ‖z(t−u)‖, whose sum is `log_terms`.

            dC(t)/dW(s) = δ(t,s) z(s)ᵀ        z(s) = h(s−1) for weight_hh, x(s) for weight_ih, 1 for a bias

        Args:
            weight: a field of `Weights`.
            gate: the rows of that gate alone; None for all rows.

        Returns:
            (log_delta f64[t+1], log_other f64[t+1]), by lag; −inf at an exact zero; NaN if t ≥ `overflow`.

        Raises:
            ValueError: an unknown weight or gate, or "all", which is no outer product.
        """
        self._check_field(weight, gate)
        delta, other = self._log_factors(weight, gate)
        return self._by_lag(delta), self._by_lag(other)

    def log_delta(self, weight="weight_hh", gate=None):
        """log ‖δ(t,t−u)‖ by lag: what is sent back, whatever it meets.

            δ_h = dC(t)/da_h for weight_hh and bias_hh, δ_x = dC(t)/da_x for weight_ih and bias_ih, both joined for all

        Args and Raises: as in `GradientMap`.

        Returns:
            f64[t+1]; −inf at an exact zero; NaN if t ≥ `overflow`.
        """
        check_rows(self._pass.cell, weight, gate)
        fields = ("bias_hh", "bias_ih") if weight == "all" else (weight,)
        each = [self._log_factors(name, gate)[0] for name in fields]
        return self._by_lag(log_total(np.stack(each, axis=-1)))

    def log_partial_sums(self, weight="weight_hh", gate=None):
        """log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F, f64[t+1]. Args and Raises: as in `GradientMap`."""
        return self._log_sums(weight, gate, slice(None))[: self.t + 1]

    def log_tail_sums(self, weight="weight_hh", gate=None):
        """log ‖Σ_{u'≥u} dC(t)/dW(t−u')‖_F: all that backpropagation truncated to the lags below u leaves out.

        The relative error of that truncation is exp(log_tail_sums[u] − log_partial_sums[t]).

        Args and Raises: as in `GradientMap`.

        Returns:
            f64[t+1]; at lag 0 the whole sum; −inf at an exact zero; NaN if t ≥ `overflow`.

        Source: Williams & Peng 1990 (truncated backpropagation through time).
        """
        oldest_first = abs(self.t - np.arange(len(self._delta)))  # what comes beyond t is not summed
        return self._log_sums(weight, gate, oldest_first)[self.t :: -1]

    def _log_sums(self, weight, gate, order):
        """log ‖Σ‖ of the first, the first two, … of the steps `order`[t], `order`[t−1], …, [T]."""

        def sums(name):
            z = np.asarray(self._pass.trace.factors[name])[order]
            norms = logs(*partial_sums(self._delta[order], self._exponent[order], z, self.t))
            return log_total(norms[:, self._pass.rows(name, gate)])

        return self._masked(self._pass.total(weight, gate, sums))

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
            log = np.log(np.abs(delta)) + np.log(np.abs(other)) + self._exponent[:, index] * LN2
        sign = (np.sign(delta) * np.sign(other)).astype(np.int8)
        if self.t >= self._pass.limit:
            sign = np.zeros_like(sign)
        return sign[self.t :: -1], self._by_lag(log)

    def largest_entry(self, weight="weight_hh", gate=None):
        """The single weight whose gradient Σ_u dC(t)/dW(t−u) is largest in magnitude.

        Args:
            weight: a field of `Weights`.
            gate: among the rows of that gate alone; None for all rows.

        Returns:
            (row, col), as `entry` takes them: row in [0, G·n) of the whole field, col None for a bias. The first
            entry of those rows if all are zero or t ≥ `overflow`.

        Raises:
            ValueError: an unknown weight or gate, or "all", in which no entry has one place.
        """
        self._check_field(weight, gate)
        now, past, n = self._pass, slice(self.t + 1), self._delta.shape[-1]
        gates = range(len(now.cell.gates)) if gate is None else [now.cell.gates.index(gate)]
        rows, matrix = now.rows(weight, gate), weight.startswith("weight")
        width = getattr(now.weights, weight).shape[-1] if matrix else 1
        delta = np.asarray(self._delta[past, rows], np.float64)  # [s, gates, n]
        z, exponent = scaled_on_host(np.asarray(now.trace.factors[weight])[past, :width], axis=1)  # [s, c]
        exponent = np.where(delta.any(axis=2), self._exponent[past, rows] + exponent, LOWEST)  # [s, gates]
        top = exponent.max(axis=0)
        total = np.tensordot(np.ldexp(delta, (exponent - top)[..., None]), z, axes=(0, 0))  # [gates, n, c]
        with np.errstate(divide="ignore"):
            log = np.log(np.abs(total)) + (top * LN2)[:, None, None]
        zero = np.isneginf(log).all() or self.t >= now.limit
        block, unit, col = np.unravel_index(0 if zero else np.argmax(log), log.shape)
        return int(gates[block] * n + unit), int(col) if matrix else None

    def log_state_sensitivity(self):
        """log ‖dh(t)/d carry(t−u)‖_F by lag: how far the state reaches, whatever the cost asks of it.

            dh(t)/d carry(s) = dh(t)/d carry(t) Π_{r=s+1..t} d carry(r)/d carry(r−1)        carry: h; of an lstm (h, c)

        With `cell_path_only` it is that of the truncated function.

        Returns:
            f64[t+1]; log √n at lag 0; −inf at an exact zero; NaN if t ≥ `overflow`.

        Source: Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, eq. 5.
        """
        return self._by_lag(self._log_state_norms)

    def log_input_sensitivity(self):
        """log ‖dC(t)/dx(t−u)‖ by lag: how much the input of u steps ago matters to the cost at t.

            dC(t)/dx(s) = W_ihᵀ δ_x(t,s)        δ_x(t,s) = dC(t)/da_x(s)

        Returns:
            f64[t+1]; −inf at an exact zero; NaN if t ≥ `overflow`.

        Source: Graves 2012 (the sequential Jacobian).
        """
        if self.t >= self._pass.limit:
            return np.full(self.t + 1, np.nan)
        past, rows = slice(self.t + 1), self._pass.rows("weight_ih", None)
        weight = np.asarray(self._pass.weights.weight_ih)
        weight, weight_exponent = scaled_on_host(weight if weight.ndim == 2 else weight[past], axis=None)
        delta = np.asarray(self._delta[past, rows], np.float64)  # [s, G, n]
        exponent = np.where(delta.any(axis=2), self._exponent[past, rows], LOWEST)
        top = exponent.max(axis=1, keepdims=True)
        delta = np.ldexp(delta, (exponent - top)[..., None]).reshape(len(delta), 1, -1)
        by_step = log_norm(np.matmul(delta, weight)[:, 0]) + (top[:, 0] + weight_exponent.flat[0]) * LN2
        return self._by_lag(by_step)

    def unscaled_terms(self, weight="weight_hh", gate=None):
        """‖dC(t)/dW(t−u)‖_F by lag as plain backpropagation has it, f[t+1]; as in `GradientMap`."""
        squares = lambda name: np.asarray(self._plain[0])[:, Weights._fields.index(name)]
        return self._by_lag(self._pass.unscaled(weight, gate, squares))

    def unscaled_partial_sums(self, weight="weight_hh", gate=None):
        """‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F as plain backpropagation has it.

        Every δ, product, sum and square stays in the working precision: 0, inf and NaN where that gives up.

        Args and Raises: as in `GradientMap`.

        Returns:
            f[t+1], plain numbers in the working precision; NaN if t ≥ `overflow`.
        """
        factors = self._pass.trace.factors
        squares = lambda name: np.asarray(partial_squares(self._plain[1], factors[name], self.t))
        return self._masked(self._pass.unscaled(weight, gate, squares)[: self.t + 1])

    @cached_property
    def _log_state_norms(self):
        norms = state_norms(self._pass.weights, self._pass.trace, self.t, cell_path_only=self._pass.cell_path_only)
        return log_total(logs(*norms))  # [T]

    @cached_property
    def _plain(self):
        """‖δ_g(t, s) z(s)ᵀ‖² of the four fields [T, 4, D] and δ(t, s) [T, D, n], unscaled."""
        now = self._pass
        return plain_deltas(now.weights, now.trace, self.t, cell=now.cell, cell_path_only=now.cell_path_only)

    def _log_factors(self, name, gate):
        """log ‖δ(t, s)‖ over the chosen rows and log ‖z(s)‖, each [T]."""
        rows = self._pass.rows(name, gate)
        delta = log_total(logs(self._norm[:, rows], self._exponent[:, rows]))
        return delta, log_norm(self._pass.trace.factors[name])

    def _check_field(self, weight, gate):
        if weight == "all":
            raise ValueError(
                "weight is 'all'; the four fields have no factors and no entry in common, so it must be one of "
                + ", ".join(Weights._fields)
            )
        check_rows(self._pass.cell, weight, gate)

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
    return lags_of(begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only), t)


def lags_of(now, t):
    """The `LagTerms` of one t of a forward pass."""
    t = check_time(t, len(now.inputs))
    delta = map(np.asarray, deltas(now.weights, now.trace, t, cell_path_only=now.cell_path_only))
    return LagTerms(t, now.overflow, now.underflow, now.device, now, *delta)
