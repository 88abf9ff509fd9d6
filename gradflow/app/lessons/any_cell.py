"""Lesson 6, any RNN; gates choose."""

import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from gradflow.app.counterexample import in_every_cell
from gradflow.app.lessons.evidence import pace, plain, three
from gradflow.app.lessons.record import Dots, Evidence, Example, Guess, Lesson, Trial, Verdict, stops
from gradflow.app.lessons.sources import CHO, HE, HOCHREITER, SAXE
from gradflow.app.measurement import measure
from gradflow.app.scenario import Scenario
from gradflow.app.view import View
from gradflow.cells import CELLS
from gradflow.reading import per_step_factor, regime

DRAWS = range(32)
HELD = tuple(name for name, cell in CELLS.items() if cell.bounded)  # by an activation or by gates
SIDE_BY_SIDE = Scenario(horizon=80)
DOES = {  # regime of δ -> what is said of it
    "vanishing": "vanishes in",
    "constant": "keeps its size in",
    "exploding": "gets larger in",
    "mixed": "follows no one factor in",
    "overflow": "is lost, by an overflow, in",
}


def errors(scenario: Scenario) -> list[tuple[str, float]]:
    """(regime, pace) of δ at the last time, for each of `DRAWS`: the forward pass and one sweep, 2 ms a draw."""
    from gradflow.engine.device import select_device
    from gradflow.maps import gradient_map

    select_device()
    found = []
    for seed in DRAWS:
        lags = gradient_map(**replace(scenario, seed=seed).problem()).lags(scenario.horizon - 1)
        log_delta = lags.log_terms(CELLS[scenario.cell].used("bias_hh"))
        fit = per_step_factor(log_delta)
        found.append((regime(log_delta, fit), fit.factor))
    return found


def _reveal_cells(measurement, view):
    """In how many cells the error vanishes, and in which; the factors stand in the picture."""
    each = in_every_cell(measurement)
    of = {name: [cell for cell, one in each.items() if one.reading.regime == name] for name in DOES}
    counted = ", ".join(f"{DOES[name]} {len(cells)}" for name, cells in of.items() if cells)
    named = "; ".join(f"it {DOES[name]} {', '.join(cells)}" for name, cells in of.items() if cells)
    return f"Of these {len(each)} cells, the error {counted}. In this draw {named}."


def _what_level_hides(measurement):
    """The option that says what a step back does where the terms of ReLU and linear units stay level."""
    each = in_every_cell(measurement)
    paces = [pace(each[cell]) for cell in ("rnn-relu", "rnn-linear")]
    return 2 if min(paces) > 1.05 else 1 if max(paces) < 0.95 else 0


def _adds_up():
    worst = 0.0
    for measurement in in_every_cell(measure(SIDE_BY_SIDE)).values():
        whole = math.log(float(np.linalg.norm(getattr(measurement.whole, measurement.scenario.weight))))
        worst = max(worst, abs(math.expm1(measurement.reading.log_sum - whole)))
    return Evidence(worst < 1e-4, f"one draw, 80 steps: sum and jax.grad differ by at most {plain(worst)} of it")


def _held():
    found = {cell: errors(replace(SIDE_BY_SIDE, cell=cell)) for cell in HELD}
    paces = {cell: [factor for _, factor in draws] for cell, draws in found.items()}
    true = all(name == "vanishing" for draws in found.values() for name, _ in draws)
    said = "; ".join(f"{cell} ×{three(np.median(each), min(each), max(each))}" for cell, each in paces.items())
    return Evidence(true, f"{len(DRAWS)} draws, a step back on average: {said}")


def _free():
    linear, relu, he = (
        Counter(name for name, _ in errors(replace(SIDE_BY_SIDE, cell=cell, gain=gain)))
        for cell, gain in (("rnn-linear", 1.0), ("rnn-relu", 1.0), ("rnn-relu", 1.41))
    )
    count = lambda names: f"in {names['exploding']} of {names.total()} draws (it vanishes in {names['vanishing']})"
    true = linear["exploding"] >= 10 and linear["vanishing"] >= 4 and 0 < relu["exploding"] <= 4
    true = true and min(he["exploding"], he["vanishing"]) >= 8
    return Evidence(
        true,
        f"the error gets larger, at gain 1, in linear units {count(linear)}, in ReLU units {count(relu)}; at gain √2, "
        f"in ReLU units {count(he)}",
    )


def _gates_choose():
    keep, drop = (
        float(np.median([factor for _, factor in errors(Scenario(cell="gru", update=update, gain=0.4))]))
        for update in (0.95, 0.1)
    )
    return Evidence(keep > drop + 0.2, f"GRU, keep gate 0.1: ×{plain(drop)} a step back; 0.95: ×{plain(keep)}")


_CHOSEN: dict[str, Any] = {}  # "before", "after": what `openings` says


def _train_to_choose():
    """Train an LSTM of each of four draws to keep one marked number; yields the part that is done, from 0 to 1."""
    from gradflow.app import training

    drawn = [Scenario(forget=0.95, seed=seed) for seed in range(4)]
    networks = [training.Network(one.weights(), one.readout()) for one in drawn]
    run = training.begin_with("lstm", networks, marked=True)
    before = training.openings(run)
    for k in range(training.STEPS // training.CHUNK):
        run, losses = training.advance(run)
        yield training.CHUNK * (k + 1) / training.STEPS
    _CHOSEN.update(before=before, after=training.openings(run), losses=np.asarray(losses).mean(1))


def most_choosing(openings: dict[str, tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """Of each network the unit whose input gate differs most by the mark: (openness there, elsewhere), f[V] each."""
    there, elsewhere = openings["input"]
    unit = np.argmax(there - elsewhere, axis=1)[:, None]
    return np.take_along_axis(there, unit, 1)[:, 0], np.take_along_axis(elsewhere, unit, 1)[:, 0]


def _by_the_input():
    if not _CHOSEN:
        for _ in _train_to_choose():
            pass
    said = {}
    for when in ("before", "after"):
        there, elsewhere = most_choosing(_CHOSEN[when])
        said[when] = there - elsewhere
        said[f"{when} in words"] = " at the mark and ".join(
            three(np.median(each), each.min(), each.max()) for each in (there, elsewhere)
        )
    true = said["after"].min() > 0.5 and said["before"].max() < 0.35 and _CHOSEN["losses"].max() < 0.05
    return Evidence(
        bool(true),
        f"four LSTMs learned to keep the marked one of 21 numbers: of the unit that chooses most the input gate stands "
        f"at {said['after in words']} without the mark; before training, at {said['before in words']}",
    )


def _by_cell():
    """(label, kind, log paces): the draws of each cell at gain 1."""
    for cell in CELLS:
        found = errors(replace(SIDE_BY_SIDE, cell=cell))
        for name in ("vanishing", "exploding", "constant"):
            values = tuple(math.log(factor) for kind, factor in found if kind == name)
            if values:
                yield cell, name, values


ANY = Lesson(
    title="Any RNN; gates choose",
    stance="statement",
    claim="All of this holds for any recurrent network; gates choose what to remember, to forget and to take in.",
    prose=(
        "These cells read the same inputs, with weights of the same scale. In an RNN the new state is an activation "
        "(tanh, sigmoid, ReLU or none) of $W$ times the old state plus the input. The others have **gates**, numbers "
        "from 0 to 1 that multiply what passes; a minGRU's see the input alone. All make the same sum, one **term** "
        "$dC(t)/dW(t-u)$ for each lag, drawn here on one scale. A term is the **error** $\\delta$ that arrives at "
        "step $t-u$, times what it meets there: the state before, or, in the minGRU, the input."
    ),
    scenario=SIDE_BY_SIDE,
    view=View(closer=True, show="cells", lag=40),
    controls=("gain", "forget"),
    guess=Guess(
        "The terms of rnn-relu and rnn-linear stay level. What does each step back do to the error there?",
        _what_level_hides,
        ("Nothing: it keeps its size", "It makes it smaller, slowly", "It makes it larger"),
        why=(
            "Further back the error meets a smaller state, so level terms mean that the error itself gets larger.",
            "Further back the error meets a smaller state, so level terms mean that the error itself gets larger.",
            "",
        ),
    ),
    reveal=_reveal_cells,
    reveal_in_chaos=_reveal_cells,  # paces alone
    conclusion=(
        "The sum is there in any recurrent network. That errors vanish is not: squashing and gates see to it at this "
        "scale, and where nothing does, it is a matter of the draw. The picture's rnn-relu is a rare one: of 32 draws "
        "at gain 1, its error gets larger in this one alone."
    ),
    verdicts=(
        Verdict("holds", "for the sum: in every cell the terms add up to W's gradient", _adds_up),
        Verdict("holds when", "the units squash or have gates, at gain 1: the error vanishes in every draw", _held),
        Verdict("stops where", "nothing holds the error down: linear and ReLU units stand on a border", _free),
        Verdict("holds", "for the gates: one gate moves the pace", _gates_choose),
        Verdict(
            "holds when", "gates were trained: they choose by the input what to take in", _by_the_input, waits=True
        ),
    ),
    trial=Trial(
        "Before training, gates hardly choose. Four LSTMs are trained to say one marked number of 21 at the end: 600 "
        "steps, some seconds, once.",
        "Train gates to choose",
        lambda: bool(_CHOSEN),
        _train_to_choose,
    ),
    draws=Dots(
        _by_cell,
        "What a step back does to the error",
        "factor a step back, gain 1",
        log=True,
        reference=1,
        says="Each dot is one draw; right of the line the error gets larger.",
    ),
    examples=(
        Example(
            "Let the gates write",
            replace(SIDE_BY_SIDE, gates="pinned", forget=0.97, update=0.97, write_every=12),
            "The gates of LSTM and GRU write once in twelve steps: of the LSTM's terms only the writes are left.",
        ),
        stops(
            replace(SIDE_BY_SIDE, cell="rnn-relu", gain=2.0, weight="bias_hh"),
            "ReLU units at twice the scale have no gate that could hold them: the error gets larger at each step back.",
        ),
    ),
    try_this=(
        "Raise the gain to 3, then to 8: in which two cells does the error still vanish, and which of them has no "
        "recurrent weights that the gain could scale? (The forget gate is the LSTM's alone.)"
    ),
    sources=(
        (HOCHREITER, "the gates of an LSTM"),
        (CHO, "the gated recurrent unit"),
        (SAXE, "linear units: all is decided by the eigenvalues of W"),
        (HE, "√2, the scale at which ReLU layers neither shrink nor stretch what passes, on average"),
    ),
)
