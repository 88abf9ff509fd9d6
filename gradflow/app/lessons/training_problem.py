"""Lesson 9, gradients that do not vanish as a training problem: networks are trained to see."""

import math
from collections.abc import Sequence
from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gradflow.app.lessons.evidence import SEEDS, plain, three, verdict
from gradflow.app.lessons.record import Dots, Evidence, Example, Guess, Lesson, Trial, Verdict, stops
from gradflow.app.lessons.sources import BENGIO, HOCHREITER, METZ, PASCANU, SAXE
from gradflow.app.scenario import INPUTS, RECALL_LAG, Scenario, gate_names
from gradflow.app.view import View
from gradflow.reading import share
from gradflow.weights import draw

if TYPE_CHECKING:
    from gradflow.app.training import Run

Gains = tuple[float, ...]
Trained = tuple[Scenario, Gains, int, float]  # the last two: numbers read a step; to which norm gradients are clipped
GAINS: Gains = (1.0, 4.0, 8.0, 12.0)
UNCLIPPED = math.inf
RECALL = Scenario(forget=0.95, hidden=32, horizon=41, time=RECALL_LAG, sequence="recall", weight="weight_ih")
LEVEL = replace(RECALL, cell="rnn-linear", init="orthogonal")
LSTM: Trained = (RECALL, GAINS, INPUTS, UNCLIPPED)
LINEAR: Trained = (LEVEL, (1.0,), INPUTS, UNCLIPPED)
FORGETFUL: Trained = (replace(RECALL, forget=0.5), (1.0,), INPUTS, UNCLIPPED)
ALONE: Trained = (RECALL, (8.0, 12.0), 1, UNCLIPPED)  # nothing to tell the number from
CLIPPED: Trained = (RECALL, (8.0, 12.0), INPUTS, 1.0)


class Outcome(NamedTuple):
    """One draw, trained at V gains: what was measured before the first step, and what became of it."""

    credit: np.ndarray  # share of the terms' total size that lies at lag k, f64[V]
    pace: np.ndarray  # what a step back multiplies the error by, f64[V]
    agreement: np.ndarray  # of the terms at lag k of 2,048 sequences, f64[V]; 1 is chance
    losses: np.ndarray  # f32[V, STEPS]
    learned_at: tuple[int | None, ...]  # steps, V of them; None where it has not learned


_KNOWN: dict[tuple[Scenario, Gains, int, float, int], Outcome] = {}  # each draw is trained once in a process
_LOCK = Lock()


def started(scenario: Scenario, gains: Sequence[float] = GAINS, inputs: int = INPUTS) -> "Run":
    """The training of a scenario's network at these gains, before its first step; inputs: numbers read a step."""
    from gradflow.app.training import Network, begin_with

    networks = [Network(_weights(replace(scenario, gain=gain), inputs), scenario.readout()) for gain in gains]
    return begin_with(scenario.cell, networks, RECALL_LAG, seed=scenario.seed)


def _weights(scenario, inputs):
    """Its weights; where it reads another number of inputs than the picture's, drawn by the same rule."""
    weights = scenario.weights()
    if inputs == INPUTS:
        return weights
    scales = {"init": scenario.init, "gain": scenario.gain, "input_gain": scenario.input_gain, "seed": scenario.seed}
    other = draw(gate_names(scenario.cell), scenario.hidden, inputs, **scales)
    return other._replace(bias_ih=weights.bias_ih, bias_hh=weights.bias_hh)


def _trained(scenario, gains, inputs, limit, seed):
    """Train one draw, if nobody has; yields the part that is done, from 0 to 1."""
    from gradflow.app import training

    if (scenario, gains, inputs, limit, seed) not in _KNOWN:
        run = replace(started(replace(scenario, seed=seed), gains, inputs), limit=limit)
        before = np.exp(training.credit(run)), training.pace(run), training.agreement(run)
        for losses in training.train(run):
            yield losses.shape[1] / training.STEPS
        _KNOWN[scenario, gains, inputs, limit, seed] = Outcome(*before, losses, tuple(training.learned_at(losses)))


def outcome(scenario: Scenario, gains: Gains, inputs: int, limit: float, seed: int) -> Outcome:
    """The `Outcome` of one draw; trained now, if nobody has asked before."""
    with _LOCK:  # the others wait instead of training the same
        for _ in _trained(scenario, gains, inputs, limit, seed):
            pass
    return _KNOWN[scenario, gains, inputs, limit, seed]


def outcomes(scenario: Scenario, gains: Gains, inputs: int, limit: float) -> list[Outcome]:
    """Those of all draws."""
    return [outcome(scenario, gains, inputs, limit, seed) for seed in SEEDS]


_ALL = [(*what, seed) for what in (LSTM, LINEAR, FORGETFUL, ALONE, CLIPPED) for seed in SEEDS]


def _train_all():
    for k, one in enumerate(_ALL):
        for part in _trained(*one):
            yield (k + part) / len(_ALL)


def _reveal_one_sample(measurement, view):
    return (
        f"In this sequence, at gain {measurement.scenario.gain:g}, each step back multiplies the error by about "
        f"{plain(measurement.reading.pace)}. The network is chaotic: this gradient is one sample of many."
    )


FIRST_DRAW = Trial(
    "Is credit enough? One draw of an LSTM is trained to recall after 20 steps, at gains from 1 to 12. That takes some "
    "seconds, once.",
    "Train it",
    lambda: (*LSTM, RECALL.seed) in _KNOWN,
    lambda: _trained(*LSTM, RECALL.seed),
)


def _which_learn(measurement):
    """The option that says which gains learn; the one that is off by fewest, where none does."""
    learned = [at is not None for at in outcome(*LSTM, RECALL.seed).learned_at]
    options = ((1, 0, 0, 0), (1, 1, 0, 0), (0, 0, 1, 1), (1, 1, 1, 1))
    return int(np.argmin([np.sum(np.not_equal(learned, option)) for option in options]))


def _reveal_credit(measurement, view):
    if measurement.t < RECALL_LAG or not np.isfinite(measurement.log_row[RECALL_LAG]):
        return verdict(measurement)
    held = share(measurement.log_row)
    credit = float(held[RECALL_LAG] - (held[RECALL_LAG + 1] if measurement.t > RECALL_LAG else 0))
    return (
        f"In this one sequence, at gain {measurement.scenario.gain:g}, each step back multiplies the error by "
        f"{plain(measurement.reading.pace)}, and lag {RECALL_LAG} holds {plain(credit)} of the terms' total size."
    )


def _typical(what, field):
    """The median of a field over the draws, gain by gain."""
    return np.median([getattr(found, field) for found in outcomes(*what)], axis=0)


def _count(what, v=0):
    """(how many draws learn at one gain, that as text: by when, and where the loss ends)."""
    found = outcomes(*what)
    ends = [float(one.losses[v, -100:].mean()) for one in found]
    steps = sorted(one.learned_at[v] for one in found if one.learned_at[v])
    by = f", by step {steps[0]} to {steps[-1]}" if steps else ""
    return len(
        steps
    ), f"{len(steps)} of {len(found)} draws learn{by}; the loss ends at {three(np.median(ends), min(ends), max(ends))}"


def _grows_fast():
    (eight, said), (twelve, more) = _count(LSTM, 2), _count(LSTM, 3)
    true = eight <= 1 and twelve == 0 and _typical(LSTM, "pace")[2] > 1.15
    return Evidence(bool(true), f"gain 8: {said}. Gain 12: {more}. Chance is 0.5, learned is below 0.25 in 600 steps")


def _disagree():
    pace, credit, agree = (_typical(LSTM, field) for field in ("pace", "credit", "agreement"))
    true = agree[0] > 3 and agree[1] > 1.25 and max(agree[2:]) < 1.15 and credit[3] > 8 * credit[0]
    listed = lambda values, sign="": ", ".join(sign + plain(float(value)) for value in values)
    return Evidence(
        bool(true),
        f"gains 1, 4, 8, 12, medians of eight draws: a step back {listed(pace, '×')}; credit {listed(credit)}; the "
        "directions of 2,048 sequences' terms at lag 20, as unit vectors: their mean is, in units of 1/√2048, which "
        f"chance leaves, {listed(agree)} long",
    )


def _alone():
    (eight, said), (twelve, more) = _count(ALONE), _count(ALONE, 1)
    pace, agree = (float(_typical(ALONE, field)[0]) for field in ("pace", "agreement"))
    true = eight >= len(SEEDS) - 2 and twelve < eight and pace > 1.15 and agree < 1.25
    return Evidence(
        bool(true),
        f"gain 8, ×{plain(pace)} a step back, mean of the directions {plain(agree)} of chance: {said}. Gain 12: {more}",
    )


def _clipping():
    (eight, said), (twelve, more) = _count(CLIPPED), _count(CLIPPED, 1)
    without = _count(LSTM, 2)[0]
    return Evidence(without < eight and twelve <= 1, f"gain 8: {said}. Gain 12: {more}")


def _grows_slowly():
    (one, said), (four, more) = _count(LSTM, 0), _count(LSTM, 1)
    pace = float(_typical(LSTM, "pace")[1])
    true = one == four == len(SEEDS) and 1.03 < pace < 1.15
    return Evidence(true, f"gain 4, ×{plain(pace)} a step back: {more}. Gain 1: {said}")


def _keeps():
    count, said = _count(LINEAR)
    paces = [float(found.pace[0]) for found in outcomes(*LINEAR)]
    true = count == len(SEEDS) and max(abs(pace - 1) for pace in paces) < 1e-3
    return Evidence(true, f"a step back ×{three(np.median(paces), min(paces), max(paces))}: {said}")


def _vanishes_fast():
    count, said = _count(FORGETFUL)
    pace, credit = (float(_typical(FORGETFUL, field)[0]) for field in ("pace", "credit"))
    true = count == 0 and pace < 0.8
    return Evidence(true, f"gain 1, a step back ×{plain(pace)}, credit {plain(credit)}: {said}")


def _learned_by():
    """(label, kind, steps) of the draws; inf where one has not learned."""
    rows = [("LSTM, forget gate 0.5, gain 1", FORGETFUL, 0), ("Linear units that turn the state", LINEAR, 0)]
    rows += [(f"LSTM, forget gate 0.95, gain {gain:g}", LSTM, v) for v, gain in enumerate(GAINS)]
    for label, what, v in rows:
        steps = [found.learned_at[v] for found in outcomes(*what)]
        for kind, values in (
            ("learned", [float(at) for at in steps if at]),
            ("not learned", [np.inf for at in steps if not at]),
        ):
            if values:
                yield label, kind, tuple(values)


OTHERWISE = Lesson(
    title="Otherwise a training problem",
    stance="claim",
    claim="You had better have vanishing gradients, otherwise you have a training problem.",
    prose=lambda scenario: (
        "An LSTM reads four random numbers at each of 21 steps, and must then say the very first: one cost, at "
        "$t = 20$ (the map goes on asking at each later $t$). Of its **terms** $dC(t)/dW(t-u)$, those of the input "
        "weights, only the one at lag 20 (marked) can teach $W$ to keep what is asked for. Its share of the terms' "
        f"total size is the **credit**. The forget gate rests at {scenario.at_rest('forget'):.2f}. The larger the "
        "gain, the larger gets the error on its way back, and the more credit arrives. The same draw is trained at "
        "four gains, 600 steps each."
    ),
    scenario=RECALL,
    view=View(closer=True, lag=RECALL_LAG),
    controls=("gain", "forget"),
    guess=Guess(
        "Trained at gain 1, 4, 8 and 12: which of them learn?",
        _which_learn,
        (
            "Gain 1 alone, where the error hardly changes",
            "Gains 1 and 4",
            "Gains 8 and 12, which get most credit",
            "All four",
        ),
        why=(
            "At gain 4 the error gets larger, and it is learned all the same.",
            "",
            "Gains 8 and 12 get the most credit, but the sequences disagree about the direction.",
            "At gains 8 and 12 the error gets so much larger that the sequences disagree about the direction.",
        ),
    ),
    reveal=_reveal_credit,
    reveal_in_chaos=_reveal_one_sample,
    conclusion=(
        "With this recipe (weights and readout trained, the readout drawn N(0, 1/n), Adam at 0.01, 600 steps of 32 "
        "sequences, no clipping) an error that gets larger fast on its way back is a training problem, however much "
        "credit arrives; read one number a step instead of four, and gain 8 learns after all. One that vanishes fast "
        "is a problem too, and one that about keeps its size is none: it need not vanish."
    ),
    verdicts=(
        Verdict(
            "true when",
            "with this recipe, the error gets larger fast on its way back: gains 8 and 12",
            _grows_fast,
            waits=True,
        ),
        Verdict("true", "of the first step: there the sequences disagree about lag 20", _disagree, waits=True),
        Verdict(
            "false when",
            "one number a step is read instead of four: at first the sequences disagree there too, yet gain 8 learns",
            _alone,
            waits=True,
        ),
        Verdict(
            "true when",
            "each batch's gradient is clipped to a norm of 1: gain 8 then learns in some draws, gain 12 does not",
            _clipping,
            waits=True,
        ),
        Verdict("false when", "it gets larger slowly: gain 4 learns too", _grows_slowly, waits=True),
        Verdict("false when", "it keeps its size: linear units that turn the state", _keeps, waits=True),
        Verdict(
            "false when",
            "it vanishes fast, the forget gate at 0.5: then that is the problem",
            _vanishes_fast,
            waits=True,
        ),
    ),
    examples=(
        Example(
            "Show gain 12",
            replace(RECALL, gain=12.0),
            "The terms rise with the lag, and the marked one is the largest.",
        ),
        stops(LEVEL, "Linear units whose weights turn the state: no error vanishes. Train them: gain 1 learns."),
    ),
    try_this="Set the forget gate to 0.73 (a bias of 1) and press “Train again”. Which gains learn now?",
    sources=(
        (PASCANU, "clipping by norm"),
        (METZ, "where the state is chaotic, gradients through it are of little use, whatever their size"),
        (BENGIO, "the other side: an error that vanishes makes long dependencies hard to learn"),
        (HOCHREITER, "an error that keeps its size"),
        (SAXE, "orthogonal weights keep the size of what they carry"),
    ),
    trial=Trial(
        "Eight draws of each of ten networks are trained for 600 steps: the four gains, linear units that turn the "
        "state, a forget gate at 0.5, two gains that read one number a step, and two whose gradients are clipped. That "
        "takes about a minute, once.",
        "Train all draws",
        lambda: all(one in _KNOWN for one in _ALL),
        _train_all,
    ),
    draws=Dots(
        _learned_by,
        "Learned to recall, by which step",
        "steps of training",
        says="Each dot is one draw.",
        beyond="not in 600",
        waits=True,
    ),
    ends_in="gains",
)
