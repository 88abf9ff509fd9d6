"""Lesson 4, “LSTMs are sure to vanish”."""

from dataclasses import replace

from gradflow.fields import Range
from gradflow.lessons.evidence import pace, plain, typical, typically
from gradflow.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import GERS, HOCHREITER
from gradflow.look import Look
from gradflow.scenario import PRESETS, Scenario

CELL_PATH = Scenario(gates="pinned", forget=0.9, cell_path_only=True)


def _gate_sets_the_pace():
    found = {f: typical(replace(CELL_PATH, forget=f), pace) for f in (0.5, 0.9, 0.95)}
    true = all(abs(median - f) < 0.02 for f, (median, *_) in found.items())
    return Evidence(true, "; ".join(f"gate {f:g}: ×{plain(median)} a step" for f, (median, *_) in found.items()))


LSTM = Lesson(
    title="“LSTMs are sure to vanish”",
    stance="claim",
    claim="In an LSTM the gradients are sure to vanish, since derivatives of sigmoid and tanh are at most one.",
    prose=(
        "An LSTM carries a **cell state** $c$ beside its output. At every step the forget gate $f$, a number from 0 "
        "to 1, says what share of it stays: $c(s) = f(s)\\,c(s-1) + i(s)\\,g(s)$. The picture follows the gradient "
        "back through this state alone, the **cell path**, with the forget gate held at 0.90; all paths together are "
        "in grey. Each point is the size of one term, $dC(t)/dW(t-u)$. The claim says why it must fall: sigmoid has a "
        "derivative of at most ¼ and tanh of at most 1, and they multiply. Look at the equation, and judge which "
        "factor meets the gradient at each step."
    ),
    scenario=CELL_PATH,
    look=Look(kept=replace(CELL_PATH, cell_path_only=False)),
    controls=("forget", "gain"),
    guess=Guess(
        "What does each step back on the cell path multiply the term by?",
        pace,
        range=Range(0.0, 1.2, 0.01),
        near=0.02,
    ),
    reveal=lambda m, look: (
        f"The forget gate stands at {m.scenario.forget:g}; each step back multiplies by {plain(pace(m))}. What else "
        "differs from lag to lag is what each step starts with."
    ),
    conclusion="Right at initialisation, for a wrong reason: on the cell path the factor is the forget gate's *value*. "
    "All paths together, in grey, have a pace of their own, which the weights set.",
    verdicts=(
        Verdict(
            "true",
            "at ordinary initialisation",
            typically(
                Scenario(horizon=80),
                pace,
                lambda median, low, high: high < 1,
                "gain 1, forget gate 0.73, eight draws: ×{} a step",
            ),
        ),
        Verdict(
            "false when",
            "the forget gate is 1: the constant error carousel",
            typically(
                replace(CELL_PATH, forget=1.0),
                pace,
                lambda median, *_: 0.98 < median < 1.02,
                "forget gate 1, cell path: ×{} a step",
            ),
        ),
        Verdict(
            "false when",
            "the recurrent weights are large: the other paths then multiply by more than one",
            typically(
                Scenario(gain=12.0, horizon=80),
                pace,
                lambda median, *_: median > 1,
                "gain 12, eight draws: ×{} a step",
            ),
        ),
        Verdict("false", "as a reason: the gate's value sets the pace, not a derivative", _gate_sets_the_pace),
    ),
    examples=(
        Example(
            "Show the carousel",
            replace(CELL_PATH, forget=1.0),
            "Forget gate 1: on the cell path nothing fades any more.",
        ),
        stops(
            PRESETS["LSTM that explodes"],
            "The same cell with recurrent weights twelve times as large: terms and sum grow with every lag.",
        ),
    ),
    try_this="Take the forget gate to 1, then raise the gain. The pace stays: on the cell path $W$ only starts a term.",
    sources=(
        (HOCHREITER, "the cell path, and the gradient truncated to it"),
        (GERS, "the forget gate"),
    ),
)
