"""Lesson 7, the output that ignores ten inputs."""

from dataclasses import replace

import numpy as np

from gradflow.fields import Range
from gradflow.lessons.evidence import drawn, plain, three
from gradflow.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import HOCHREITER
from gradflow.look import Look
from gradflow.reading import share
from gradflow.scenario import PRESETS

EVERY = 12
STRIPE = replace(PRESETS["Ignores ten inputs"], cell_path_only=True, time=95)


def mean_shares(measurement):
    """The share of each lag, averaged over all times of whole periods; the first period has no earlier state."""
    k = measurement.scenario.write_every
    whole = len(measurement.cost) // k * k
    shares = []
    for t in range(k, whole):
        row = measurement.log_terms[t, : t + 1]
        held = share(row)
        one = held - np.append(held[1:], 0.0)
        shares.append(np.pad(one, (0, whole - len(one))))
    return np.mean(shares, axis=0)


def _reveal_stripe(measurement, look):
    shares = mean_shares(measurement)
    k = measurement.scenario.write_every
    inside, after = shares[:k], shares[k : 2 * k]
    return (
        f"At t = {measurement.t} lag {int(np.argmax(measurement.log_row))} carries everything. On average each of the "
        f"lags 0 to {k - 1} holds {plain(float(inside.min()))} to {plain(float(inside.max()))}, and the "
        f"{k} lags after them {plain(float(after.sum()))} together."
    )


def _twelfth():
    shares = np.mean([mean_shares(measurement) for measurement in drawn(STRIPE)], axis=0)
    off = float(np.abs(shares[:EVERY] - 1 / EVERY).max())
    return Evidence(
        off < 1e-6 and shares[EVERY:].max() == 0,
        f"eight sequences: 1/12 to rounding (off by at most {plain(off)}), then an exact 0",
    )


def _reappears():
    shares = [mean_shares(measurement) for measurement in drawn(replace(STRIPE, cell_path_only=False))]
    later = [float(each[EVERY:].sum()) for each in shares]
    return Evidence(
        min(later) > 0, f"full path, eight sequences: {three(np.median(later), min(later), max(later))} beyond"
    )


IGNORES = Lesson(
    title="The output that ignores ten inputs",
    stance="statement",
    claim="An output may ignore the last ten inputs and depend on the one eleven steps back: that lag has not faded.",
    prose=(
        "Once in twelve steps this LSTM **writes**: its forget gate shuts, which wipes the state, and its input gate "
        "opens and takes in one input. Between, the state is kept as it is. Just before a write, the last write is "
        "**eleven steps** back: the present input and the ten before it do not count, lag 11 has not faded. One step "
        "later a new write has come, lag 11 is an exact zero and everything comes from lag 0. In the map each row is "
        "a time $t$, each column a lag $u$, and the colour is the size of the term, $dC(t)/dW(t-u)$, which changes "
        "with the error at $t$: a stripe that moves one lag at a time."
    ),
    scenario=STRIPE,
    look=Look(closer=True, lag=11),
    controls=("time", "write_every"),
    guess=Guess(
        "Average over all times: what share of the gradient does lag 11 hold?",
        lambda m: float(mean_shares(m)[11]),
        range=Range(0.0, 1.0, 0.01),
        near=0.02,
    ),
    reveal=_reveal_stripe,
    conclusion="Each lag takes its turn: the mean share is $1/12$ up to lag 11, and nothing beyond. It averages out.",
    verdicts=(
        Verdict("holds", "on the cell path: 1/12 for each lag up to 11, then nothing", _twelfth),
        Verdict("stops where", "the other paths count: earlier writes reappear, smaller", _reappears),
    ),
    examples=(
        stops(
            replace(STRIPE, cell_path_only=False),
            "All paths together: the write before the last one is seen as well, twelve lags further back.",
        ),
    ),
    try_this="Move the time by one step at a time past a multiple of 12, and watch the lit lag.",
    sources=((HOCHREITER, "input gates that protect what is stored"),),
)
