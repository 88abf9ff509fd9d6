"""Lesson 8, what the sum hides."""

import math
from dataclasses import replace

from gradflow.lessons.evidence import plain, three, typical, typically
from gradflow.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import BENGIO, JOZEFOWICZ, PASCANU, TALLEC
from gradflow.look import Look
from gradflow.reading import number
from gradflow.scenario import PRESETS

SHORT = PRESETS["LSTM at initialisation"]
LONG = replace(SHORT, forget=0.97)


def _which_reach(measurement):
    far = measurement.reading.far_share
    return 0 if far > 0.25 else 1 if far > 0.01 else 2


def _reach(scenario, reaches):
    def evidence():
        sums = typical(scenario, lambda measurement: math.exp(measurement.reading.log_sum))
        median, *ends = typical(scenario, lambda measurement: measurement.reading.far_share)
        true = 0.1 < sums[0] < 10 and (median > 0.2 if reaches else median < 1e-3)
        return Evidence(true, f"sum {three(*sums)}; share of the lags from 50 on {three(median, *ends)}")

    return evidence


def truncated(measurement, kept):
    """What truncated backpropagation that keeps so many lags leaves out: ‖Σ_{u≥kept}‖ / ‖Σ‖."""
    return math.exp(measurement.log_missing[kept])


HIDES = Lesson(
    title="What the sum hides",
    stance="claim",
    claim="If the sum is healthy, all is well.",
    prose=(
        "A network is to learn something that lies fifty steps back. Its weight has a healthy gradient: the sum on "
        "the right is neither tiny nor huge. But a sum does not say where it comes from. Its **terms**, "
        "$dC(t)/dW(t-u)$, on the left do: the share of their total size that comes from lags of 50 and more is the "
        "**credit** that reaches back that far. If it is nearly nothing, the weight moves all the same, and learns "
        "what the last few steps teach it. In grey there is the same network but for one thing, a forget gate at 0.97 "
        "instead of 0.73."
    ),
    scenario=SHORT,
    look=Look(closer=True, kept=LONG, lag=50),
    controls=("forget", "gain"),
    guess=Guess(
        "What share of the total size of the blue network's terms comes from the far half of the lags, 50 and more?",
        _which_reach,
        ("More than a quarter", "Some per cent", "Less than one per cent"),
    ),
    reveal=lambda m, look: (
        f"The sum is {number(m.reading.log_sum)}. The far half of the lags holds {plain(m.reading.far_share)} of the "
        f"terms' total size; in the grey network {plain(LONG.measure().reading.far_share)}."
    ),
    conclusion="A healthy sum can be all short lags. Credit that reaches back is needed to learn a long dependency.",
    verdicts=(
        Verdict("false when", "the forget gate rests at 0.73: a healthy sum without reach", _reach(SHORT, False)),
        Verdict("true when", "the forget gate rests at 0.97: a healthy sum with reach", _reach(LONG, True)),
    ),
    examples=(
        stops(LONG, "The network in grey: nearly half of the terms' total size comes from the far half of the lags."),
    ),
    try_this="Find the smallest forget gate at which a tenth of the credit comes from the far half.",
    sources=(
        (BENGIO, "credit that fades makes long dependencies hard to learn"),
        (PASCANU, "necessary, not sufficient"),
        (JOZEFOWICZ, "a forget bias of 1"),
        (TALLEC, "a forget bias of log k for a dependency of k steps"),
    ),
    remedies=(
        Verdict(
            "cost of",
            "truncating after 20 lags, in the network without reach: little is missing",
            typically(
                SHORT,
                lambda m: truncated(m, 20),
                lambda median, *_: median < 0.1,
                "{} of the whole gradient is missing",
            ),
        ),
        Verdict(
            "cost of",
            "the same in the network with reach: most of the gradient is missing",
            typically(
                LONG, lambda m: truncated(m, 20), lambda median, *_: median > 0.5, "{} of the whole gradient is missing"
            ),
        ),
    ),
    curves=("truncation",),
    ends_in="learning",
)
