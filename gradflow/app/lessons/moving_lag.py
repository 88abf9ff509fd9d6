"""Lesson 7, the output that ignores ten inputs."""

from dataclasses import replace

import numpy as np

from gradflow.app.lessons.evidence import drawn, plain, three, verdict
from gradflow.app.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import HOCHREITER
from gradflow.app.measurement import Measurement, measure
from gradflow.app.presets import PRESETS
from gradflow.app.ranges import Range
from gradflow.app.view import View
from gradflow.reading import share

EVERY = 12
STRIPE = replace(PRESETS["Ignores ten inputs"], cell_path_only=True, time=95)
DELAY_LINE = replace(STRIPE, cell="rnn-linear", init="shift", gain=1.0, weight="weight_ih", gate="all")


def shares(log_row: np.ndarray) -> np.ndarray:
    """The share of each lag in the sizes of a row, f[t+1]; zeros in a row of zeros."""
    held = share(log_row)
    return held - np.append(held[1:], 0.0)


def mean_shares(measurement: Measurement) -> np.ndarray:
    """The share of each lag, averaged over all times of whole periods; the first period has no earlier state."""
    k = measurement.scenario.write_every
    whole = len(measurement.cost) // k * k
    each = [np.pad(shares(measurement.log_terms[t, : t + 1]), (0, whole - t - 1)) for t in range(k, whole)]
    return np.mean(each, axis=0) if each else np.zeros(max(whole, 1))


def _reveal_stripe(measurement, view):
    """What the present time shows, and what the marked lag holds on average; another sentence where neither is."""
    row, t = measurement.log_row, measurement.t
    lags = np.flatnonzero(np.isfinite(row))
    marked = min(view.lag, t)
    if not lags.size:
        return verdict(measurement)
    if measurement.scenario.init == "shift":
        return _reveal_delay(measurement)
    top = int(np.argmax(row))
    here = (
        f"At t = {t} only lag {top} counts: all others are exact zeros."
        if lags.size == 1
        else f"At t = {t} lag {top} holds most, {plain(float(shares(row)[top]))} of the terms' size; {lags.size} of "
        f"{t + 1} lags are not zero."
    )
    mean = mean_shares(measurement)
    if marked >= len(mean) or not mean.any():
        return here
    k = measurement.scenario.write_every
    beyond = f" the lags from {k} on together {plain(float(mean[k:].sum()))}" if k > 1 else ""
    return f"{here} Averaged over all times, lag {marked} holds {plain(float(mean[marked]))}" + (
        f", and{beyond}." if beyond else "."
    )


def _reveal_delay(measurement):
    """What a delay line does at the present time: by the input, and by the norms of the whole matrix."""
    inputs, t = measurement.lags.log_input_sensitivity(), measurement.t
    if not np.isfinite(inputs).any():
        return f"At t = {t} nothing has come through the line yet: no input has reached the output."
    lag, held = int(np.argmax(inputs)), shares(measurement.log_row)
    return (
        f"At t = {t} the output depends on the input of lag {lag} alone, with a share of "
        f"{plain(float(shares(inputs)[lag]))}. The sizes of the matrix's terms are spread: {np.count_nonzero(held)} "
        f"lags, none with more than {plain(float(held.max()))}."
    )


def _twelfth():
    mean = np.mean([mean_shares(measurement) for measurement in drawn(STRIPE)], axis=0)
    off = float(np.abs(mean[:EVERY] - 1 / EVERY).max())
    return Evidence(
        off < 1e-6 and mean[EVERY:].max() == 0,
        f"eight sequences: 1/12 for each, {f'to {plain(off)}' if off > 1e-12 else 'exactly'}; beyond lag 11 exactly 0",
    )


def _reappears():
    later = [float(mean_shares(one)[EVERY:].sum()) for one in drawn(replace(STRIPE, cell_path_only=False))]
    return Evidence(
        min(later) > 0,
        f"full path, eight sequences: lags beyond 11 hold {three(np.median(later), min(later), max(later))}",
    )


def _keeps_what_it_ignores():
    """Of the delay line, at every time that lag 11 reaches: by the input, by one entry of W, by the whole matrix."""
    line = measure(DELAY_LINE)
    by_input, by_entry = [], []
    for t in range(EVERY - 1, DELAY_LINE.horizon):
        lags = line.gmap.lags(t)
        by_input.append(shares(lags.log_input_sensitivity())[EVERY - 1])
        by_entry.append(shares(lags.entry("weight_ih", 0, 0)[1])[EVERY - 1])
    terms = line.gmap.log_terms("weight_ih", horizon=DELAY_LINE.horizon)
    by_norm = np.mean([shares(terms[t, : t + 1])[:EVERY] for t in range(EVERY - 1, DELAY_LINE.horizon)], axis=0)
    true = min(*by_input, *by_entry) == 1.0 and by_norm.max() < 0.1 and by_norm.min() > 0.07
    return Evidence(
        bool(true),
        f"lag 11 holds {plain(min(by_input))} of ‖dC(t)/dx(t−u)‖, and {plain(min(by_entry))} of the terms of the one "
        f"weight that reads the input, at each of {len(by_input)} times; of the sizes of the whole matrix's terms each "
        f"of the lags 0 to 11 holds {plain(float(by_norm.min()))} to {plain(float(by_norm.max()))} on average",
    )


def _prose(scenario):
    """The text for a write once in so many steps, or for a delay line."""
    every = scenario.write_every
    if scenario.init == "shift":
        return (
            "A **delay line** of linear units: unit 0 takes in one input, at each step every unit hands its number to "
            "the next, and unit 11 is read. The bars are the **terms** $dC(t)/dW(t-u)$ of the one weight that takes "
            "the input in, the nearest twelve lags one by one."
        )
    if every == 1:
        does = (
            "With a write at every step the gates of this LSTM stay open: each input is added to the state, nothing is "
            "wiped, and nothing is protected."
        )
    else:
        does = (
            f"Once in {every} steps this LSTM **writes**: its forget gate shuts, which wipes the state, and its input "
            "gate opens and takes in one input. Between, the state is kept. Just before a write the last one is "
            f"**{every - 1} steps** back: what came since does not count, and that lag has not faded. One step later "
            "that lag is an exact zero, and everything comes from lag 0."
        )
    return (
        f"{does} In the map each row is a time $t$, each column a lag $u$, and the colour is the size of the **term** "
        "$dC(t)/dW(t-u)$."
    )


IGNORES = Lesson(
    title="The output that ignores ten inputs",
    stance="statement",
    claim=(
        "An output may ignore the present input and the ten before it, and depend on the one eleven steps back: that "
        "lag has not faded."
    ),
    prose=_prose,
    scenario=STRIPE,
    view=View(closer=True, lag=11),
    controls=("time", "write_every", "lag"),
    guess=Guess(
        "Average over all times: what share of the terms' size does lag 11 (marked) hold?",
        lambda m: float(mean_shares(m)[11]),
        range=Range(0.0, 1.0, 0.01),
        near=0.02,
    ),
    reveal=_reveal_stripe,
    conclusion=(
        "Each lag takes its turn: $1/12$ each up to lag 11, nothing beyond. It averages out because a write wipes the "
        "state. A state may hold what the output ignores; and sizes alone do not say what the output depends on."
    ),
    verdicts=(
        Verdict("holds", "on the cell path: 1/12 for each lag up to 11, then nothing", _twelfth),
        Verdict(
            "does not say",
            "that nothing older counts: with all paths open, earlier writes reappear, smaller",
            _reappears,
        ),
        Verdict(
            "does not say",
            "that it averages out: in a delay line the state keeps what the output ignores, and lag 11 counts always",
            _keeps_what_it_ignores,
        ),
    ),
    examples=(
        Example(
            "All paths together",
            replace(STRIPE, cell_path_only=False),
            "The write before the last one is seen as well, twelve lags further back.",
        ),
        stops(
            DELAY_LINE, "At every time the output ignores the present input and the ten before it.", "Show a delay line"
        )._replace(view=View(closer=True, show="sums", lag=11)),
    ),
    try_this="Set the time to 71, then go on by one step. Where does everything come from now? And twelve steps later?",
    sources=((HOCHREITER, "input gates that protect what is stored"),),
)
