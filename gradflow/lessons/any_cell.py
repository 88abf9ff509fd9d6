"""Lesson 6, any RNN; gates choose."""

from gradflow.compare import in_every_cell
from gradflow.lessons.evidence import pace, plain, typical
from gradflow.lessons.record import Evidence, Example, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import CHO, HOCHREITER
from gradflow.look import Look
from gradflow.scenario import CHOICES, Scenario


def factors_by_cell(measurement):
    """Cell -> what each step back multiplies a term by, everything else being equal."""
    return {cell: pace(one) for cell, one in in_every_cell(measurement).items()}


def _reveal_cells(measurement, look):
    found = factors_by_cell(measurement)
    low, high = min(found, key=found.get), max(found, key=found.get)
    return (
        f"In this draw the terms of {low} fall fastest: each step back multiplies them by {plain(found[low])}. Those "
        f"of {high} last longest: by {plain(found[high])}."
    )


def _typical_factors():
    found = {cell: typical(Scenario(cell=cell, horizon=80), pace)[0] for cell in CHOICES["cell"]}
    true = all(value < 1 for value in found.values()) and min(found, key=found.get) == "rnn-sigmoid"
    return Evidence(
        true, "medians of eight draws: " + "; ".join(f"{cell} ×{plain(value)}" for cell, value in found.items())
    )


def _gates_choose():
    keep = typical(Scenario(cell="gru", update=0.95, gain=0.4), pace)[0]
    drop = typical(Scenario(cell="gru", update=0.1, gain=0.4), pace)[0]
    return Evidence(keep > drop + 0.2, f"GRU, keep gate 0.1: ×{plain(drop)} a step; 0.95: ×{plain(keep)}")


ANY = Lesson(
    title="Any RNN; gates choose",
    stance="statement",
    claim="All of this holds for any recurrent network; gates choose what to remember, to forget and to take in.",
    prose=(
        "Six cells read the same inputs, with weights drawn at the same scale. Four are plain: at each step the new "
        "state is an activation (tanh, sigmoid, ReLU or none at all) of $W$ times the old state and another matrix "
        "times the input. Two have **gates**, numbers between 0 and 1 that multiply what passes: an LSTM forgets, "
        "takes in and lets out; a GRU keeps and resets. All six make the same kind of sum, one **term** "
        "$dC(t)/dW(t-u)$ for each lag. The picture has the terms of each cell by lag, on one scale: what differs is "
        "the pace at which they fall."
    ),
    scenario=Scenario(horizon=80),
    look=Look(closer=True, show="cells", lag=40),
    controls=("forget", "gain"),
    guess=Guess(
        "With the same scale of weights, in which cell do the terms fall fastest?",
        lambda m: CHOICES["cell"].index(min(found := factors_by_cell(m), key=found.get)),
        CHOICES["cell"],
    ),
    reveal=_reveal_cells,
    conclusion="Every cell makes the same kind of sum; weights and activation set its pace, and a gate can change it.",
    verdicts=(
        Verdict(
            "holds",
            "typically the terms of all six fall at an ordinary scale, each at its own pace; a single draw may differ",
            _typical_factors,
        ),
        Verdict("holds", "a gate moves the pace", _gates_choose),
    ),
    examples=(
        Example(
            "Let the gates write",
            Scenario(horizon=80, gates="pinned", forget=0.97, update=0.97, write_every=12),
            "The gates of LSTM and GRU write once in twelve steps: of the LSTM's terms only the writes are left.",
        ),
        stops(
            Scenario(cell="rnn-relu", gain=2.0, horizon=80, weight="bias_hh"),
            "ReLU units at twice the scale have no gate that could hold them: the terms grow.",
        ),
    ),
    try_this="Move the forget gate, which only the LSTM has; then the gain. Which cells ever leave the others behind?",
    sources=((HOCHREITER, "the gates of an LSTM"), (CHO, "the gated recurrent unit")),
)
