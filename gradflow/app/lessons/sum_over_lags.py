"""Lesson 1, a sum over lags."""

from dataclasses import replace

import numpy as np

from gradflow.app.lessons.evidence import drawn, plain, spread
from gradflow.app.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import WERBOS
from gradflow.app.measurement import Measurement
from gradflow.app.scenario import Scenario
from gradflow.app.view import View, place
from gradflow.cells import CELLS

PLAIN = Scenario(cell="rnn-tanh", init="orthogonal", input_gain=0.3)
CHAOS = replace(PLAIN, gain=3.0, horizon=256)
LOOK = View(closer=True, show="entry", row=8, col=4)


def terms_and_whole(
    measurement: Measurement, row: int | None = None, col: int | None = None
) -> tuple[np.ndarray, float]:
    """The terms of one entry, f64[t+1], and what `jax.grad` gives; without a row, of that with the largest gradient."""
    field = measurement.field["weight"]
    if row is None:
        row, col = measurement.lags.largest_entry(**measurement.field)
    sign, log = measurement.lags.entry(field, row, col)
    whole = getattr(measurement.whole, field)
    return sign * np.exp(log), float(whole[row] if col is None else whole[row, col])


def added_up(measurement: Measurement, row: int | None = None, col: int | None = None) -> tuple[float, float]:
    """(sum of the terms, what `jax.grad` gives) of one entry, as in `terms_and_whole`."""
    terms, whole = terms_and_whole(measurement, row, col)
    return float(np.sum(terms)), whole


def _which_change(measurement):
    """Which of the three the derivative by the shared weight is."""
    terms, whole = terms_and_whole(measurement, LOOK.row, LOOK.col)
    offered = terms[np.argmax(np.abs(terms))], terms.sum(), terms.mean()
    return int(np.argmin(np.abs(np.array(offered) - whole)))


def _reveal(measurement, view):
    _, row, col = place(measurement, view)
    total, whole = added_up(measurement, row, col)
    return (
        f"The {measurement.t + 1} terms of this entry add up to {plain(total)}; the derivative of the whole run by the "
        f"shared weight, taken without any copies, is {plain(whole)}."
    )


def _reveal_in_chaos(measurement, view):
    _, row, col = place(measurement, view)
    total, whole = added_up(measurement, row, col)
    return (
        f"Chaotic: the terms of one run add up to {plain(total)}; the derivative of a second run, which rounds "
        f"otherwise, is {plain(whole)}. Each is one sample of many."
    )


def _sums_agree():
    worst = 0.0
    for cell in CELLS:
        for measurement in drawn(Scenario(cell=cell, horizon=60)):
            total, whole = added_up(measurement)
            worst = max(worst, abs(total - whole) / abs(whole))
    return Evidence(
        worst < 1e-5,
        f"each of {len(CELLS)} cells, eight draws each: the sum and jax.grad of the whole run differ by at most "
        f"{plain(worst)} of the value",
    )


def _chaos():
    apart, opposed = {}, {}
    for horizon in (30, CHAOS.horizon):
        both = [added_up(measurement) for measurement in drawn(replace(CHAOS, horizon=horizon))]
        apart[horizon] = [max(map(abs, pair)) / min(map(abs, pair)) for pair in both]
        opposed[horizon] = sum(total * whole < 0 for total, whole in both)
    near, far = apart.values()
    return Evidence(
        bool(max(near) < 1.01 and np.median(far) > 2),
        f"gain 3, eight draws: after 30 steps the larger of the two is at most {max(near):.4f} times the smaller; "
        f"after {CHAOS.horizon} steps it is {spread(far)} times the smaller, and in "
        f"{opposed[CHAOS.horizon]} of 8 they have opposite signs",
    )


SUM = Lesson(
    title="A sum over lags",
    stance="statement",
    claim="A recurrent network uses one weight many times, so a cost's gradient is a sum with one term for each use.",
    prose=(
        "At every step the network multiplies its state by the same matrix $W$. Call $W(t-u)$ the copy that worked "
        "**$u$ steps before** time $t$; $u$ is the **lag**. $C(t)$ is the cost at time $t$: how wrong the output is "
        "then. Change one copy alone by a little: what $C(t)$ changes by, for each unit of the change, is that copy's "
        "**term**, $dC(t)/dW(t-u)$. The bars are the terms of one entry of $W$: blue adds, red takes away, and each "
        "bar starts where the one before it ended."
    ),
    scenario=PLAIN,
    view=LOOK,
    controls=("row", "col", "horizon"),
    guess=Guess(
        "Now change the one shared entry by a small ε. What does $C(t)$ change by?",
        _which_change,
        ("ε times its largest term", "ε times the sum of its terms", "ε times the mean of its terms"),
        why=(
            "All copies move at once, and each adds what its own term says.",
            "",
            "It would be the mean if each copy moved by its share of ε, but each moves by all of it.",
        ),
    ),
    reveal=_reveal,
    reveal_in_chaos=_reveal_in_chaos,
    conclusion=(
        "The gradient of one cost by a shared weight is the sum of its terms: $dC(t)/dW = \\sum_u dC(t)/dW(t-u)$. "
        "Training adds such gradients up again, over the costs of all times $t$ and over the sequences of a batch."
    ),
    verdicts=(
        Verdict("holds", "for networks with and without gates, to rounding", _sums_agree),
        Verdict(
            "stops where",
            "the network is chaotic, and there in the arithmetic alone: two runs that round otherwise soon take "
            "different paths, and each path has a gradient of its own",
            _chaos,
        ),
    ),
    examples=(
        stops(
            CHAOS, "Recurrent weights three times as large: the network is chaotic, and two runs agree on no gradient."
        ),
    ),
    try_this="Move the row until the sum is smaller than the largest bar. Which bars did that?",
    sources=((WERBOS, "the sum over the copies of a shared weight"),),
)
