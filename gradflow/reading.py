"""What the numbers mean: from the terms of one time t to a factor, a memory, a regime and one sentence.

Pure functions of natural logarithms, which work at 1e-400 as at 1. A row holds log ‖dC(t)/dW(t−u)‖ at [u];
−inf is an exact zero.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np


class Fit(NamedTuple):
    """The line log ‖term(u)‖ ≈ intercept + slope · u from lag `first` to `last`; NaN without two terms."""

    slope: float
    intercept: float
    error: float  # rms distance from the line, natural log
    first: int
    last: int

    @property
    def factor(self):
        """exp(slope): what one more step back multiplies a term by."""
        return _exp(self.slope)


class Growth(NamedTuple):
    """How the sum grows with the horizon; `growth` defines the six shapes."""

    shape: str
    slope: float
    power: float  # ~ t^power

    @property
    def rate(self):
        """exp(slope): what one more step of horizon multiplies the sum by."""
        return _exp(self.slope)


@dataclass(frozen=True)
class Reading:
    """What one time t says; the definitions are those of the functions below."""

    regime: str
    slope: float  # log of the per-step factor
    factor: float
    intercept: float
    fit_error: float
    first: int  # lags fitted
    last: int
    memory: int  # lags
    far_share: float  # share of the lags ≥ (t+1)//2
    cancellation: float
    growth: Growth
    log_sum: float
    verdict: str = ""


def per_step_factor(log_row):
    """Least-squares line through the logs of all non-zero terms, each lag counting alike.

        slope = Σ (u − ū)(y_u − ȳ) / Σ (u − ū)²,   y_u = log ‖term(u)‖,   factor = exp(slope)

    No lag is left out by choice: over a hundred lags a transient at the first few hardly tilts the line, and
    shows in the error. One linear unit, term(u) = c ρ^u, gives ρ and no error.

    Args:
        log_row: f[t+1], by lag.

    Returns:
        `Fit`; slope, intercept and error are NaN with fewer than two non-zero terms.
    """
    lags = np.flatnonzero(np.isfinite(log_row))
    first, last = (int(lags[0]), int(lags[-1])) if len(lags) else (0, -1)
    line = _line(lags, log_row[lags]) if len(lags) > 1 else (math.nan,) * 3
    return Fit(*line, first, last)


def memory(log_row, fraction=0.9):
    """The fewest nearest lags that hold `fraction` of the terms' total size; 0 in a row of zeros.

        min m:  Σ_{u<m} ‖term(u)‖ ≥ fraction · Σ_u ‖term(u)‖         terms ρ^u: ⌈log(1 − fraction) / log ρ⌉

    Raises:
        ValueError: a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction!r}; it must be above 0 and at most 1")
    held = np.logaddexp.accumulate(log_row)
    return 0 if held[-1] == -np.inf else 1 + int(np.argmax(held >= held[-1] + math.log(fraction) - 1e-9))


def log_share(log_row):
    """Log of the share of the terms' total size from lags ≥ u: the credit that reaches back that far.

        share(u) = Σ_{u'≥u} ‖term(u')‖ / Σ_{u'} ‖term(u')‖

    Returns:
        f[t+1], 0 at lag 0; −inf everywhere in a row of zeros.

    Source: it must not vanish if a long dependency is to be learned, Bengio 1994 and Pascanu 2013.
    """
    held = np.logaddexp.accumulate(log_row[::-1])[::-1]
    return held if held[0] == -np.inf else held - held[0]


def share(log_row):
    """`log_share` as plain numbers, f[t+1]; 0 below 1e-323."""
    return np.exp(log_share(log_row))


def cancellation(log_row, log_sum):
    """What is left of the terms when they are added, ‖Σ term‖ / Σ ‖term‖ in [0, 1].

    1: they all point the same way (also in a row of zeros). 0: they cancel.
    """
    total = np.logaddexp.reduce(log_row)
    return 1.0 if total == -np.inf else min(_exp(float(log_sum - total)), 1.0)


def growth(log_sums, log_residual):
    """How ‖Σ_u dC(t)/dW(t−u)‖ / ‖dC(t)/dh(t)‖ grows with t, over the last three quarters of the horizon.

    Two lines are fitted to its log: over t, for the rate per step, and over log(t+1), for the power.

        vanishing    power < −¼
        bounded      power in [−¼, ¼]
        sublinear    power in (¼, ¾), like √t from terms with random signs
        linear       power in [¾, 1¼]
        exponential  power > 2½, or power > 1¼ and the line over t fits better
        unclear      the other powers > 1¼; fewer than 4 rows; a standard error of the power above ¼, unless
                     the power is two standard errors outside [−¼, 1¼]

    With terms ρ^u it is (1 − ρ^{t+1}) / (1 − ρ): bounded, linear or exponential for ρ below, at or above 1.

    Args:
        log_sums: f[T], log ‖Σ‖ at each t.
        log_residual: f[T], log ‖dC(t)/dh(t)‖. Rows where either is not finite are left out.

    Returns:
        `Growth`; rate and power are NaN with fewer than 4 rows.
    """
    t = np.arange(len(log_sums))
    rows = t[np.isfinite(log_sums) & np.isfinite(log_residual) & (4 * t >= len(t))]
    if len(rows) < 4:
        return Growth("unclear", math.nan, math.nan)
    ratio = log_sums[rows] - log_residual[rows]
    slope, _, off_exponential = _line(rows, ratio)
    power, _, off_power = _line(np.log1p(rows), ratio)
    doubt = off_power / np.std(np.log1p(rows)) / math.sqrt(len(rows) - 2)
    if doubt > 0.25 and abs(power - 0.5) <= 0.75 + 2 * doubt:
        shape = "unclear"
    elif power > 1.25:
        shape = "exponential" if power > 2.5 or off_exponential < off_power else "unclear"
    else:
        shape = ("vanishing", "bounded", "sublinear", "linear")[np.searchsorted([-0.25, 0.25, 0.75], power)]
    return Growth(shape, slope, power)


def regime(log_row, fit):
    """Name the terms of one t by the line through them.

        overflow   the row is NaN: the forward pass broke at t or before
        mixed      no line describes them: fewer than two non-zero terms; a zero before the last of these; or
                   an rms error above 1.5 (×4.5; log |N(0,1)| alone scatters by 1.1) and above the spread of
                   the line itself, which then explains less than half of the variance
        constant   a factor within 5 % of 1, and a change of at most ×2.7 over all fitted lags
        vanishing  otherwise, a factor below 1
        exploding  otherwise, a factor above 1

    Terms that end in zeros are vanishing or else mixed; one zero, at lag t, is no end: h(−1) is zero there.
    """
    if np.isnan(log_row).any():
        return "overflow"
    span = fit.last - fit.first
    zeros = np.isneginf(log_row)
    if span < 1 or zeros[: fit.last].any() or fit.error > max(1.5, abs(fit.slope) * span / math.sqrt(12)):
        return "mixed"
    constant = abs(fit.slope) <= math.log(1.05) and abs(fit.slope) * span <= 1
    name = "constant" if constant else "vanishing" if fit.slope < 0 else "exploding"
    return "mixed" if zeros.sum() > 1 and name != "vanishing" else name


def read(log_row, log_partial, log_sums, log_residual, overflow, underflow, t):
    """Read the terms of one time t.

    Args:
        log_row: f[t+1], log ‖dC(t)/dW(t−u)‖ by lag.
        log_partial: f[t+1], log of the norm of their running sum.
        log_sums: f[T], log of the norm of the whole sum at each time.
        log_residual: f[T], log ‖dC(t)/dh(t)‖.
        overflow, underflow: the first step at which the forward pass overflows, a state underflows; or None.
        t: the time.

    Returns:
        `Reading`. At an overflow its numbers are NaN and its memory is 0.
    """
    broken = np.isnan(log_row).any()
    row = np.full_like(log_row, -np.inf) if broken else log_row
    fit, log_sum = per_step_factor(row), float(log_partial[-1])
    reading = Reading(
        regime=regime(log_row, fit),
        slope=fit.slope,
        factor=fit.factor,
        intercept=fit.intercept,
        fit_error=fit.error,
        first=fit.first,
        last=fit.last,
        memory=memory(row),
        far_share=math.nan if broken else float(share(row)[(t + 1) // 2]),
        cancellation=math.nan if broken else cancellation(row, log_sum),
        growth=growth(log_sums, log_residual),
        log_sum=log_sum,
    )
    if broken:
        verdict = (
            f"The forward pass overflows at step {overflow}, and no gradient exists from there on: "
            "choose an earlier time or smaller weights."
        )
    elif reading.regime == "mixed":
        flushed = f" (underflow from step {underflow})" if underflow is not None and underflow <= t else ""
        verdict = _mixed(row, number(log_sum), log_residual[t], flushed)
    else:
        factor = f"Each step back multiplies the term by {number(fit.slope)}"
        verdict = factor + _point(reading, row, log_residual[t])
    return replace(reading, verdict=verdict)


def _point(reading, row, residual):
    """What a steady factor means for W: the second half of the sentence."""
    gets, kept = f"W's gradient is {number(reading.log_sum)}", _percent(reading.cancellation)
    shape, size = reading.growth.shape, "the terms' total size"
    more = f"each step more of horizon multiplies it by about {number(reading.growth.slope)}"
    if reading.regime == "exploding":
        far = f": the far half of the lags holds {_percent(reading.far_share)} of {size}, and {gets}."
        return f", so the sum explodes: {gets}, and {more}." if shape == "exponential" else far
    if reading.regime == "constant":
        if reading.cancellation < 1 / 3:
            return f": nothing fades, but the terms cancel; {gets}, {kept} of their total size."
        if shape == "exponential":
            return f": nothing fades, and the sum explodes: {gets}, and {more}."
        if shape == "linear":
            return f": nothing fades, and the sum grows linearly with the horizon; {gets}."
        return f": nothing fades, and {np.isfinite(row).sum()} lags add up; {gets}, {kept} of {size}."
    if reading.log_sum < row.max() - math.log(2):
        return f", and the terms cancel: {gets}, {kept} of their total size."
    healthy = shape != "exponential" and reading.log_sum > residual + math.log(1e-3)
    near = "the nearest lag holds" if reading.memory == 1 else f"the nearest {reading.memory} lags hold"
    return f", yet {'the sum is healthy' if healthy else 'terms add up'}: {gets}, and {near} 90 % of {size}."


def _mixed(row, gets, residual, flushed):
    """The sentence where no factor describes the terms."""
    lags, top = np.isfinite(row).sum(), int(np.argmax(row >= row.max() - 0.01))  # the nearest of equals
    most = _percent(_exp(float(row[top] - np.logaddexp.reduce(row)))) if lags else ""
    if residual == -np.inf:
        return "The cost at this time sends nothing back: it has no target, or no error."
    if lags == 0:
        return f"No gradient reaches these weights from this cost: every term is zero{flushed}."
    if lags == 1:
        return f"Only lag {top} reaches W, whose gradient is {gets}; every other term is zero{flushed}."
    if np.isneginf(row[:-1]).any():
        only = f"Only {lags} of {len(row)} lags reach W, lag {top} most, with {most} of the terms' total size"
        return f"{only}, the rest is zero{flushed}; W's gradient is {gets}."
    return f"No one factor fits these terms: lag {top} is largest, {most} of their total size; W's gradient is {gets}."


def number(log):
    """A magnitude from its natural log, as text: "0.142", "12.0", or with a power of ten, "3.2e-17"."""
    if not math.isfinite(log):
        return "0" if log == -np.inf else "—"
    value = float(f"{math.exp(log):.3g}") if abs(log) < 10 else 0.0
    if 1e-3 <= value < 1e3:
        return f"{value:#.3g}".rstrip(".")
    exponent = math.floor(log / math.log(10))
    digits = f"{math.exp(log - exponent * math.log(10)):.1f}"
    return f"1.0e{exponent + 1:+d}" if digits == "10.0" else f"{digits}e{exponent:+d}"


def _percent(part):
    return "less than 0.01 %" if part < 1e-4 else "100 %" if part >= 0.995 else f"{100 * part:.2g} %"


def _line(x, y):
    """Least squares, y ≈ slope x + intercept: (slope, intercept, rms error)."""
    away = x - x.mean()
    slope = float(away @ (y - y.mean()) / (away @ away))
    intercept = float(y.mean() - slope * x.mean())
    return slope, intercept, float(np.sqrt(np.mean((y - slope * x - intercept) ** 2)))


def _exp(log):
    """exp without overflow."""
    return math.exp(min(log, 700.0))
