"""Lesson 4, “LSTMs are sure to vanish”."""

from dataclasses import replace
from typing import Any

from gradflow.app.lessons.evidence import SEEDS, drawn, pace, plain, spread, term_pace, three, typical, verdict
from gradflow.app.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import GERS, HOCHREITER, JOZEFOWICZ
from gradflow.app.presets import PRESETS
from gradflow.app.ranges import Range
from gradflow.app.scenario import GATE_FIELDS, Scenario
from gradflow.app.view import View

CELL_PATH = Scenario(gates="pinned", forget=0.9, cell_path_only=True)
OTHER_PATHS = replace(CELL_PATH, cell_path_only=False, gates="learned")
EXPLODING = PRESETS["LSTM that explodes"]
AS_DRAWN: dict[str, Any] = dict.fromkeys(GATE_FIELDS)  # all gates where the initialisation puts them


def _as_frameworks_start():
    found = {init: typical(Scenario(init=init, horizon=80, **AS_DRAWN), pace) for init in ("keras", "pytorch")}
    numbers = (
        f"as {name}: ×{three(*found[init])} a step" for init, name in (("keras", "Keras"), ("pytorch", "PyTorch"))
    )
    return Evidence(all(high < 1 for *_, high in found.values()), f"eight draws each, {'; '.join(numbers)}")


def _carousel():
    median, low, high = typical(replace(CELL_PATH, forget=1.0), pace)
    return Evidence(
        low > 0.99 and high < 1.01, f"forget gate 1, cell path, eight draws: ×{three(median, low, high)} a step"
    )


def _other_paths():
    orthogonal, large = typical(EXPLODING, pace), typical(Scenario(gain=12.0, horizon=80), pace)
    held = typical(replace(EXPLODING, gates="pinned"), pace)
    return Evidence(
        orthogonal[1] > 1.03 and held[1] > 1.03 and large[1] > 1,
        f"orthogonal weights, weak inputs, forget gate 0.9, eight draws: ×{three(*orthogonal)} a step, and as much "
        f"through the new content alone, all gates held: ×{three(*held)}; gain 12: ×{three(*large)} on average",
    )


def _weights_multiply():
    tanh = [pace(m) for m in drawn(Scenario(cell="rnn-tanh", hidden=64, gain=3.0), range(4))]
    sigmoid = [pace(m) for m in drawn(Scenario(cell="rnn-sigmoid", hidden=64, gain=12.0, input_gain=0.2), SEEDS)]
    above = sum(value > 1 for value in sigmoid)
    return Evidence(
        min(tanh) > 1.1 and above >= 3,
        f"plain RNNs of 64 units, on average over the lags: tanh, gain 3, four draws, ×{spread(tanh)} a step; sigmoid, "
        f"whose derivative is at most ¼, gain 12: above 1 in {above} of 8 draws, at most ×{plain(max(sigmoid))}",
    )


def _gate_sets_the_pace():
    found = {f: typical(replace(CELL_PATH, forget=f), pace) for f in (0.5, 0.9, 0.95)}
    true = all(abs(low - f) < 0.005 and abs(high - f) < 0.005 for f, (_, low, high) in found.items())
    said = "; ".join(f"gate {f:g}: ×{plain(median)}" for f, (median, *_) in found.items())
    return Evidence(true, f"the error at the units' inputs, fitted, medians of eight draws: {said} a step")


def _prose(scenario):
    return (
        "An LSTM carries a **cell state** $c$ beside its output. At every step the forget gate $f$, a number from 0 to "
        "1, says what share of it stays: $c(s) = f(s)\\,c(s-1) + i(s)\\,g(s)$. The picture follows the error back "
        f"through this state alone, the **cell path**, with the forget gate held at {scenario.at_rest('forget'):.2f}. "
        "Each point is the size of one **term**, $dC(t)/dW(t-u)$. The claim's reason: a sigmoid has a derivative of at "
        "most ¼, a tanh of at most 1, and step after step they multiply. Look at the equation: what does multiply here?"
    )


def _reveal(measurement, view):
    now = measurement.scenario
    held = now.cell == "lstm" and now.cell_path_only and now.gates == "pinned" and now.forget is not None
    if not (held and measurement.reading.pace_steady):
        return verdict(measurement)
    back, terms = plain(pace(measurement)), plain(term_pace(measurement))
    return (
        f"With the forget gate held at {now.forget:g}, dc(s)/dc(s−1) is just that. The error at the units' inputs, "
        f"fitted over all lags, goes by ×{back} a step back; the terms, which also meet a state, by ×{terms}."
    )


LSTM = Lesson(
    title="“LSTMs are sure to vanish”",
    stance="claim",
    claim="In an LSTM the gradients are sure to vanish, since derivatives of sigmoid and tanh are at most one.",
    prose=_prose,
    scenario=CELL_PATH,
    view=View(),
    controls=("forget", "gain"),
    guess=Guess(
        "What does each step back on the cell path multiply the error by?", pace, range=Range(0.0, 1.2, 0.01), near=0.02
    ),
    reveal=_reveal,
    conclusion=(
        "What the claim says is true of an LSTM as the usual libraries start it (lesson 11 has trained ones). Its "
        "reason is not: on the cell path the forget gate's *value* multiplies the error at each step, and no "
        "derivative does (those of the two tanh stand at its ends, once each). On all other paths the weights multiply "
        "beside the derivatives."
    ),
    verdicts=(
        Verdict(
            "true when",
            "the LSTM is as Keras starts it, with a forget bias of 1 (a gate of 0.73), or as PyTorch does, without one",
            _as_frameworks_start,
        ),
        Verdict(
            "false when",
            "the forget gate is 1: on the cell path the error then goes round unchanged, the “constant error carousel”",
            _carousel,
        ),
        Verdict(
            "false when",
            "the other paths carry more than one: through the output h, which the new content g and the gates read, "
            "the recurrent weights multiply",
            _other_paths,
        ),
        Verdict(
            "false",
            "as a reason, first: wherever derivatives multiply, weights multiply beside them",
            _weights_multiply,
        ),
        Verdict(
            "false",
            "as a reason, second: on the cell path $dc(s)/dc(s-1)$ is the gate's value, and no derivative",
            _gate_sets_the_pace,
        ),
    ),
    examples=(
        Example(
            "Show the carousel", replace(CELL_PATH, forget=1.0), "Forget gate 1: on the cell path no step vanishes."
        ),
        Example(
            "Open the other paths",
            OTHER_PATHS,
            "The error also comes back through the output h, which the new content and the gates read: weights and "
            "gates set the pace together.",
        ),
        stops(
            EXPLODING,
            "The same forget gate, all paths open, and so little input that no unit saturates: the sum explodes.",
        ),
    ),
    try_this=(
        "Take the forget gate to 1, then raise the gain to 6. The pace stays within 3 % of 1: on the cell path $W$ "
        "does not multiply the error. But the sum falls to 4.2e-4: $c$ has grown, and at $t$ its tanh saturates, once."
    ),
    sources=(
        (HOCHREITER, "the cell path, the gradient truncated to it, and the constant error carousel"),
        (GERS, "the forget gate"),
        (JOZEFOWICZ, "a forget bias of 1"),
    ),
)
