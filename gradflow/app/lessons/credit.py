"""Lesson 8, what the sum hides."""

import math
from dataclasses import replace

from gradflow.app.lessons.evidence import plain, three, typical, typically
from gradflow.app.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import BENGIO, JOZEFOWICZ, TALLEC
from gradflow.app.lessons.training_problem import FIRST_DRAW, GAINS, LSTM, RECALL, outcome
from gradflow.app.measurement import Measurement, measure
from gradflow.app.presets import PRESETS
from gradflow.app.view import View
from gradflow.reading import number

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
        return Evidence(true, f"sum {three(*sums)}; credit of the lags from 50 on {three(median, *ends)}")

    return evidence


def _not_enough():
    found = outcome(*LSTM, RECALL.seed)
    low, high = (
        f"gain {GAINS[v]:g}, credit {plain(float(found.credit[v]))}: "
        + (f"learned by step {found.learned_at[v]}" if found.learned_at[v] else "not learned in 600 steps")
        for v in (0, -1)
    )
    true = found.credit[-1] > 5 * found.credit[0] and found.learned_at[0] and not found.learned_at[-1]
    return Evidence(bool(true), f"one draw, trained to recall after 20 steps; {low}; {high}")


def truncated(measurement: Measurement, kept: int) -> float:
    """What truncated backpropagation that keeps so many lags leaves out: ‖Σ_{u≥kept}‖ / ‖Σ‖."""
    return math.exp(measurement.log_missing[kept])


HIDES = Lesson(
    title="What the sum hides",
    stance="claim",
    claim="If the sum is neither tiny nor huge, all is well.",
    prose=(
        "A network is to learn something that lies fifty steps back. Its weight has a proper gradient: the sum on the "
        "right is neither tiny nor huge. But a sum does not say where it comes from. Its **terms**, $dC(t)/dW(t-u)$, "
        "on the left do. The lags of 50 and more hold a share of their total size, of sizes alone and without signs: "
        "the **credit** that reaches back that far. If it is nearly nothing, the weight moves all the same, and learns "
        "what the last few steps teach it. In grey: the same network with another forget gate."
    ),
    scenario=SHORT,
    view=View(closer=True, kept=LONG, lag=50),
    controls=("forget", "gain"),
    guess=Guess(
        "What share of the blue terms' total size comes from the far half of the lags, 50 and more?",
        _which_reach,
        ("More than a quarter", "Some per cent", "Less than one per cent"),
        why=(
            "Each step back takes a sixth of the error away, and fifty of them leave next to nothing.",
            "Each step back takes a sixth of the error away, and fifty of them leave next to nothing.",
            "",
        ),
    ),
    reveal=lambda m, view: (
        f"The sum is {number(m.reading.log_sum)}, and the lags from {(m.t + 1) // 2} on hold "
        f"{plain(m.reading.far_share)} of the terms' total size. In the grey network they hold "
        f"{plain(measure(LONG).reading.far_share)}."
    ),
    conclusion=(
        "A proper sum can be all short lags. To learn a long dependency, credit has to reach back: that is needed, and "
        "not sufficient."
    ),
    verdicts=(
        Verdict("false when", "the forget gate rests at 0.73: a proper sum without reach", _reach(SHORT, False)),
        Verdict("true when", "it rests at 0.97, as far as reach goes: a proper sum that has it", _reach(LONG, True)),
        Verdict("false when", "credit arrives and is not enough (more in lesson 9)", _not_enough, waits=True),
    ),
    trial=FIRST_DRAW,
    examples=(
        Example(
            "Show shares by lag",
            SHORT,
            "What part of the terms' total size lies at each lag or further back: all within twenty lags, in grey not.",
            View(closer=True, show="shares", kept=LONG, lag=50),
        ),
        stops(LONG, "The network in grey: nearly half of the terms' total size comes from the far half of the lags."),
    ),
    try_this=(
        "Find the smallest forget gate at which the far half holds a tenth. Then set the gain to 12 and train below: "
        "how much credit arrives, and what is learned?"
    ),
    sources=(
        (BENGIO, "an error that vanishes makes long dependencies hard to learn"),
        (JOZEFOWICZ, "a forget bias of 1, with which the gate rests at σ(1) = 0.73"),
        (
            TALLEC,
            "forget biases log U(1, T − 1), spread over the units, with their negatives on the input gate; the "
            "training below takes their upper end, log k, for the forget gate alone",
        ),
    ),
    remedies=(
        Verdict(
            "cost of",
            "truncating: going back 20 lags from each cost and leaving out the rest; in the network without reach",
            typically(
                SHORT,
                lambda m: truncated(m, 20),
                lambda median, *_: median < 0.1,
                "{} of the gradient at the last time is missing: little",
            ),
        ),
        Verdict(
            "cost of",
            "the same in the network with reach",
            typically(
                LONG,
                lambda m: truncated(m, 20),
                lambda median, *_: median > 0.5,
                "{} of the gradient at the last time is missing: most of it",
            ),
        ),
    ),
    curves=("truncation",),
    ends_in="biases",
)
