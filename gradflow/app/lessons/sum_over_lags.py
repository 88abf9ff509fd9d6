"""Lesson 1, a sum over lags."""

from dataclasses import replace

import numpy as np

from gradflow.app.lessons.evidence import SEEDS, drawn, plain, spread
from gradflow.app.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import WERBOS
from gradflow.app.measurement import Measurement
from gradflow.app.scenario import Scenario
from gradflow.app.view import View, place
from gradflow.cells import CELLS

PLAIN = Scenario(cell="rnn-tanh", init="orthogonal", input_gain=0.3)
CHAOS = replace(PLAIN, gain=3.0, horizon=256)
LOOK = View(closer=True, show="sums", row=8, col=4)


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
        f"{len(CELLS)} cells (of the minGRU, the input weights), 60 steps, eight draws each: the sum and jax.grad of "
        f"the whole run differ by at most {plain(worst)} of the latter, in its largest entry",
    )


def along_one_run(scenario: Scenario) -> float:
    """How far the sum of the terms is from the gradient along the states of one and the same run of a tanh RNN.

    The run and its gradient, which is summed on the way back, are float32; the terms are float64. Relative.
    """
    problem, t = scenario.problem(), scenario.horizon - 1
    w_ih, w_hh, b_ih, b_hh = problem["weights"]
    states = [np.zeros(len(w_hh), np.float32)]
    for x in problem["inputs"][: t + 1]:
        states.append(np.tanh(w_ih @ x + b_ih + w_hh @ states[-1] + b_hh))
    error = problem["readout"] * (problem["readout"] @ states[-1] - problem["targets"][t])
    delta, whole = error, np.zeros_like(w_hh)
    exact, terms = np.float64(error), np.zeros(w_hh.shape)
    for h, before in zip(states[:0:-1], states[-2::-1], strict=True):
        delta, exact = delta * (1 - h**2), exact * (1 - np.float64(h) ** 2)
        whole += np.outer(delta, before)
        terms += np.outer(exact, before)
        delta, exact = w_hh.T @ delta, w_hh.T @ exact
    return float(np.linalg.norm(terms - whole) / np.linalg.norm(terms))


def _chaos():
    apart, opposed = {}, {}
    for horizon in (30, CHAOS.horizon):
        both = [added_up(measurement) for measurement in drawn(replace(CHAOS, horizon=horizon))]
        apart[horizon] = [max(map(abs, pair)) / min(map(abs, pair)) for pair in both]
        opposed[horizon] = sum(total * whole < 0 for total, whole in both)
    near, far = apart.values()
    same_run = [along_one_run(replace(CHAOS, seed=seed)) for seed in SEEDS]
    return Evidence(
        bool(max(near) < 1.01 and np.median(far) > 2 and max(same_run) < 1e-3),
        f"gain 3, eight draws: after 30 steps the larger of the two runs' values is at most {max(near):.4f} times the "
        f"smaller; after {CHAOS.horizon} steps it is {spread(far)} times the smaller, and in "
        f"{opposed[CHAOS.horizon]} of 8 they have opposite signs. Along the states of one run, sum and gradient differ "
        f"by {spread(same_run)} of their size",
    )


SUM = Lesson(
    title="A sum over lags",
    stance="statement",
    claim="A recurrent network uses one weight many times, so a cost's gradient is a sum with one term for each use.",
    prose=(
        "At every step the network uses the same matrix $W$, here on its state. Call $W(t-u)$ the copy that worked "
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
            "does not say",
            "that two runs agree: in chaos two that round otherwise soon part, and each then has a gradient of its "
            "own, the sum of its own terms",
            _chaos,
        ),
    ),
    examples=(
        Example(
            "Show it unrolled",
            PLAIN,
            "The same network step by step: the copies of W, and what C(t) sends back to each, all entries together.",
            replace(LOOK, show="unrolled"),
        ),
        stops(
            CHAOS,
            "Recurrent weights three times as large: the network is chaotic, two runs part, and their gradients have "
            "nothing to do with one another.",
            "Show chaos",
        ),
    ),
    try_this="Move the row until the sum is smaller than the largest bar. Which bars did that?",
    sources=((WERBOS, "the sum over the copies of a shared weight"),),
)
