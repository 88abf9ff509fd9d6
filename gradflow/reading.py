"""What the numbers mean: from the terms of one time t to a pace, a reach, a growth and one sentence.

Pure functions of natural logarithms, which work at 1e-400 as at 1. −inf is an exact zero.

    ‖dC(t)/dW(t−u)‖ = ‖δ(t,t−u)‖ · ‖z(t−u)‖        z: the state, the input, or 1 for a bias

δ is the error sent back. It alone tells what a step back does: z may grow or fade beside it, and level terms may hide
a δ that explodes. So pace and regime are read from δ, the slope of the terms stands apart, and growth is said of what
it was measured of.
"""

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

LEVEL = 1.05  # a factor a step that is no further from 1, and
LEVEL_IN_ALL = math.e  # a change over all lags that is no larger: constant
FEWEST = 8  # lags for a steady pace, and times for a growth
STEADY_ERROR = 3.0  # the points lie within this factor of the line (rms), and
STEADY_HALF = 4.0  # neither half of the lags departs from it by more in all
BOUNDED, ROOT, LINEAR, POLYNOMIAL = 0.25, 0.75, 1.25, 4.0  # upper ends of the power p of t^p; fading is below −BOUNDED
DOUBT = 0.25  # the largest standard error of a power
ONE_POWER = 0.1  # the powers of both halves of the horizon differ by no more: one power describes it, to a tenth
ALIKE = 1.25  # the slopes of both halves of an exponential differ by no larger a factor
CANCELS = 1 / 3  # of the terms' total size
LN10 = math.log(10)
REACH = 0.9  # of the terms' total size
CHAOTIC = 0.01  # a change of the weights in their last digits moves a step by so much of its size: chaos, and
NEAR_CHAOS = 0.0005  # where rounding may move the gradient by some per cent
ROUNDING = 1e-5  # a change of a logarithm over all rows that is no larger may be rounding alone
LOST = 1e7  # a larger change from one lag to the next is said in decades, and without a factor
MOVES = 2.0  # what terms meet is named where it changes by this factor in all

WORDS = {  # what the sentences say, with both edges of each
    "vanishes": "the pace, what a step back multiplies the error sent back by, is below 1 and not constant",
    "constant": f"a pace within {LEVEL - 1:.0%} of 1, and a change of at most ×{LEVEL_IN_ALL:.1f} over all lags",
    "steady": f"one pace describes all lags: {FEWEST} or more, no zero between, within ×{STEADY_ERROR:g} of the line "
    f"(rms), and neither half departs from it by more than ×{STEADY_HALF:g}",
    "settles": f"divided by its error, the sum goes like t to a power between −{BOUNDED:g} and {BOUNDED:g}: "
    "more steps do not make it larger or smaller",
    "fades": f"divided by its error, the sum falls with the horizon, like t to a power below −{BOUNDED:g}",
    "grows": f"divided by its error, the sum goes like t to a power between {BOUNDED:g} and {POLYNOMIAL:g}; or it "
    f"grows by no one law, the power at least two standard errors above {BOUNDED:g}",
    "explodes": "divided by its error, the sum is multiplied by each step more of horizon: in both halves of the "
    f"horizon alike (within {ALIKE - 1:.0%}), at a pace above {LEVEL:g}",
    "cancel": f"less than {CANCELS:.0%} of the terms' total size is left when they are added",
    "chaotic": f"a change in the seventh digit of the weights moves the state by more than {CHAOTIC:.0%} of its size, "
    "so the gradient is one sample of many",
    "near chaos": f"the same by more than {NEAR_CHAOS:.2%}, so that rounding may move the gradient by some per cent",
}
SAID = {  # growth shape -> what is said of the sum
    "fading": "fades",
    "bounded": "settles",
    "sublinear": "grows",
    "linear": "grows",
    "polynomial": "grows",
    "exponential": "explodes",
}


class Fit(NamedTuple):
    """The line log(u) ≈ intercept + slope · u from lag `first` to `last`; NaN without two finite values."""

    slope: float
    intercept: float
    error: float  # rms distance from the line, natural log
    first: int
    last: int
    steady: bool  # whether the one slope describes all these lags; see `per_step_factor`

    @property
    def factor(self) -> float:
        """exp(slope): what one more step back multiplies by."""
        return _exp(self.slope)


class Growth(NamedTuple):
    """How a sum grows with the horizon; `growth` defines the shapes."""

    shape: str
    slope: float
    power: float  # ~ t^power
    doubt: float  # standard error of the power
    power_steady: bool = False  # whether one power describes it, to a tenth
    log_change: float = math.nan  # log of the last value it is read from over the first
    underflows: bool = False  # whether a state underflows within the horizon, so that no more than this is known

    @property
    def rate(self) -> float:
        """exp(slope): what one more step of horizon multiplies it by."""
        return _exp(self.slope)

    @property
    def said(self) -> str | None:
        """settles, fades, grows, explodes; None where none of them can be told."""
        if self.underflows:
            return None
        surely = self.shape == "unclear" and self.power - 2 * self.doubt > BOUNDED
        return "grows" if surely else SAID.get(self.shape)


@dataclass(frozen=True)
class Reading:
    """What one time t says; the definitions are those of the functions below.

    Factors, rates and shares are plain numbers, magnitudes natural logarithms; NaN where there is nothing to fit.
    """

    pace: float  # what a step back multiplies ‖δ‖ by
    pace_steady: bool
    pace_near: float  # the same over the first quarter of the lags, u < (t+1)//4
    pace_near_steady: bool
    pace_far: float  # and over the last half, u ≥ (t+1)//2
    pace_far_steady: bool
    regime: str  # of δ
    term_pace: float  # what a step back multiplies a term by
    term_pace_steady: bool
    growth: Growth  # of ‖Σ‖ over the horizon
    growth_by_error: Growth  # of ‖Σ‖ / ‖dC(t)/dh(t)‖
    log_sum: float
    memory: int  # lags
    far_share: float  # share of the lags ≥ (t+1)//2
    coherence: float
    zero_lags: int  # terms that are exact zeros
    chaotic: bool | None  # up to t; None: not asked
    near_chaos: bool | None  # or nearly so, up to t
    near_chaos_later: bool | None  # only after t, within the horizon, over which growth is read
    claims: tuple = ()  # (kind, value): what the sentence says
    verdict: str = ""

    def asdict(self) -> dict[str, float | int | str | bool | None]:
        """Every field by name, for a logger; of the growths each part: {"pace": …, "growth_slope": …, …}."""
        told = {name: value for name, value in vars(self).items() if not isinstance(value, tuple)}
        for name in ("growth", "growth_by_error"):
            told |= {f"{name}_{part}": value for part, value in getattr(self, name)._asdict().items()}
        return told


def per_step_factor(log_row: np.ndarray) -> Fit:
    """Least-squares line through all finite values of a row, each lag counting alike.

        slope = Σ (u − ū)(y_u − ȳ) / Σ (u − ū)²,   y_u = log of lag u,   factor = exp(slope)

    It is steady, so that one factor describes the lags, where there are at least 8 values, no zero between the first
    and the last, an rms distance of at most ln 3, and in each half of them |slope of that half − slope| · lags in it
    is at most ln 4.

    Args:
        log_row: f[t+1], by lag.

    Returns:
        `Fit`; slope, intercept and error are NaN with fewer than two finite values.
    """
    lags = np.flatnonzero(np.isfinite(log_row))
    first, last = (int(lags[0]), int(lags[-1])) if len(lags) else (0, -1)
    if len(lags) < 2:
        return Fit(math.nan, math.nan, math.nan, first, last, False)
    slope, intercept, error = _line(lags, log_row[lags])
    steady = len(lags) >= FEWEST and len(lags) == last - first + 1 and error <= math.log(STEADY_ERROR)
    if steady:
        half = len(lags) // 2
        parts = (lags[:half], lags[half:])
        away = [abs(_line(part, log_row[part])[0] - slope) * len(part) for part in parts]
        steady = max(away) <= math.log(STEADY_HALF)
    return Fit(slope, intercept, error, first, last, steady)


def memory(log_row: np.ndarray, fraction: float = REACH) -> int:
    """The fewest nearest lags that hold `fraction` of the terms' total size; 0 in a row of zeros.

        min m:  Σ_{u<m} ‖term(u)‖ ≥ fraction · Σ_u ‖term(u)‖         terms ρ^u: ⌈log(1 − fraction) / log ρ⌉

    Raises:
        ValueError: a fraction outside (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction is {fraction!r}; it must be above 0 and at most 1")
    held = np.logaddexp.accumulate(log_row)
    return 0 if held[-1] == -np.inf else 1 + int(np.argmax(held >= held[-1] + math.log(fraction) - 1e-9))


def log_share(log_row: np.ndarray) -> np.ndarray:
    """Log of the share of the terms' total size from lags ≥ u: the credit that reaches back that far.

        share(u) = Σ_{u'≥u} ‖term(u')‖ / Σ_{u'} ‖term(u')‖

    Returns:
        f[t+1], 0 at lag 0; −inf everywhere in a row of zeros.

    Source: it must not vanish if a long dependency is to be learned, Bengio 1994 and Pascanu 2013.
    """
    held = np.logaddexp.accumulate(log_row[::-1])[::-1]
    return held if held[0] == -np.inf else held - held[0]


def share(log_row: np.ndarray) -> np.ndarray:
    """`log_share` as plain numbers, f[t+1]; 0 below 1e-323."""
    return np.exp(log_share(log_row))


def coherence(log_row: np.ndarray, log_sum: float) -> float:
    """What is left of the terms when they are added, ‖Σ term‖ / Σ ‖term‖ in [0, 1].

    1: they all point the same way (also in a row of zeros). 0: they cancel.
    """
    total = np.logaddexp.reduce(log_row)
    return 1.0 if total == -np.inf else min(_exp(float(log_sum - total)), 1.0)


def growth(log_sums: np.ndarray, log_residual: np.ndarray, pace: float) -> Growth:
    """How ‖Σ_u dC(t)/dW(t−u)‖ / ‖dC(t)/dh(t)‖ grows with t, over the last three quarters of the horizon.

    Two lines are fitted to its log: over t, for the rate a step, and over log(t+1), for the power p.

        unclear      fewer than 8 rows
        exponential  otherwise, if the slopes over t of both halves of the rows are positive (more than rounding makes),
                     the larger at most 1.25 times the smaller, and the pace is above 1.05
        unclear      otherwise, if the standard error of p is above ¼, or p > 4
        fading, bounded, sublinear, linear, polynomial
                     otherwise, for p below −¼, up to ¼, up to ¾, up to 1¼, up to 4

    With terms ρ^u it is (1 − ρ^{t+1}) / (1 − ρ): bounded, linear or exponential for ρ below, at or above 1.

    Args:
        log_sums: f[T], log ‖Σ‖ at each t.
        log_residual: f[T], log ‖dC(t)/dh(t)‖, or zeros to read ‖Σ‖ itself. Rows where either is not finite are left
            out.
        pace: what a step back multiplies ‖δ‖ by.

    One power describes a sum where the lines over log (t+1) through both halves of the rows have slopes within 0.1.

    Returns:
        `Growth`; slope, power, doubt and change are NaN with fewer than 8 rows.
    """
    t = np.arange(len(log_sums))
    rows = t[np.isfinite(log_sums) & np.isfinite(log_residual) & (4 * t >= len(t))]
    if len(rows) < FEWEST:
        return Growth("unclear", math.nan, math.nan, math.nan)
    log, log_rows = log_sums[rows] - log_residual[rows], np.log1p(rows)
    slope, *_ = _line(rows, log)
    power, _, error = _line(log_rows, log)
    doubt = error / float(np.std(log_rows)) / math.sqrt(len(rows) - 2)
    halves = slice(len(rows) // 2), slice(len(rows) // 2, None)
    low, high = sorted(_line(rows[part], log[part])[0] for part in halves)
    least, most = sorted(_line(log_rows[part], log[part])[0] for part in halves)
    if low * len(rows) > ROUNDING and high <= ALIKE * low and pace > LEVEL:
        shape = "exponential"
    elif doubt > DOUBT or power > POLYNOMIAL:
        shape = "unclear"
    else:
        shapes = ("fading", "bounded", "sublinear", "linear", "polynomial")
        shape = shapes[np.searchsorted([-BOUNDED, BOUNDED, ROOT, LINEAR], power)]
    return Growth(shape, slope, power, doubt, most - least <= ONE_POWER, float(log[-1] - log[0]))


def regime(log_delta: np.ndarray, fit: Fit) -> str:
    """Name δ of one t by the line through it.

        overflow   the row is NaN: the forward pass broke at t or before
        mixed      no line describes it: fewer than two finite values; a zero before the last of these; or an rms
                   error above 1.5 (×4.5; log |N(0,1)| alone scatters by 1.1) and above the spread of the line itself,
                   which then explains less than half of the variance
        constant   a factor within 5 % of 1, and a change of at most ×2.7 over all fitted lags
        vanishing  otherwise, a factor below 1
        exploding  otherwise, a factor above 1

    What ends in zeros is vanishing or else mixed; one zero, at lag t, is no end: h(−1) is zero there.
    """
    if np.isnan(log_delta).any():
        return "overflow"
    span = fit.last - fit.first
    zeros = np.isneginf(log_delta)
    if span < 1 or zeros[: fit.last].any() or fit.error > max(1.5, abs(fit.slope) * span / math.sqrt(12)):
        return "mixed"
    name = "constant" if _level(fit.slope, span) else "vanishing" if fit.slope < 0 else "exploding"
    return "mixed" if zeros.sum() > 1 and name != "vanishing" else name


def read(
    log_row: np.ndarray,
    log_delta: np.ndarray,
    log_partial: np.ndarray,
    log_sums: np.ndarray,
    log_residual: np.ndarray,
    overflow: int | None,
    underflow: int | None,
    t: int,
    moved: np.ndarray | None = None,
) -> Reading:
    """Read one time t.

    Args:
        log_row: f[t+1], log ‖dC(t)/dW(t−u)‖ by lag.
        log_delta: f[t+1], log ‖δ(t,t−u)‖ by lag.
        log_partial: f[t+1], log of the norm of the terms' running sum.
        log_sums: f[T], log of the norm of the whole sum at each time.
        log_residual: f[T], log ‖dC(t)/dh(t)‖.
        overflow, underflow: the first step at which the forward pass overflows, a state underflows; or None.
        t: the time.
        moved: f[≥ T], by how much of its size a second forward pass, with other last digits of the weights, moved each
            step; None where no second one was made.

    Returns:
        `Reading`. At an overflow its numbers are NaN and its memory is 0.
    """
    broken = bool(np.isnan(log_row).any())
    row, delta = (np.full_like(a, -np.inf) if broken else a for a in (log_row, log_delta))
    fit, terms, log_sum = per_step_factor(delta), per_step_factor(row), float(log_partial[-1])
    near, far = per_step_factor(delta[: (t + 1) // 4]), per_step_factor(delta[(t + 1) // 2 :])
    underflows = underflow is not None and underflow < len(log_sums)
    reading = Reading(
        pace=fit.factor,
        pace_steady=fit.steady,
        pace_near=near.factor,
        pace_near_steady=near.steady,
        pace_far=far.factor,
        pace_far_steady=far.steady,
        regime=regime(log_delta, fit),
        term_pace=terms.factor,
        term_pace_steady=terms.steady,
        growth=growth(log_sums, np.zeros_like(log_sums), fit.factor)._replace(underflows=underflows),
        growth_by_error=growth(log_sums, log_residual, fit.factor)._replace(underflows=underflows),
        log_sum=log_sum,
        memory=memory(row),
        far_share=math.nan if broken else float(share(row)[(t + 1) // 2]),
        coherence=math.nan if broken else coherence(row, log_sum),
        zero_lags=0 if broken else int(np.isneginf(row).sum()),
        **_nearness(moved, t, len(log_sums)),
    )
    text = _Sentence()
    if broken:
        text.claim("overflow", overflow)
        text.say(
            f"The forward pass overflows at step {overflow}, and no gradient exists from there on: "
            "choose an earlier time or smaller weights."
        )
    else:
        flushed = underflow if underflow is not None and underflow <= t and reading.zero_lags else None
        _tell(text, reading, row, delta, log_residual[t], flushed)
    return replace(reading, verdict=" ".join(text.sentences), claims=tuple(text.claims))


def _nearness(moved, t, horizon):
    """How near chaos t is, and what comes after it: the three fields of a `Reading`."""
    if moved is None:
        return dict.fromkeys(("chaotic", "near_chaos", "near_chaos_later"))
    until = float(moved[: t + 1].max())
    near = until > NEAR_CHAOS
    later = not near and bool((moved[t + 1 : horizon] > NEAR_CHAOS).any())
    return {"chaotic": until > CHAOTIC, "near_chaos": near, "near_chaos_later": later}


# ------------------------------------------------------------------------------------------------- the sentence


@dataclass
class _Sentence:
    """A text, and what it claims."""

    sentences: list = field(default_factory=list)
    claims: list = field(default_factory=list)

    def claim(self, kind, value=None):
        """Note a claim, and hand its value on."""
        self.claims.append((kind, value))
        return value

    def say(self, sentence):
        self.sentences.append(sentence)


def _tell(text, reading, row, delta, residual, flushed):
    """The sentences of a forward pass that is whole."""
    lags = np.flatnonzero(np.isfinite(row))
    lost = f" (underflow from step {text.claim('underflow', flushed)})" if flushed is not None else ""
    if residual == -np.inf:
        text.claim("no_target")
        text.say("The cost at this time sends nothing back: it has no target, or no error.")
    elif not lags.size:
        text.claim("silent")
        text.say(f"No gradient reaches these weights from this cost: every term is zero{lost}.")
    elif lags.size == 1 and len(row) > 1:
        lag = text.claim("only_lag", int(lags[0]))
        gets = "" if reading.near_chaos else f", whose gradient is {number(text.claim('sum', reading.log_sum))}"
        text.say(f"Only lag {lag} reaches W{gets}; every other term is zero{lost}.")
    else:
        if reading.chaotic:
            text.claim("chaotic", True)
            text.say("Chaotic: a change in the seventh digit of the weights moves the state by more than a hundredth.")
        text.say(_pace(text, reading, delta) + ".")
        if reading.chaotic:
            text.say("The gradient at this time is one sample of many.")
        elif reading.near_chaos:
            text.claim("near_chaos", True)
            text.say("It is so near chaos that rounding may move every other number by some per cent.")
        else:
            text.say(_details(text, reading, row, delta, lost))


def _pace(text, reading, delta):
    """What a step back does to δ, and what becomes of the sum."""
    about = "about " if reading.near_chaos else ""
    said = lambda kind: about + number(_log(text.claim(kind, getattr(reading, kind))))
    if reading.pace_steady:
        return _named(text, reading, f"Each step back multiplies the error δ by {said('pace')}")
    if reading.pace_near_steady and reading.pace_far_steady:
        near, far = said("pace_near"), said("pace_far")
        does = (
            f"Near steps back multiply the error δ by {near}, far ones by {far}"
            if near != far
            else f"Near and far steps back both multiply the error δ by {near}"
        )
        alike = (reading.pace_near - 1) * (reading.pace_far - 1) > 0
        return _named(text, reading, does) if alike else does + _sum(text, reading, ", and ")
    jump = "" if reading.near_chaos else _jump(text, delta)
    if reading.pace_near_steady:
        does = f"Near steps back multiply the error δ by {said('pace_near')}; {jump or 'no one factor fits all'}"
    elif reading.pace_far_steady:
        does = f"Far steps back multiply the error δ by {said('pace_far')}; {jump or 'no one factor fits all'}"
    elif np.isfinite(delta).sum() < FEWEST:
        does = "There are too few lags for a pace"
    else:
        does = "No one factor fits the steps back" + (jump and f": {jump}")
    return does + _sum(text, reading, ", and ")


def _named(text, reading, does):
    """With the name of the regime, and what becomes of the sum."""
    names = {"vanishing": ("δ vanishes", ", yet "), "constant": ("δ keeps its size", ", and ")}
    name, joins = (names | {"exploding": ("δ grows", ", so ")}).get(reading.regime, ("", ", and "))
    fits = {"settles": ", yet ", "explodes": ", so ", "grows": ", so "}.get(reading.growth_by_error.said)
    if name:
        text.claim("regime", reading.regime)
        does = f"{does}: {name}"
    return does + _sum(text, reading, joins if joins == fits else ", and ")


def _jump(text, delta):
    """The largest change from one lag to the next, where there is a large one."""
    with np.errstate(invalid="ignore"):  # −inf − −inf
        steps = np.diff(delta)
    steps = np.where(np.isfinite(steps), steps, 0.0)
    if len(delta) < FEWEST or np.abs(steps).max() < math.log(STEADY_HALF):
        return ""
    lag = int(np.argmax(np.abs(steps))) + 1
    if abs(steps[lag - 1]) > math.log(LOST):
        return f"δ jumps by more than seven decades at lag {text.claim('decades', lag)}"
    text.claim("cliff", (lag, _exp(float(steps[lag - 1]))))
    return f"δ jumps by ×{number(float(steps[lag - 1]))} at lag {lag}"


def _sum(text, reading, joins):
    """How the sum goes on with the horizon."""
    said = reading.growth_by_error.said
    if said is None:
        return ""
    text.claim(said, "growth_by_error")
    return f"{joins}the sum {said}"


def _details(text, reading, row, delta, lost):
    """How large the sum is, how its terms and itself go on, and where the terms are."""
    said = [f"W's gradient is {number(text.claim('sum', reading.log_sum))}", *_second(text, reading, row)]
    said += _law(text, reading)
    if reading.coherence < CANCELS:
        said.append(f"the terms cancel, {_percent(text.claim('cancels', reading.coherence))} of their size is left")
    if (reading.zero_lags > 1 or np.isneginf(row[:-1]).any()) and (lost or not _underflows(delta)):
        zeros = text.claim("zero_lags", reading.zero_lags)
        top = int(np.argmax(row >= row.max() - 0.01))  # the nearest of equals
        part = _exp(float(row[top] - np.logaddexp.reduce(row)))
        text.claim("top_lag", (top, part))
        are = "lag is an exact zero" if zeros == 1 else "lags are exact zeros"
        said.append(f"{zeros} {are}{lost}, and lag {top} holds most of the terms' size, {_percent(part)}")
    elif 2 * reading.memory > len(row):
        part = _percent(text.claim("far_share", reading.far_share))
        said.append(f"the far half of the lags holds {part} of the terms' size")
    else:
        near = text.claim("reach", reading.memory)
        lags = "the nearest lag holds" if near == 1 else f"the nearest {near} lags hold"
        said.append(f"{lags} 90 % of the terms' size")
    return "; ".join(said) + "."


def _underflows(delta):
    """Whether δ is zero next to a change by more than `LOST`: it may have left the range of the numbers there."""
    zero = np.isneginf(delta)
    with np.errstate(invalid="ignore"):  # −inf − −inf
        steps = np.abs(np.diff(delta))
    large = np.isfinite(steps) & (steps > math.log(LOST))
    return bool((large[:-1] & zero[2:]).any() or (large[1:] & zero[:-2]).any())


def _second(text, reading, row):
    """What the terms do beside δ, where what they meet moves."""
    span = len(row) - 1
    apart = abs(_log(reading.term_pace) - _log(reading.pace)) * span
    if not (reading.pace_steady and reading.term_pace_steady and apart > math.log(MOVES)):
        return []
    meets = "grows" if reading.term_pace > reading.pace else "fades"
    slope = _log(text.claim("term_pace", reading.term_pace))
    goes = "stay level," if _level(slope, span) else "fall by" if slope < 0 else "grow by"
    return [f"what δ meets {meets}, and the terms {goes} ×{number(slope)} a step"]


def _law(text, reading):
    """By what law the sum goes on with the horizon; in chaos, or near it, there is none to be told."""
    by_error, itself = reading.growth_by_error, reading.growth
    if by_error.said in (None, "settles") or reading.near_chaos_later:
        return []
    if by_error.said == "explodes":
        rate = number(_log(text.claim("sum_rate_by_error", by_error.rate)))
        more = (
            f", and ×{number(_log(text.claim('sum_rate', itself.rate)))} as it is" if itself.said == "explodes" else ""
        )
        return [f"a step more of horizon makes the sum, divided by its error, ×{rate}{more}"]
    if by_error.shape == "unclear":
        return ["the sum follows no one law"]
    if by_error.power_steady and abs(by_error.power) <= POLYNOMIAL:
        power = f"{text.claim('power', by_error.power):.1f}".replace("-", "−")
        return [f"divided by its error, the sum goes like t to the power {power}"]
    if (by_error.log_change > 0) != (by_error.said == "grows"):  # its ends happen to be of another mind
        return []
    times = number(text.claim("log_change", by_error.log_change))
    return [f"divided by its error, the sum goes ×{times} over the last three quarters of the horizon"]


def in_words(growth: Growth) -> str:
    """How a sum goes over the last three quarters of the horizon, with a number: "settles (power 0.21, …)"."""
    if growth.underflows:
        return "follows no law that can be told, since a state underflows"
    if growth.shape == "unclear":
        return "grows, by no one law" if growth.said else "follows no one law"
    if growth.said == "settles":
        return f"settles (power {growth.power:.2f}, within ±{BOUNDED:g})".replace("-", "−")
    if growth.said == "explodes":
        return f"explodes, ×{number(growth.slope)} a step"
    if growth.power_steady:
        return f"{growth.said} like t to the power {growth.power:.1f}".replace("-", "−")
    return f"{growth.said}, ×{number(growth.log_change)} from first to last"


def number(log: float) -> str:
    """A magnitude from its natural log, as text: "0.142", "12.0", or with a power of ten, "3.2e-17"."""
    if not math.isfinite(log):
        return "0" if log == -np.inf else "—"
    value = float(f"{math.exp(log):.3g}") if abs(log) < 10 else 0.0
    if 1e-3 <= value < 1e3:
        return f"{value:#.3g}".rstrip(".")
    exponent = math.floor(log / LN10)
    digits = f"{math.exp(log - exponent * LN10):.1f}"
    return f"1.0e{exponent + 1:+d}" if digits == "10.0" else f"{digits}e{exponent:+d}"


def _percent(part):
    return "less than 0.01 %" if part < 1e-4 else "100 %" if part >= 0.995 else f"{100 * part:.2g} %"


def _level(slope, span):
    """Whether a slope over so many lags is no change: within `LEVEL` a step, and `LEVEL_IN_ALL` in all."""
    return abs(slope) <= math.log(LEVEL) and abs(slope) * span <= math.log(LEVEL_IN_ALL)


def _line(x, y):
    """Least squares, y ≈ slope x + intercept: (slope, intercept, rms error)."""
    away, off = x - x.sum() / len(x), y - y.sum() / len(y)
    slope = float(away @ off / (away @ away))
    rest = off - slope * away
    intercept = float(y.sum() / len(y) - slope * x.sum() / len(x))
    return slope, intercept, math.sqrt(float(rest @ rest) / len(x))


def _exp(log):
    """exp without overflow."""
    return math.exp(min(log, 700.0))


def _log(factor):
    return math.log(factor) if factor > 0 else -math.inf
