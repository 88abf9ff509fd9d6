"""Lesson 1, a sum over lags."""

import numpy as np

from gradflow.lessons.evidence import drawn, plain, three
from gradflow.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import WERBOS
from gradflow.look import Look, place
from gradflow.scenario import CHOICES, Scenario


def added_up(measurement, row=None, col=None):
    """(sum of the terms, what `jax.grad` gives) of one entry; without a row, of the one with the largest gradient."""
    field = measurement.field["weight"]
    if row is None:
        row, col = measurement.lags.largest_entry(**measurement.field)
    sign, log = measurement.lags.entry(field, row, col)
    whole = getattr(measurement.whole, field)
    return float(np.sum(sign * np.exp(log))), float(whole[row] if col is None else whole[row, col])


def _reveal_sum(measurement, look):
    _, row, col = place(measurement, look)
    total, whole = added_up(measurement, row, col)
    return (
        f"The {measurement.t + 1} terms of this weight add up to {plain(total)}; jax.grad of the shared weight "
        f"gives {plain(whole)}."
    )


def _sums_agree():
    worst = 0.0
    for cell in CHOICES["cell"]:
        for measurement in drawn(Scenario(cell=cell, horizon=60)):
            total, whole = added_up(measurement)
            worst = max(worst, abs(total - whole) / abs(whole))
    return Evidence(
        worst < 1e-3,
        f"six kinds of network, eight draws each: sum and jax.grad differ by at most {plain(worst)} of the value",
    )


CHAOS = Scenario(gain=12.0, horizon=256)


def _chaos():
    apart = [abs(total - whole) / max(abs(total), abs(whole)) for total, whole in map(added_up, drawn(CHAOS))]
    return Evidence(
        np.median(apart) > 0.5,
        f"gain 12, 256 steps: sum and jax.grad differ by {three(np.median(apart), min(apart), max(apart))} of the "
        "larger",
    )


SUM = Lesson(
    title="A sum over lags",
    stance="statement",
    claim="A recurrent network uses one weight many times, so its gradient is a sum with one term for each use.",
    prose=(
        "At every step the network multiplies its state by the same matrix $W$. Give each use its own name: $W(t-u)$ "
        "is the copy that worked **$u$ steps before** time $t$, and $u$ is called the **lag**. Change one copy alone "
        "by a little: how much the error at time $t$, $C(t)$, then changes is that copy's **term**, $dC(t)/dW(t-u)$. "
        "The bars show the terms of one single weight, the nearest twelve lags one by one and all earlier ones "
        "together. Blue adds to the sum, red takes away from it, and each bar starts where the one before it ended."
    ),
    scenario=Scenario(),
    look=Look(closer=True, show="entry", row=40, col=1),  # the largest gradient of all
    controls=("row", "col", "horizon"),
    guess=Guess(
        "Training changes the one shared weight by its gradient. How does that compare with the sum of all the terms?",
        lambda measurement: 1,
        (
            "It is less: the far terms get lost on the way",
            "It is the sum, to the last digit that the arithmetic holds",
            "It is their average, the sum divided by the number of steps",
        ),
    ),
    reveal=_reveal_sum,
    conclusion="The gradient of a shared weight is the sum of its terms: $dC(t)/dW = \\sum_u dC(t)/dW(t-u)$.",
    verdicts=(
        Verdict("holds", "for every cell, to rounding", _sums_agree),
        Verdict(
            "stops where",
            "the network is chaotic, in the arithmetic alone: rounding errors grow as the terms do",
            _chaos,
        ),
    ),
    examples=(
        stops(
            CHAOS,
            "Weights so large that the network is chaotic: two computations that round differently soon follow "
            "different paths, and agree on no gradient.",
        ),
    ),
    try_this="Move the row until the sum is smaller than the largest bar. Which bars did that?",
    sources=((WERBOS, "the sum over the copies of a shared weight"),),
)
