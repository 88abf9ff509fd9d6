"""One time t: every dC(t)/dW(t−u) by lag, with signs and partial sums."""

from dataclasses import dataclass, field

import numpy as np

from gradflow.flow.forward import Pass, begin
from gradflow.flow.powers import LN2, log_norm, log_total, logs
from gradflow.flow.sweep import deltas, partial_sums
from gradflow.problem import check_entry, check_time


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
    _exponent: np.ndarray = field(repr=False)  # [T, D]

    def log_terms(self, weight="weight_hh", gate=None):
        """log ‖dC(t)/dW(t−u)‖_F by lag, f64[t+1]; −inf at an exact zero. Args and Raises: as in `GradientMap`."""

        def by_step(name):
            rows = self._pass.rows(name, gate)
            delta = log_norm(self._delta[:, rows]) + self._exponent[:, rows] * LN2
            return log_total(delta) + log_norm(self._pass.trace.factors[name])

        return self._by_lag(self._pass.total(weight, gate, by_step))

    def log_partial_sums(self, weight="weight_hh", gate=None):
        """log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖_F, f64[t+1]. Args and Raises: as in `GradientMap`."""

        def by_lag(name):
            sums = logs(*partial_sums(self._delta, self._exponent, self._pass.trace.factors[name], self.t))
            return log_total(sums[:, self._pass.rows(name, gate)])

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
            log = np.log(np.abs(delta)) + np.log(np.abs(other)) + self._exponent[:, index] * LN2
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
    return lags_of(begin(cell, weights, inputs, readout, targets, pins, carry, cell_path_only), t)


def lags_of(now, t):
    """The `LagTerms` of one t of a forward pass."""
    t = check_time(t, len(now.inputs))
    delta, exponent = deltas(now.weights, now.trace, t, cell_path_only=now.cell_path_only)
    return LagTerms(t, now.overflow, now.underflow, now.device, now, np.asarray(delta), np.asarray(exponent))
