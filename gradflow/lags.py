"""One time t: every dC(t)/dW(t−u) by lag, with signs and partial sums, and the chains beside it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from gradflow.cells import Cell
from gradflow.engine.contractions import partial_sums
from gradflow.engine.emitters import deltas, state_norms
from gradflow.engine.forward import ForwardPass, forward
from gradflow.engine.scaling import (
    LN2,
    ZERO_EXPONENT,
    log_norm,
    log_total,
    logs,
    norm_over_fields,
    scaled_on_host,
    unscaled_norm,
)
from gradflow.engine.unscaled import partial_squares, unscaled_deltas
from gradflow.problem import check_entry, check_selection, check_time
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
    _fwd: ForwardPass = field(repr=False)
    _delta: np.ndarray = field(repr=False)  # δ(t, s) / 2^exponent, [T, D, n]
    _norm: np.ndarray = field(repr=False)  # ‖δ(t, s)‖ / 2^exponent, [T, D]
    _exponent: np.ndarray = field(repr=False)  # [T, D]

    def log_terms(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """log ‖dC(t)/dW(t−u)‖_F by lag, f64[t+1]; −inf at an exact zero. Args and Raises: as in `GradientMap`."""
        check_selection(self._fwd.cell, weight, gate)
        by_step = lambda name: np.add(*self._log_factors(name, gate))
        return self._by_lag(norm_over_fields(weight, by_step))

    def log_factors(self, weight: str = "weight_hh", gate: str | None = None) -> tuple[np.ndarray, np.ndarray]:
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

    def log_delta(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """log ‖δ(t,t−u)‖ by lag: what is sent back, without its other factor.

            δ_h = dC(t)/da_h for weight_hh and bias_hh, δ_x = dC(t)/da_x for weight_ih and bias_ih, both joined for all

        Args and Raises: as in `GradientMap`.

        Returns:
            f64[t+1]; −inf at an exact zero; NaN if t ≥ `overflow`.
        """
        check_selection(self._fwd.cell, weight, gate)
        fields = ("bias_hh", "bias_ih") if weight == "all" else (weight,)
        each = [self._log_factors(name, gate)[0] for name in fields]
        return self._by_lag(log_total(np.stack(each, axis=-1)))

    def log_partial_sums(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F, f64[t+1]. Args and Raises: as in `GradientMap`."""
        return self._log_sums(weight, gate, slice(None))[: self.t + 1]

    def log_tail_sums(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
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
        check_selection(self._fwd.cell, weight, gate)

        def sums(name):
            z = np.asarray(self._fwd.tape.factors[name])[order]
            norms = logs(*partial_sums(self._delta[order], self._exponent[order], z, self.t))
            return log_total(norms[:, self._fwd.gate_index(name, gate)])

        return self._masked(norm_over_fields(weight, sums))

    def entry(self, weight: str, row: int, col: int | None = None) -> tuple[np.ndarray, np.ndarray]:
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
        check_entry(self._fwd.tape.weights, weight, row, col)
        n = self._delta.shape[-1]
        index = self._fwd.gate_index(weight, None)[row // n]
        delta = np.asarray(self._delta[:, index, row % n], np.float64)
        other = np.asarray(self._fwd.tape.factors[weight], np.float64)[:, col or 0]
        with np.errstate(divide="ignore"):
            log = np.log(np.abs(delta)) + np.log(np.abs(other)) + self._exponent[:, index] * LN2
        sign = (np.sign(delta) * np.sign(other)).astype(np.int8)
        if self.t >= self._fwd.limit:
            sign = np.zeros_like(sign)
        return sign[self.t :: -1], self._by_lag(log)

    def largest_entry(self, weight: str = "weight_hh", gate: str | None = None) -> tuple[int, int | None]:
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
        gates = range(len(self._fwd.cell.gates)) if gate is None else [self._fwd.cell.gates.index(gate)]
        total, top = self.sum_of_terms(weight, gate)
        with np.errstate(divide="ignore"):
            log = np.log(np.abs(total)) + (top * LN2)[:, None, None]
        zero = np.isneginf(log).all() or self.t >= self._fwd.limit
        block, unit, col = np.unravel_index(0 if zero else np.argmax(log), log.shape)
        n = self._delta.shape[-1]
        return int(gates[block] * n + unit), int(col) if weight.startswith("weight") else None

    def sum_of_terms(self, weight: str, gate: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Σ_u dC(t)/dW(t−u) itself, on the host: (f64[gates, n, columns], exponent [gates]), of value · 2^exponent.

        Args: as in `largest_entry`; a bias has one column. What t ≥ `overflow` gives means nothing.
        """
        fwd, past, gate_index = self._fwd, slice(self.t + 1), self._fwd.gate_index(weight, gate)
        width = getattr(fwd.tape.weights, weight).shape[-1] if weight.startswith("weight") else 1
        delta = np.asarray(self._delta[past, gate_index], np.float64)  # [s, gates, n]
        z, exponent = scaled_on_host(np.asarray(fwd.tape.factors[weight])[past, :width], axis=1)  # [s, c]
        exponent = np.where(delta.any(axis=2), self._exponent[past, gate_index] + exponent, ZERO_EXPONENT)  # [s, gates]
        top = exponent.max(axis=0)
        return np.tensordot(np.ldexp(delta, (exponent - top)[..., None]), z, axes=(0, 0)), top  # [gates, n, c]

    def log_state_sensitivity(self) -> np.ndarray:
        """log ‖dh(t)/d carry(t−u)‖_F by lag: how far the state reaches, whatever the cost asks of it.

            dh(t)/d carry(s) = dh(t)/d carry(t) Π_{r=s+1..t} d carry(r)/d carry(r−1)        carry: h; of an lstm (h, c)

        With `cell_path_only` it is that of the truncated function.

        Returns:
            f64[t+1]; log √n at lag 0; −inf at an exact zero; NaN if t ≥ `overflow`.

        Source: Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, eq. 5.
        """
        return self._by_lag(self._log_state_norms)

    def log_input_sensitivity(self) -> np.ndarray:
        """log ‖dC(t)/dx(t−u)‖ by lag: how much the input of u steps ago matters to the cost at t.

            dC(t)/dx(s) = W_ihᵀ δ_x(t,s)        δ_x(t,s) = dC(t)/da_x(s)

        Returns:
            f64[t+1]; −inf at an exact zero; NaN if t ≥ `overflow`.

        Source: Graves 2012 (the sequential Jacobian).
        """
        if self.t >= self._fwd.limit:
            return np.full(self.t + 1, np.nan)
        past, gate_index = slice(self.t + 1), self._fwd.gate_index("weight_ih", None)
        weight = np.asarray(self._fwd.tape.weights.weight_ih)
        weight, weight_exponent = scaled_on_host(weight if weight.ndim == 2 else weight[past], axis=None)
        delta = np.asarray(self._delta[past, gate_index], np.float64)  # [s, G, n]
        exponent = np.where(delta.any(axis=2), self._exponent[past, gate_index], ZERO_EXPONENT)
        top = exponent.max(axis=1, keepdims=True)
        delta = np.ldexp(delta, (exponent - top)[..., None]).reshape(len(delta), 1, -1)
        by_step = log_norm(np.matmul(delta, weight)[:, 0]) + (top[:, 0] + weight_exponent.flat[0]) * LN2
        return self._by_lag(by_step)

    def unscaled_terms(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """‖dC(t)/dW(t−u)‖_F by lag as plain backpropagation has it, f[t+1]; as in `GradientMap`."""
        check_selection(self._fwd.cell, weight, gate)
        fields, gates = Weights._fields, self._fwd.gate_index
        squares = lambda name: np.asarray(self._unscaled[0])[:, fields.index(name)][:, gates(name, gate)]
        return self._by_lag(unscaled_norm(weight, squares))

    def unscaled_partial_sums(self, weight: str = "weight_hh", gate: str | None = None) -> np.ndarray:
        """‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F as plain backpropagation has it.

        Every δ, product, sum and square stays in the working precision: 0, inf and NaN where that gives up.

        Args and Raises: as in `GradientMap`.

        Returns:
            f[t+1], plain numbers in the working precision; NaN if t ≥ `overflow`.
        """
        check_selection(self._fwd.cell, weight, gate)
        factors, gates, delta = self._fwd.tape.factors, self._fwd.gate_index, self._unscaled[1]
        squares = lambda name: np.asarray(partial_squares(delta, factors[name], self.t))[:, gates(name, gate)]
        return self._masked(unscaled_norm(weight, squares)[: self.t + 1])

    @cached_property
    def _log_state_norms(self):
        return log_total(logs(*state_norms(self._fwd.tape, self.t, cell_path_only=self._fwd.cell_path_only)))  # [T]

    @cached_property
    def _unscaled(self):
        """‖δ_g(t, s) z(s)ᵀ‖² of the four fields [T, 4, D] and δ(t, s) [T, D, n], unscaled."""
        fwd = self._fwd
        return unscaled_deltas(fwd.tape, self.t, cell=fwd.cell, cell_path_only=fwd.cell_path_only)

    @cached_property
    def _kept_factors(self):
        return dict[tuple, tuple]()

    def _log_factors(self, name, gate):
        """log ‖δ(t, s)‖ over the chosen gates and log ‖z(s)‖, each [T]."""
        if (name, gate) not in self._kept_factors:
            gate_index = self._fwd.gate_index(name, gate)
            delta = log_total(logs(self._norm[:, gate_index], self._exponent[:, gate_index]))
            self._kept_factors[name, gate] = delta, log_norm(self._fwd.tape.factors[name])
        return self._kept_factors[name, gate]

    def _check_field(self, weight, gate):
        if weight == "all":
            raise ValueError(
                "weight is 'all'; the four fields have no factors and no entry in common, so it must be one of "
                + ", ".join(Weights._fields)
            )
        check_selection(self._fwd.cell, weight, gate)

    def _by_lag(self, by_step):
        return self._masked(by_step[self.t :: -1])

    def _masked(self, by_lag):
        return np.full_like(by_lag, np.nan) if self.t >= self._fwd.limit else np.array(by_lag)


def lag_terms(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    readout: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    t: int | None = None,
    *,
    cotangents: ArrayLike | None = None,
    starts: ArrayLike | None = None,
    loss: str = "squared",
    readout_bias: ArrayLike | None = None,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
    cell_path_only: bool = False,
) -> LagTerms:
    """Compute every dC(t)/dW(t−u) of one time t, with signs and partial sums.

    Args:
        t: the time, 0-based, in [0, T−1]; another t does not recompile. By name where there are cotangents.
        The others: as in `gradient_map`.

    Returns:
        `LagTerms`.

    Raises:
        ValueError: names the field, its value and what is valid.
    """
    cost: dict[str, Any] = {"cotangents": cotangents, "loss": loss, "readout_bias": readout_bias}
    layer: dict[str, Any] = {"starts": starts, "pins": pins, "carry": carry, "cell_path_only": cell_path_only}
    return lag_terms_of(forward(cell, weights, inputs, readout, targets, **cost, **layer), t)


def lag_terms_of(fwd: ForwardPass, t: int | None) -> LagTerms:
    """The `LagTerms` of one t of a forward pass, swept in float64: no unit is lost beneath the largest of its cost."""
    t = check_time(t, len(fwd.outputs.cost))
    with jax.enable_x64(True):
        delta = deltas(fwd.precise_tape, t, cell_path_only=fwd.cell_path_only)
    return lag_terms_from(fwd, t, delta)


def lag_terms_from(fwd: ForwardPass, t: int, delta: Iterable[ArrayLike]) -> LagTerms:
    """The `LagTerms` that these δ(t, s), of `deltas` or the like, make."""
    return LagTerms(t, fwd.overflow, fwd.underflow, fwd.device, fwd, *map(np.asarray, delta))
