"""Measures again every field and every claim of a `Reading`, for random scenarios and random own networks.

    .venv/bin/python tests/reading/auditor.py --scenarios 5000 --seed 0

prints what was claimed, how often it was false, how often there was nothing to say, and the worst examples; the exit
status is 1 if anything is false. The measuring is plain NumPy over `plain_network`, in float64, from the definitions
of the public documentation alone. In chaos or near it, or where a state was flushed to zero, another precision runs
along another trajectory: there the numbers are measured from the engine's own logarithms, but for what is said near
chaos of the way back.
"""

import argparse
import itertools
import math
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gradflow.app.measurement import measure
from gradflow.app.scenario import CHOICES, RANGES, Scenario, gate_names
from gradflow.app.url_codec import to_params
from gradflow.engine.compile_cache import keep_compiled
from support.plain_network import GATES, PINNABLE, Network

FLOAT32 = np.finfo(np.float32)
KINDS = {
    *("pace", "pace_near", "pace_far", "term_pace", "regime", "settles", "fades", "grows", "explodes", "power", "sum"),
    *("sum_rate", "sum_rate_by_error", "reach", "far_share", "cancels", "coherence", "zero_lags", "only_lag", "silent"),
    *("no_target", "underflow", "overflow", "chaotic", "near_chaos", "cliff", "decades", "top_lag"),
    "log_change",
}
GROWTH_WORDS = {  # the word a sentence uses -> the shapes it is true of
    "settles": {"bounded"},
    "fades": {"fading"},
    "explodes": {"exponential"},
    "grows": {"sublinear", "linear", "polynomial", "by no one law"},
}
NEARNESS = {"chaotic", "near_chaos"}
WHOLE_ROW = {"zero_lags", "only_lag", "silent", "no_target", "underflow", "overflow"} | NEARNESS  # said in chaos too
OF_CHAOS = WHOLE_ROW | {"pace", "pace_near", "pace_far", "regime", *GROWTH_WORDS}  # no number but the pace
OF_GROWTH = {"power", "log_change", "sum_rate", "sum_rate_by_error"}
SUMS = frozenset(GROWTH_WORDS)


# ---------------------------------------------------------------------------------- judgements near their threshold


def above(value, threshold, slack=0.05):
    """What may be said of value > threshold: {True}, {False}, or both within 5 % of the threshold."""
    if abs(value - threshold) <= slack * abs(threshold):
        return {True, False}
    return {bool(value > threshold)}


def every(*conditions):
    """What may be said of all of them together."""
    return {all(case) for case in itertools.product(*conditions)}


def denied(condition):
    return {not case for case in condition}


# -------------------------------------------------------------------------------------------------- lines and rows


@dataclass(frozen=True)
class Line:
    """y ≈ slope · x + intercept over the finite y, by least squares."""

    slope: float
    rms: float
    count: int
    spread: float  # standard deviation of x

    @property
    def factor(self):
        return math.inf if self.slope > 700 else math.exp(self.slope)

    @property
    def error(self):
        """Standard error of the slope."""
        return self.rms / self.spread / math.sqrt(self.count - 2) if self.count > 2 else math.inf


def line(y, x=None):
    """The `Line` of y over x, by default over the index."""
    y = np.asarray(y, float)
    x = np.arange(len(y)) if x is None else np.asarray(x, float)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    if len(y) < 2:
        return Line(math.nan, math.nan, len(y), math.nan)
    mean_x, mean_y = x.mean(), y.mean()
    slope = float(((x - mean_x) * (y - mean_y)).sum() / ((x - mean_x) ** 2).sum())
    rms = float(np.sqrt(np.mean((y - mean_y - slope * (x - mean_x)) ** 2)))
    return Line(slope, rms, len(y), float(x.std()))


def steady(row):
    """(Line, what may be said of whether one factor describes a row of logarithms by lag)."""
    whole, at = line(row), np.flatnonzero(np.isfinite(row))
    if len(at) < 8 or len(at) != at[-1] - at[0] + 1:
        return whole, {False}
    half = len(at) // 2
    halves = [row[at[0] : at[0] + half], row[at[0] + half : at[-1] + 1]]
    bends = [abs(line(part).slope - whole.slope) * len(part) for part in halves]
    return whole, every(denied(above(whole.rms, math.log(3))), *(denied(above(bend, math.log(4))) for bend in bends))


def regimes(row):
    """(the regimes that may be said of a row of log ‖δ‖ by lag, its `Line`)."""
    at, fit = np.flatnonzero(np.isfinite(row)), line(row)
    if len(at) < 2 or len(at) <= at[-1]:  # a zero before the last that is none
        return {"mixed"}, fit
    change, possible = abs(fit.slope) * at[-1], set()
    ends = at[-1] < len(row) - 2  # in zeros; one alone is lag t, where there is no state h(−1)
    for level, scattered in itertools.product(
        every(denied(above(abs(fit.slope), math.log(1.05))), denied(above(change, 1))),
        above(fit.rms, max(1.5, change / math.sqrt(12))),
    ):
        name = "constant" if level else "vanishing" if fit.slope < 0 else "exploding"
        possible.add("mixed" if scattered or (ends and name != "vanishing") else name)
    return possible, fit


@dataclass(frozen=True)
class Growing:
    """How a norm over the rows T/4 ≤ t' < T grows, and the shapes that may be said of it."""

    shapes: frozenset
    by_no_law: frozenset  # whether p is two standard errors above ¼
    rate: float
    power: float
    rows: int
    power_steady: frozenset = frozenset({False})  # what may be said of whether one power describes it, to a tenth
    log_change: float = math.nan  # from the first of these rows to the last


def growing(log_norms, log_pace):
    """`Growing` of log-norms by t', f[T], with the slope of log ‖δ‖ by lag."""
    times = np.arange(len(log_norms))
    rows = np.where(times >= len(log_norms) / 4, log_norms, np.nan)
    per_step, law = line(rows), line(rows, np.log(times + 1))
    at = np.flatnonzero(np.isfinite(rows))
    if len(at) < 8:
        return Growing(frozenset({"unclear"}), frozenset({False}), per_step.factor, law.slope, len(at))
    parts = at[: len(at) // 2], at[len(at) // 2 :]
    low, high = sorted(line(log_norms[part], part).slope for part in parts)
    powers = [line(log_norms[part], np.log(part + 1)).slope for part in parts]
    one_power = frozenset(denied(above(abs(powers[0] - powers[1]), 0.1)))
    change = float(log_norms[at[-1]] - log_norms[at[0]])
    nothing = 1e-5 / len(at)  # a slope that rounding alone can make
    together = above(high / low, 1.25) if low > nothing else {True}
    exponential = every({low > nothing}, denied(together), above(log_pace, math.log(1.05)))
    vague = {any(case) for case in itertools.product(above(law.error, 0.25), above(law.slope, 4))}
    shapes = {"exponential"} if True in exponential else set()
    if False in exponential:
        shapes |= {"unclear"} if True in vague else set()
        if False in vague:
            names = ("fading", "bounded", "sublinear", "linear", "polynomial")
            edges = (-0.25, 0.25, 0.75, 1.25)
            for passed in itertools.product(*(above(law.slope, edge) for edge in edges)):
                shapes.add(names[sum(passed)])
    lower = law.slope - 2 * law.error
    by_no_law = frozenset(above(lower, 0.25))
    return Growing(frozenset(shapes), by_no_law, per_step.factor, law.slope, len(at), one_power, change)


# ------------------------------------------------------------------------------------------------- the measurement


@dataclass(frozen=True, eq=False)
class Rows:
    """What a reading of one t is made from, natural logarithms; and all that it should say, from these alone."""

    t: int
    log_delta: np.ndarray  # log ‖δ(t, t−u)‖ by lag, f[t+1]
    log_terms: np.ndarray  # f[t+1]
    log_sums: np.ndarray  # log ‖Σ_u‖ at every t' < T, f[T]; NaN from an overflow on, and where nothing needs it
    log_error: np.ndarray  # log ‖dC(t')/dh(t')‖, f[T]
    log_sum: float  # log ‖Σ_u‖ at t

    @cached_property
    def shares(self):
        """Each term's share of Σ‖·‖, by lag."""
        return np.exp(self.log_terms - self.log_total)

    @cached_property
    def log_total(self):
        """log Σ_u ‖term(u)‖; −inf where there is none."""
        top = self.log_terms.max()
        return top + math.log(np.exp(self.log_terms - top).sum()) if np.isfinite(top) else top

    @cached_property
    def zeros(self):
        return int(np.isneginf(self.log_terms).sum())

    @cached_property
    def near(self):
        return self.log_delta[: (self.t + 1) // 4]

    @cached_property
    def far(self):
        return self.log_delta[(self.t + 1) // 2 :]

    @cached_property
    def growth(self):
        return growing(self.log_sums, line(self.log_delta).slope)

    @cached_property
    def growth_by_error(self):
        with np.errstate(invalid="ignore"):
            return growing(self.log_sums - self.log_error, line(self.log_delta).slope)

    @cached_property
    def numbers(self):
        """Field -> what it should be; a factor, a share or a logarithm, as the field has it."""
        return {
            "pace": line(self.log_delta).factor,
            "pace_near": line(self.near).factor,
            "pace_far": line(self.far).factor,
            "term_pace": line(self.log_terms).factor,
            "far_share": float(self.shares[(self.t + 1) // 2 :].sum()),
            "coherence": math.exp(self.log_sum - self.log_total),
            "log_sum": self.log_sum,
        }

    @cached_property
    def judgements(self):
        """Field -> the values that it may have."""
        return {
            "pace_steady": steady(self.log_delta)[1],
            "pace_near_steady": steady(self.near)[1],
            "pace_far_steady": steady(self.far)[1],
            "term_pace_steady": steady(self.log_terms)[1],
            "regime": regimes(self.log_delta)[0],
        }


@dataclass(frozen=True)
class Finding:
    """One field or claim, what was said of it and what was measured; ok is None where it was not judged."""

    kind: str
    said: object
    measured: object
    ok: bool | str | None  # "rounding": false by that alone


@dataclass(eq=False)
class Measured:
    """A problem measured at one t, twice: independently in float64, and by the engine's own logarithms.

    Args:
        problem: the arguments of `gradient_map` by name.
        own: `Rows` of the engine's map.
        overflow, underflow: the steps that the engine's map names, or None.
    """

    problem: dict
    t: int
    horizon: int
    weight: str
    gate: str | None
    own: Rows
    overflow: int | None
    underflow: int | None
    _changes: dict = field(default_factory=dict)  # nudge -> what it moves at each step

    @cached_property
    def network(self):
        return Network(**self.problem, horizon=self.horizon)

    @cached_property
    def single(self):
        """Whether the engine worked in float32."""
        return all(np.asarray(a).dtype == np.float32 for a in self.problem["weights"])

    @cached_property
    def breaks(self):
        """The first step at which the engine's precision ends, None if it does not."""
        with np.errstate(invalid="ignore"):
            broken = ~(self.network.size <= (FLOAT32.max if self.single else np.finfo(float).max))
        return int(np.argmax(broken)) if broken.any() else None

    @property
    def limit(self):
        """The rows that have a gradient; a step of rounding either way is not judged here."""
        return self.horizon if self.overflow is None else min(self.overflow, self.horizon)

    @cached_property
    def rows(self):
        """`Rows` in float64 by plain NumPy."""
        return self._rows(self.network)

    @cached_property
    def rounded(self):
        """The same where each step is rounded to fewer bits than the 53 of float64: two, since one may be alike."""
        return [self._rows(Network(**self.problem, horizon=self.horizon, bits=bits)) for bits in (46, 45)]

    def _rows(self, network):
        times = [t for t in range(self.limit) if t >= self.horizon / 4 or t == self.t]
        log_delta, log_terms, sums = network.measure(times, self.weight, self.gate)
        at = times.index(self.t)
        log_sums, log_error = np.full((2, self.horizon), np.nan)
        log_sums[times] = sums
        log_error[times] = np.log(np.linalg.norm(network.seeds[times], axis=1))
        row = slice(self.t, None, -1)
        return Rows(self.t, log_delta[at, row], log_terms[at, row], log_sums, log_error, float(sums[at]))

    @cached_property
    def masked(self):
        """Whether t has no target."""
        return bool(np.isnan(self.network.targets[self.t]).any())

    def moved(self, nudge, last):
        """max over s ≤ last of ‖Δh‖/‖h‖ when W_hh is multiplied by 1 + nudge; and by 1 + nudge · N(0, 1) by entry.

        The second is what rounding does: a ReLU network without biases is homogeneous, so that the first finds nothing.
        """
        if nudge not in self._changes:
            noise = np.random.default_rng(0).standard_normal(np.shape(self.problem["weights"][1]))
            self._changes[nudge] = [self._change(each) for each in (nudge, nudge * noise)]
        return [float(np.nanmax(change[: last + 1], initial=0)) for change in self._changes[nudge]]

    def _change(self, nudge):
        """‖Δh‖/‖h‖ at each step when W_hh is multiplied by 1 + nudge."""
        h, again = self.network.h[1:], Network(**self.problem, horizon=self.horizon, nudge=nudge)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            change = again.h[1:] - h
            size = np.linalg.norm(h, axis=1)
            return np.where(size > 0, np.linalg.norm(change, axis=1) / size, 0)

    @cached_property
    def sensitive(self):
        """Whether rounding might move the states by 1 %, up to the horizon."""
        return max(self.moved(2.0**-20, self.limit - 1)) > 0.005

    def near_chaos(self, last):
        """The same of being near it, which how far the weights happen to be moved tells within decades only."""
        return {True, False} if max(self.moved(2.0**-20, last)) > 1e-5 else {False}

    def chaos(self, last):
        """What may be said of chaos up to a step: {True}, {False} or both."""
        if not self.sensitive or max(self.moved(2.0**-20, last)) < 0.005:
            return {False}
        return {True} if self.moved(1e-7, last)[0] > 0.0105 else {True, False}


def measured(gmap, problem, t, horizon, weight="weight_hh", gate=None):
    """The `Measured` of a map, or of the first steps of a longer one."""
    of = {"weight": weight, "gate": gate}
    lags = gmap.lags(t)
    if weight == "all":
        with np.errstate(invalid="ignore"):  # NaN after an overflow
            log_delta = np.logaddexp(*(2 * lags.log_factors(name, gate)[0] for name in ("bias_hh", "bias_ih"))) / 2
    else:
        log_delta = lags.log_factors(**of)[0]
    sums = gmap.log_sums(**of, horizon=horizon)
    log_sum = float(lags.log_partial_sums(**of)[-1])
    own = Rows(t, log_delta, lags.log_terms(**of), sums, gmap.log_residual[:horizon], log_sum)
    before = lambda step: step if step is not None and step < horizon else None
    return Measured(problem, t, horizon, weight, gate, own, before(gmap.overflow), before(gmap.underflow))


# ------------------------------------------------------------------------------------------------------- the audit


def same(kind, said, true, allowed=0.01):
    """Whether a number agrees to 1 %, a logarithm to 0.01; None where there is nothing to compare with."""
    if true != true:
        return None
    if said is None or said != said:
        return False
    if math.isinf(true) or math.isinf(said):
        return said == true
    if kind.endswith(("log_sum", "sum", "log_change")):
        return bool(abs(said - true) <= allowed)
    least = 1e-6 if kind in ("far_share", "coherence", "cancels", "share") else 0
    return abs(said - true) <= max(allowed * abs(true), least)


def judged(said, possible):
    """True or False, None within 5 % of a threshold."""
    return False if said not in possible else None if len(possible) > 1 else True


def audit(reading, seen):
    """The `Finding`s of every field and every claim of a reading, and of the numbers in its sentence."""
    with np.errstate(invalid="ignore", divide="ignore"):  # of logarithms of zero
        return _audit(reading, seen)


def _audit(reading, seen):
    claims = tuple(reading.claims)
    kinds = [kind for kind, _ in claims]
    found = [Finding("kinds", kind, "a kind that is documented", kind in KINDS) for kind in sorted(set(kinds) - KINDS)]
    found += _ends(reading, seen, dict(claims))
    if seen.t < seen.limit and not seen.masked:
        rows, said = _rows(reading, kinds, seen)
        if np.isfinite(rows.log_total) and np.isfinite(rows.log_sum):
            found += _at_rounding(_fields(reading, rows) + _claims(claims, said), reading, seen)
        found += _zeros(reading, claims, rows)
        found += _chaos(reading, kinds, seen)
    return found + _numbers(reading.verdict, claims, seen)


def _rows(reading, kinds, seen):
    """The `Rows` by which the fields are judged, and those for the claims: what is said near chaos holds in float64."""
    flushed = seen.underflow is not None and not SUMS & set(kinds)
    later = replace(seen.rows, log_sums=seen.own.log_sums, log_error=seen.own.log_error)  # growth looks beyond t
    if reading.chaotic or "underflow" in kinds:
        return seen.own, seen.own
    if reading.near_chaos:
        return seen.own, later
    return (later, later) if reading.near_chaos_later or flushed else (seen.rows, seen.rows)


def _at_rounding(found, reading, seen):
    """The findings; what is false of them by the rounding of calm states alone is marked as such.

    That is: the states move by less than 0.5 % when the weights change in their sixth digit, what is said is true of
    the engine's own logarithms, and rounding each step in the last two digits of float64 changes what is measured, as
    it does where h − h̃ of a GRU is but their rounding.
    """
    if all(one.ok is not False for one in found) or seen.sensitive:
        return found
    own, *rounded = (_fields(reading, rows) + _claims(reading.claims, rows) for rows in (seen.own, *seen.rounded))
    return [
        replace(one, ok="rounding")
        if one.ok is False
        and same_engine.ok is not False
        and any(_differ(one.kind, one.measured, other.measured) for other in others)
        else one
        for one, same_engine, *others in zip(found, own, *rounded, strict=True)
    ]


def _differ(kind, one, other):
    """Whether they differ; numbers by a quarter of what is allowed, since the engine's rounding is another draw."""
    numbers = all(isinstance(each, (int, float)) for each in (one, other))
    return same(kind.lstrip("."), one, other, allowed=0.0025) is False if numbers else one != other


def _ends(reading, seen, claims):
    """No gradient at all, and why: overflow, no target, all zero; and what is flushed."""
    found = []
    broken = seen.t >= seen.limit
    if (seen.breaks, seen.overflow) != (None, None):  # rounding may move the step by one
        steps = [seen.horizon if step is None else step for step in (seen.breaks, seen.overflow)]
        found.append(Finding("overflow step", seen.overflow, seen.breaks, abs(steps[0] - steps[1]) <= 1))
    if broken or "overflow" in claims:
        said = claims.get("overflow")
        found.append(Finding("overflow", said, seen.overflow, said == seen.overflow))
    if broken:
        found.append(Finding("regime", reading.regime, "overflow", reading.regime == "overflow"))
        rest = set(claims) - {"overflow", "underflow"}
        found += [Finding(kind, claims[kind], "nothing: the pass overflows before t", False) for kind in rest]
        return found
    if seen.masked or "no_target" in claims:
        found.append(Finding("no_target", "no_target" in claims, seen.masked, ("no_target" in claims) == seen.masked))
    if seen.masked:
        rest = set(claims) - {"no_target", "overflow", "underflow"}
        return found + [Finding(kind, claims[kind], "nothing: t has no target", False) for kind in rest]
    silent = not np.isfinite(seen.own.log_total)
    if silent or "silent" in claims:
        found.append(Finding("silent", "silent" in claims, silent, ("silent" in claims) == silent))
        rest = (set(claims) - {"silent", "overflow", "underflow", "zero_lags"}) if silent else ()
        found += [Finding(kind, claims[kind], "nothing: every term is zero", False) for kind in rest]
        if silent and np.isfinite(seen.rows.log_total):
            found.append(Finding("underflow", claims.get("underflow"), "terms, in float64", "underflow" in claims))
    if "underflow" in claims:
        size = np.abs(seen.network.h[1 : claims["underflow"] + 2])
        tiny = ((size > 0) & (size < 2 * FLOAT32.tiny)).any() if seen.single else None
        right = claims["underflow"] == seen.underflow
        found.append(Finding("underflow", claims["underflow"], seen.underflow, right and bool(tiny)))
    return found


def _fields(reading, rows):
    found = []
    for name, true in rows.numbers.items():
        said = getattr(reading, name)
        found.append(Finding(f".{name}", said, true, same(name, said, true)))
    for name, possible in rows.judgements.items():
        said = getattr(reading, name)
        found.append(Finding(f".{name}", said, sorted(possible), judged(said, possible)))
    for name in ("growth", "growth_by_error"):
        said, true = getattr(reading, name), getattr(rows, name)
        found.append(Finding(f".{name}.shape", said.shape, sorted(true.shapes), judged(said.shape, true.shapes)))
        if true.rows >= 8:
            found.append(Finding(f".{name}.rate", said.rate, true.rate, same("rate", said.rate, true.rate)))
            found.append(Finding(f".{name}.power", said.power, true.power, _same_power(said.power, true.power)))
            steady_power = judged(said.power_steady, true.power_steady)
            found.append(Finding(f".{name}.power_steady", said.power_steady, sorted(true.power_steady), steady_power))
            change = same("log_change", said.log_change, true.log_change)
            found.append(Finding(f".{name}.log_change", said.log_change, true.log_change, change))
    return [*found, Finding(".memory", reading.memory, _memory(rows), _reaches(reading.memory, rows))]


def _same_power(said, true):
    return None if true != true else bool(abs(said - true) <= max(0.01 * abs(true), 0.005))


def _memory(rows):
    return int(np.argmax(rows.shares.cumsum() >= 0.9 - 1e-12)) + 1


def _reaches(said, rows):
    """Whether so many of the nearest lags are the fewest that hold 90 %: a lag more or less, or 1 % of the share."""
    held = rows.shares.cumsum()
    if not 1 <= said <= len(held):
        return False
    return abs(said - _memory(rows)) <= 1 or bool(abs(held[int(said) - 1] - 0.9) <= 0.009)


def _zeros(reading, claims, rows):
    """Exact zeros are counted exactly."""
    return [Finding(".zero_lags", reading.zero_lags, rows.zeros, reading.zero_lags == rows.zeros)] + [
        Finding("zero_lags", value, rows.zeros, value == rows.zeros) for kind, value in claims if kind == "zero_lags"
    ]


def _claims(claims, rows):
    found, last = [], None
    for kind, value in claims:
        if kind in SUMS:
            last = value
            grown = getattr(rows, value)
            shapes = set(grown.shapes)
            if "unclear" in shapes:  # said with p two standard errors above ¼
                shapes = (shapes - {"unclear"}) | {"by no one law" if yes else "unclear" for yes in grown.by_no_law}
            right = {shape in GROWTH_WORDS[kind] for shape in shapes}
            found.append(Finding(kind, value, sorted(shapes), judged(True, right)))
        elif kind == "power":
            grown = getattr(rows, last) if last else None
            right = grown is not None and judged(True, grown.power_steady) and _same_power(value, grown.power)
            found.append(Finding(kind, value, grown and grown.power, right))
        elif kind == "log_change":
            true = getattr(rows, last).log_change if last else math.nan
            found.append(Finding(kind, value, true, same(kind, value, true)))
        elif kind in _CLAIMS:
            found.append(Finding(kind, value, *_CLAIMS[kind](value, rows)))
    return found


def _pace(name, row):
    def check(value, rows):
        fit, possible = steady(row(rows))
        right = judged(True, possible)
        return (fit.factor, fit.rms, fit.count), right and same(name, value, fit.factor)

    return check


def _said_regime(value, rows):
    possible, fit = regimes(rows.log_delta)
    if fit.count < 8:
        return f"{fit.count} lags", False  # too few to speak of
    return sorted(possible), judged(value, possible)


def _rate(name):
    def check(value, rows):
        grown = getattr(rows, name)
        right = judged(True, {shape == "exponential" for shape in grown.shapes})
        return (grown.rate, sorted(grown.shapes)), right and same(name, value, grown.rate)

    return check


def _cliff(value, rows):
    lag, factor = value
    with np.errstate(invalid="ignore"):
        steps = np.diff(rows.log_delta)
    steps[~np.isfinite(steps)] = 0
    top = int(np.argmax(np.abs(steps))) + 1
    largest = abs(steps[top - 1])
    here = steps[lag - 1] if 1 <= lag < len(rows.log_delta) else math.nan
    right = abs(here) >= max(0.99 * largest, math.log(4)) and same("cliff", factor, math.exp(here))
    return (top, math.exp(steps[top - 1])), bool(right)


def _decades(value, rows):
    here = rows.log_delta[value] - rows.log_delta[value - 1]
    return here, judged(True, above(abs(here), 7 * math.log(10)))


def _top_lag(value, rows):
    lag, share = value
    top = int(np.argmax(rows.shares >= 0.99 * rows.shares.max()))
    near = 0 <= lag < len(rows.shares) and rows.shares[lag] >= 0.98 * rows.shares.max()
    return (top, rows.shares[top]), bool(near and same("share", share, rows.shares[lag]))


def _number(name):
    return lambda value, rows: (rows.numbers[name], same(name, value, rows.numbers[name]))


_CLAIMS = {
    "pace": _pace("pace", lambda rows: rows.log_delta),
    "pace_near": _pace("pace_near", lambda rows: rows.near),
    "pace_far": _pace("pace_far", lambda rows: rows.far),
    "term_pace": _pace("term_pace", lambda rows: rows.log_terms),
    "regime": _said_regime,
    "sum": _number("log_sum"),
    "sum_rate": _rate("growth"),
    "sum_rate_by_error": _rate("growth_by_error"),
    "reach": lambda value, rows: (_memory(rows), _reaches(value, rows)),
    "far_share": _number("far_share"),
    "coherence": _number("coherence"),
    "cancels": lambda value, rows: (
        rows.numbers["coherence"],
        judged(True, denied(above(rows.numbers["coherence"], 1 / 3)))
        and same("coherence", value, rows.numbers["coherence"]),
    ),
    "only_lag": lambda value, rows: (
        np.flatnonzero(np.isfinite(rows.log_terms)).tolist()[:3],
        np.flatnonzero(np.isfinite(rows.log_terms)).tolist() == [value],
    ),
    "cliff": _cliff,
    "decades": _decades,
    "top_lag": _top_lag,
}


def _chaos(reading, kinds, seen):
    found = []
    if reading.chaotic is not None:
        possible = seen.chaos(seen.t)
        found.append(Finding(".chaotic", reading.chaotic, sorted(possible), judged(reading.chaotic, possible)))
    if reading.near_chaos is not None:
        possible = {True} if reading.chaotic else seen.near_chaos(seen.t)
        found.append(Finding(".near_chaos", reading.near_chaos, sorted(possible), judged(reading.near_chaos, possible)))
    if reading.near_chaos_later is not None and not reading.near_chaos:
        possible = {True} if False not in seen.chaos(seen.limit - 1) else seen.near_chaos(seen.limit - 1)
        right = judged(reading.near_chaos_later, possible)
        found.append(Finding(".near_chaos_later", reading.near_chaos_later, sorted(possible), right))
    if reading.near_chaos_later:
        said = set(kinds) & OF_GROWTH
        found += [Finding(kind, "said, chaos later", "one sample", False) for kind in sorted(said)]
    if reading.near_chaos:
        said = set(kinds) - OF_CHAOS
        found += [Finding(kind, "said in chaos or near it", "one sample", False) for kind in sorted(said)]
    is_near = {"chaotic": reading.chaotic is True, "near_chaos": reading.near_chaos is True and not reading.chaotic}
    for kind, right in is_near.items() if set(kinds) - WHOLE_ROW else ():
        if (kind in kinds) != right:
            found.append(Finding(kind, kind in kinds, right, False))
    return found


# ---------------------------------------------------------------------------------------- the numbers of a sentence

NUMBER = re.compile(r"(?<![\w.])([-−]?)(\d+(?:\.(\d+))?)(?:e([-−+]?\d+))?")


def _numbers(sentence, claims, seen):
    """Every number that the sentence prints is that of a claim, to the digits shown; or t, or how many lags it has."""
    values = [pair for kind, value in claims for pair in _printed(kind, value)]
    values += [_signed_log(number) for number in (seen.t, seen.t + 1, 90)]
    found = []
    for match in NUMBER.finditer(sentence):
        sign, digits, decimals, exponent = match.groups()
        mantissa, unit = float(digits), 0.5 * 10.0 ** -len(decimals or "")
        shift = int((exponent or "0").replace("−", "-")) * math.log(10)
        low = math.log(mantissa - unit) + shift if mantissa > unit else -math.inf
        high = math.log(mantissa + unit) + shift
        sign = bool(sign)
        near = [negative for negative, log in values if low - 1e-9 <= log <= high + 1e-9]
        right = sign in near or (float(digits) == 0 and bool(near))
        found.append(Finding("sentence", match.group(), sentence, right))
    return found


def _signed_log(number):
    """(whether it is negative, the logarithm of its magnitude)."""
    return number < 0, math.log(abs(number)) if number else -math.inf


def _printed(kind, value):
    """The numbers that a claim may print, each as `_signed_log` has it."""
    if value is None or isinstance(value, (str, bool)):
        return []
    if kind in ("sum", "log_change"):
        return [(False, value)]
    pairs = [_signed_log(number) for number in (value if isinstance(value, tuple) else (value,))]
    if kind in ("far_share", "coherence", "cancels", "top_lag"):  # in per cent as well
        pairs += [(negative, log + math.log(100)) for negative, log in pairs]
    return pairs


# ------------------------------------------------------------------------------------- random scenarios and networks


def random_scenario(rng, large=CHOICES["cell"]):
    """A `Scenario` anywhere in its ranges, half of the gains as usually drawn; 64 units in the cells `large` alone."""
    chosen = {name: options[rng.integers(len(options))] for name, options in CHOICES.items()}
    for name, (low, high, step) in RANGES.items():
        value = low + step * int(rng.integers(round((high - low) / step) + 1))
        chosen[name] = type(step)(round(value, 6))
    cell = chosen["cell"]
    usual = {"gain": 2.0, "input_gain": 2.0}
    for name, high in usual.items():
        if rng.random() < 0.5:
            chosen[name] = round(float(rng.uniform(0.3, high)), 2)
    rare = {"write_every": 1, "time": RANGES["time"].high, "horizon": RANGES["horizon"].high}
    chosen |= {name: value for name, value in rare.items() if rng.random() < 0.4}
    chosen["hidden"] = 64 if rng.random() < 0.08 and cell in large else 16
    chosen["gate"] = "all" if rng.random() < 0.6 else str(rng.choice(gate_names(cell)))
    return Scenario(**chosen, cell_path_only=bool(cell == "lstm" and rng.random() < 0.3))


def own_networks(rng, count):
    """Problems that no `Scenario` can draw: (name, arguments of `gradient_map`, t, weight, gate), grouped by shape."""
    makers = (_scaled, _low_rank, _shut_once, _masked, _padded, _untied, _outputs, _carried, _double)
    made = [make(rng) for make, _ in zip(itertools.cycle(makers), range(count), strict=False)]
    return cliffs() + sorted(made, key=lambda own: (own[0], own[1]["cell"]))


def _drawn(rng, cell=None, steps=256, hidden=16, inputs=4, kind=np.float32):
    """Weights of some scale, noise to read, noise to say; where it can, of the shapes that a `Scenario` has."""
    cell = cell or str(rng.choice(CHOICES["cell"]))
    rows, gain = hidden * len(GATES.get(cell, ("hidden",))), rng.uniform(0.3, 2.0)
    normal = lambda *shape: rng.standard_normal(shape).astype(kind)
    weights = [normal(rows, inputs) / np.sqrt(inputs), normal(rows, hidden) * gain / np.sqrt(hidden)]
    weights += [normal(rows) * 0.3, normal(rows) * 0.3]
    problem = {
        "cell": cell,
        "weights": [np.asarray(field, kind) for field in weights],
        "inputs": normal(steps, inputs),
        "readout": normal(hidden) / np.sqrt(kind(hidden)),
        "targets": normal(steps),
        "pins": {gate: np.full(steps, np.nan) for gate in PINNABLE.get(cell, ())},
        "cell_path_only": bool(cell == "lstm" and steps == 256 and rng.random() < 0.25),
    }
    return problem


def _own(name, rng, problem):
    """Ask of one t, field and gate."""
    steps, cell = len(problem["inputs"]), problem["cell"]
    t = steps - 1 if rng.random() < 0.5 else int(rng.integers(steps))
    gate = None if rng.random() < 0.6 else str(rng.choice(gate_names(cell)))
    return name, problem, t, str(rng.choice(CHOICES["weight"])), gate


def _scaled(rng):
    problem = _drawn(rng)
    blocks = len(GATES.get(problem["cell"], ("hidden",)))
    scale = np.repeat(np.exp(rng.normal(size=blocks)), len(problem["weights"][2]) // blocks).astype(np.float32)
    problem["weights"] = [field * (scale[:, None] if field.ndim == 2 else scale) for field in problem["weights"]]
    return _own("gates of different scale", rng, problem)


def _low_rank(rng):
    problem = _drawn(rng)
    rank = int(rng.integers(1, 4))
    left, _, right = np.linalg.svd(problem["weights"][1], full_matrices=False)
    problem["weights"][1] = (left[:, :rank] @ right[:rank] * rng.uniform(0.3, 2)).astype(np.float32)
    return _own("low rank", rng, problem)


def _shut_once(rng):
    problem = _drawn(rng, str(rng.choice(["lstm", "gru"])))
    gate = str(rng.choice(PINNABLE[problem["cell"]]))
    problem["pins"][gate][int(rng.integers(256))] = rng.choice([0.0, 1.0])
    return _own("a gate shut or open once", rng, problem)


def _masked(rng):
    problem = _drawn(rng)
    problem["targets"][rng.random(256) < 0.6] = np.nan
    return _own("masked targets", rng, problem)


def _padded(rng):
    problem = _drawn(rng)
    problem["inputs"][int(rng.integers(5, 60)) :] = 0
    return _own("padding", rng, problem)


def _untied(rng):
    problem = _drawn(rng, "lstm", steps=40)
    copies = [np.repeat(field[None], 40, 0) for field in problem["weights"]]
    change = [1 + rng.normal(size=copy.shape).astype(np.float32) * np.float32(0.3) for copy in copies]
    problem["weights"] = [copy * by for copy, by in zip(copies, change, strict=True)]
    return _own("untied copies", rng, problem)


def _outputs(rng):
    problem = _drawn(rng, "gru", steps=40)
    problem["readout"] = rng.normal(size=(3, 16)).astype(np.float32)
    problem["targets"] = rng.normal(size=(40, 3)).astype(np.float32)
    return _own("three outputs", rng, problem)


def _carried(rng):
    problem = _drawn(rng)
    states = 2 if problem["cell"] == "lstm" else 1
    problem["carry"] = tuple(rng.normal(size=16).astype(np.float32) * 3 for _ in range(states))
    return _own("a state at the start", rng, problem)


def _double(rng):
    return _own("float64", rng, _drawn(rng, "rnn-tanh", steps=40, kind=np.float64))


def cliffs():
    """An LSTM whose forget gate is 0 at step 10 alone, all paths and the cell path; ten words, then padding."""
    rng, made = np.random.default_rng(5), []
    for path in (False, True):
        problem = _drawn(rng, "lstm", steps=40)
        weight_ih, weight_hh, bias_ih, bias_hh = problem["weights"]
        bias_ih = bias_ih + np.repeat(np.float32([0, 3, 0, 0]), 16)  # the forget gate at 0.95: the cell path counts
        problem["weights"] = [weight_ih, weight_hh / np.float32(4), bias_ih, bias_hh]
        problem["pins"]["forget"][10] = 0.0
        made.append(("forget gate 0 at step 10", problem | {"cell_path_only": path}, 39, "weight_hh", None))
    problem = _drawn(rng, "lstm", steps=60, hidden=256)
    problem["inputs"][10:] = 0
    return [*made, ("ten words, fifty of padding", problem | {"cell_path_only": False}, 59, "weight_hh", None)]


# --------------------------------------------------------------------------------------------------- many, and a table


@dataclass
class Tally:
    """What many audits found."""

    counts: dict = field(default_factory=lambda: defaultdict(Counter))  # kind -> ok -> how many
    examples: list = field(default_factory=list)  # (where, sentence, what is false of it)
    silence: Counter = field(default_factory=Counter)
    claims: int = 0

    def add(self, findings, where, reading):
        for one in findings:
            self.counts[one.kind][one.ok] += 1
        if false := [one for one in findings if one.ok is False]:
            self.examples.append((where, reading.verdict, false))
        self.claims += len(reading.claims)

    def speaks(self, reading, finite):
        """Count what a finite scenario states."""
        said = {kind for kind, _ in reading.claims}
        self.silence["scenarios"] += 1
        self.silence["finite"] += finite
        self.silence["a pace, or near and far"] += finite and ("pace" in said or said >= {"pace_near", "pace_far"})
        self.silence["a behaviour of the sum"] += finite and bool(said & SUMS)
        self.silence["chaotic"] += finite and reading.chaotic is True
        self.silence["near chaos"] += finite and reading.near_chaos is True and not reading.chaotic
        self.silence["no gradient"] += finite and bool(said & {"silent", "no_target"})

    def share(self, name):
        return self.silence[name] / max(self.silence["finite"], 1)

    @property
    def false(self):
        return sum(count[False] for count in self.counts.values())

    @property
    def too_silent(self):
        """What is stated by fewer finite scenarios than it should be."""
        least = {"a pace, or near and far": 0.5, "a behaviour of the sum": 0.6}
        return [name for name, share in least.items() if self.share(name) < share]

    def table(self):
        row = lambda kind, count: (
            f"{kind:24}{count[True] + count[False]:8}{count[False]:8}{count[None]:12}{count['rounding']:13}"
        )
        lines = [f"{'':24}{'judged':>8}{'false':>8}{'not judged':>12}{'at rounding':>13}"]
        lines += [row(kind, self.counts[kind]) for kind in sorted(self.counts, key=lambda k: (k.startswith("."), k))]
        lines.append(row("all", sum(self.counts.values(), Counter())))
        lines.append(f"\n{self.claims} claims")
        lines += [f"{name:28}{count:6}{self.share(name):8.0%}" for name, count in self.silence.items()]
        shown = Counter()
        for where, sentence, false in self.examples:
            if any(shown[one.kind] < 3 for one in false):  # three examples of each kind
                shown.update(one.kind for one in false)
                lines += ["", where, f"  {sentence}"]
                lines += [f"    {one.kind}: said {one.said!r}, measured {one.measured!r}" for one in false]
        return "\n".join(lines)


def link(scenario):
    """The scenario as a link carries it, without what is at its default."""
    default = to_params(Scenario())
    return "?" + urlencode({name: text for name, text in to_params(scenario).items() if default[name] != text})


def audit_scenario(scenario):
    """(reading, findings, whether it is finite) of what the page says of a scenario at rest."""
    measurement = measure(scenario)
    reading = measurement.chaos_checked
    problem = scenario.problem()
    seen = measured(measurement.gmap, problem, measurement.t, scenario.horizon, **scenario.rows)
    found = audit(reading, seen)
    early = measurement.reading
    for name in (each.name for each in fields(reading)):
        if name not in ("claims", "verdict") and not name.startswith(("chaotic", "near_chaos")):
            found.append(_alike("at rest as before", name, getattr(early, name), getattr(reading, name)))
    if early.chaotic is not None:
        found.append(Finding("at rest as before", early.chaotic, None, False))
    if scenario.horizon == len(problem["inputs"]) and scenario.seed % 4 == 0:  # no other shape: nothing is compiled
        from gradflow import gradient_map

        direct = gradient_map(**problem).read(measurement.t, **scenario.rows, chaos=True)
        found += [
            _alike("any network's reading", each.name, getattr(direct, each.name), getattr(reading, each.name))
            for each in fields(reading)
        ]
    return reading, found, seen.t < seen.limit


def _alike(kind, name, one, other):
    return Finding(kind, (name, one), (name, other), repr(one) == repr(other))


def audit_network(name, problem, t, weight, gate):
    """(reading, findings, what it is) of an own network."""
    import jax

    from gradflow import gradient_map

    with jax.enable_x64(np.asarray(problem["weights"][0]).dtype == np.float64):
        gmap = gradient_map(**problem)
        reading = gmap.read(t, weight, gate, chaos=True)
        seen = measured(gmap, problem, t, len(problem["inputs"]), weight, gate)
    where = f"{name}: {problem['cell']}, t = {t} of {len(problem['inputs'])}, {weight}, {gate or 'all gates'}"
    return reading, audit(reading, seen), where + (", cell path only" if problem["cell_path_only"] else "")


def run(scenarios, networks, seed=0, progress=lambda done: None, **drawn_from):
    """The `Tally` of so many random scenarios (see `random_scenario`) and own networks."""
    rng, tally = np.random.default_rng(seed), Tally()
    drawn = sorted((random_scenario(rng, **drawn_from) for _ in range(scenarios)), key=lambda scenario: scenario.kind)
    for done, scenario in enumerate(drawn):
        reading, found, finite = audit_scenario(scenario)
        tally.add(found, link(scenario), reading)
        tally.speaks(reading, finite)
        progress(done)
    for name, problem, *ask in own_networks(rng, networks):
        reading, found, where = audit_network(name, problem, *ask)
        tally.add(found, where, reading)
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=5000)
    parser.add_argument("--networks", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    keep_compiled()  # half of the time of a first run is compilation
    progress = lambda done: sys.stderr.isatty() and print(f"\r{done + 1} of {asked.scenarios}", end="", file=sys.stderr)
    tally = run(asked.scenarios, asked.networks, asked.seed, progress)
    print(f"\n{tally.table()}")
    return int(tally.false > 0)


if __name__ == "__main__":
    sys.exit(main())
