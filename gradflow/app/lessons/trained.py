"""Lesson 11, three networks that were really trained: measured beforehand, since their weights are not shipped.

`trained.npz` is what `tests/benchmarks/trained_networks.py` writes, which says what each array is: sizes of terms, and
no weights. All that is said of them is computed here, from those sizes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradflow.app.lessons.evidence import plain
from gradflow.app.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import G2P, HOCHREITER, RESEMBLYZER, SILERO
from gradflow.app.measurement import Measurement
from gradflow.app.scenario import Scenario
from gradflow.app.view import View
from gradflow.reading import memory, per_step_factor

FILE = Path(__file__).with_name("trained.npz")
LAYERS = {  # key in the file -> name
    "encoder.0": "Speaker encoder, layer 1",
    "encoder.1": "Speaker encoder, layer 2",
    "encoder.2": "Speaker encoder, layer 3",
    "detector.0": "Voice detector",
    "speller.0": "Speller",
}
CASES = ("trained", "drawn", "noise")  # of every layer; "numbers" of each network's top layer, "alone" of "encoder.0"
LOWEST, TOP, DETECTOR, SPELLER = "encoder.0", "encoder.2", "detector.0", "speller.0"
FRAME = 0.032  # seconds, of the voice detector
MEASURED = (  # how, in words
    "Eight synthetic voices, and eight words of 13 letters and an end. The cost asks for what a network is made for: "
    "how the encoder's account of a voice differs from that of another (1 − cosine), whether there is sound "
    "(cross-entropy), which phonemes a word has (cross-entropy). Freshly drawn: the same sizes, as PyTorch draws them, "
    "on the same inputs."
)
DRAWN = Scenario(init="pytorch", hidden=64, horizon=160, forget=0.5)
REMEMBERS = replace(DRAWN, forget=0.97)


class Measured(NamedTuple):
    """A layer in one case, on eight inputs, at the last time T − 1."""

    log_delta: np.ndarray  # log ‖δ(t,t−u)‖ by lag, f64[8, T]
    log_terms: np.ndarray  # log ‖dC(t)/dW_hh(t−u)‖ by lag, f64[8, T]; −inf at the last, which meets no state

    @property
    def paces(self) -> list[float]:
        """What a step back multiplies ‖δ‖ by, of each input."""
        return [per_step_factor(row).factor for row in self.log_delta]

    @property
    def memories(self) -> list[int]:
        """How many of the nearest lags hold 90 % of the terms' total size, of each input."""
        return [memory(row) for row in self.log_terms]


@cache
def stored() -> dict[str, np.ndarray]:
    """Every array of the file."""
    with np.load(FILE) as arrays:
        return dict(arrays)


def measured(layer: str, case: str) -> Measured:
    """What was measured of a layer in a case."""
    delta, state = (stored()[f"{layer}.{case}.{name}"].astype(float) for name in ("log_delta", "log_state"))
    return Measured(delta, delta + state)


def map_of(layer: str, case: str) -> np.ndarray:
    """log ‖δ(t,t−u)‖ at [t, u] of the first input, f64[T, T]; NaN where u > t."""
    flat = stored()[f"{layer}.{case}.map"]
    steps = stored()[f"{layer}.{case}.log_delta"].shape[1]
    whole = np.full((steps, steps), np.nan)
    whole[np.tril_indices(steps)] = flat
    return whole


def _short(layer):
    return LAYERS[layer].lower().removeprefix("speaker ")


def said(layer: str, case: str) -> str:
    """Pace and memory as text, the medians of eight inputs with the lowest and the highest."""
    found = measured(layer, case)
    paces, lags = found.paces, found.memories
    steps = found.log_delta.shape[1]
    return (
        f"×{plain(float(np.median(paces)))} ({plain(min(paces))} to {plain(max(paces))}) a step, "
        f"{np.median(lags):.0f} ({min(lags)} to {max(lags)}) of {steps} steps"
    )


def _evidence(
    rows: Sequence[tuple[str, str, str]], true: Callable[[list[Measured]], bool], more: str = ""
) -> Callable[[], Evidence]:
    """Evidence of (name, layer, case) each: true(what was measured), and what is said of each."""

    def evidence():
        found = [measured(layer, case) for _, layer, case in rows]
        told = "; ".join(f"{name}: {said(layer, case)}".removeprefix(": ") for name, layer, case in rows)
        return Evidence(bool(true(found)), told + more)

    return evidence


def _near(found: Sequence[Measured], most: float) -> bool:
    """Whether in every input 90 % of the size lies within this share of the steps."""
    return all(max(each.memories) <= most * each.log_delta.shape[1] for each in found)


def _far(found: Sequence[Measured], least: float) -> bool:
    """Whether in every input 90 % of the size needs more than this share of the steps."""
    return all(min(each.memories) > least * each.log_delta.shape[1] for each in found)


def _level(found: Sequence[Measured]) -> bool:
    """Whether every pace is within a hundredth of 1."""
    return all(abs(pace - 1) < 0.01 for each in found for pace in each.paces)


def _open(layer: str) -> tuple[int, float]:
    """(how many units have a forget gate above 0.95, how open the most open one is), means over steps and inputs."""
    kept = stored()[f"{layer}.trained.kept"]
    return int(np.sum(kept > 0.95)), float(kept.max())


def _gates():
    (many, _), (none, most) = _open(TOP), _open(LOWEST)
    return Evidence(
        many > 50 and none == 0,
        f"means over frames and voices, layer 3: above 0.95 in {many} of 256 units; layer 1: at most {plain(most)}",
    )


def _encoder():
    found = [measured(layer, "trained") for layer in (LOWEST, "encoder.1", TOP)]
    told = "; ".join(f"layer {k}: {said(f'encoder.{k - 1}', 'trained')}" for k in (1, 2, 3))
    return Evidence(_level(found) and _far(found, 0.75), told)


def _detector():
    found = measured(DETECTOR, "trained")
    seconds = float(np.median(found.memories)) * FRAME
    true = min(found.paces) > 0.97 and max(found.paces) < 0.99 and _far([found], 0.4)
    return Evidence(true, f"{said(DETECTOR, 'trained')}, or {plain(seconds)} seconds")


def _which_memory(measurement: Measurement) -> int:
    held = float(np.median(measured(LOWEST, "trained").memories))
    return 0 if held < 20 else 1 if held < 80 else 2


def _reveal(measurement, view):
    reading, steps = measurement.reading, measurement.t + 1
    trained = float(np.median(measured(LOWEST, "trained").memories))
    return (
        f"Here the nearest {reading.memory} of {steps} steps hold 90 % of the terms' total size; in the trained "
        f"encoder's lowest layer, {trained:.0f} of 160. Below: what was measured of all three, layer by layer."
    )


TRAINED = Lesson(
    title="Three that were really trained",
    stance="claim",
    claim="LSTMs are sure to vanish: trained or not, hardly anything comes from more than a few steps back.",
    prose=(
        "The picture is an LSTM as PyTorch draws it, with gates that rest half open: each point is the size of one "
        "**term**, $dC(t)/dW(t-u)$. But who uses an untrained network? We measured three that were trained and "
        "published by others: a **speaker encoder**, three LSTMs above one another; a **voice detector**, an LSTM; and "
        "a **speller**, a GRU. They read what they were made for, synthetic speech and English words, with the cost "
        "that goes with it. The encoder hears 160 frames of 10 ms, and says who speaks."
    ),
    scenario=DRAWN,
    view=View(),
    controls=("forget", "gain"),
    guess=Guess(
        "In the trained encoder's lowest layer, how many of the nearest frames hold 90 % of the terms' total size?",
        _which_memory,
        ("About ten, as before its training", "About forty", "More than a hundred"),
        why=(
            "That is what the same layers have when they are freshly drawn; training has changed it.",
            "Forty would be a loss of six per cent a step, and it is less than one.",
            "",
        ),
    ),
    reveal=_reveal,
    conclusion=(
        "How far a network reaches back as it is drawn does not tell how far it does once it is trained: these three "
        "reach over more than a second of a voice, over seconds of sound, over a word. Weights alone do not decide; "
        "what comes in does as well, and the layers above. What sizes do not tell: whether the terms agree from one "
        "voice to the next, or how training got there; and networks that failed to learn are not published."
    ),
    verdicts=(
        Verdict(
            "true when",
            "the networks are freshly drawn, as PyTorch does it, on the very same speech and words",
            _evidence(
                [(_short(layer), layer, "drawn") for layer in LAYERS],
                lambda found: _near(found[:4], 0.1) and _near(found[4:], 0.4),
            ),
        ),
        Verdict("false when", "the speaker encoder is trained, each layer measured in its stack", _encoder),
        Verdict("false when", "the voice detector is: its error fades, but slowly, by two per cent a frame", _detector),
        Verdict(
            "false when",
            "the speller, a GRU, is: from the end of a word back to its first letters",
            _evidence([("", SPELLER, "trained")], lambda found: _far(found, 0.7)),
        ),
        Verdict(
            "false when",
            "white noise is played to the trained encoder and detector: as sound, through all layers",
            _evidence(
                [(_short(layer), layer, "noise") for layer in (LOWEST, "encoder.1", TOP, DETECTOR)],
                lambda found: _far(found, 0.6),
            ),
        ),
        Verdict(
            "true when",
            "a trained layer is cut out and reads random numbers, N(0, 1): it forgets. What comes in decides as well",
            _evidence(
                [(_short(layer), layer, "numbers") for layer in (TOP, DETECTOR)], lambda found: _near(found, 0.2)
            ),
        ),
        Verdict(
            "true when",
            "the encoder's lowest layer stands alone, on the same speech, read by a drawn readout: a layer of a stack "
            "has to be measured in its stack",
            _evidence([("", LOWEST, "alone")], lambda found: _near(found, 0.1)),
        ),
        Verdict(
            "false when",
            "forget gates are open: those of the encoder's top layer are, in half of its units. Its lowest layer has "
            "none that is; in the stack its error comes back through the layers above",
            _gates,
        ),
    ),
    examples=(
        stops(
            REMEMBERS,
            "The same drawing with a forget gate that rests at 0.97. It reaches at least as far back as the trained "
            "encoder, and has learned nothing.",
        ),
    ),
    try_this=(
        "Raise the forget gate of the drawn LSTM until 90 % of the size takes half of the 160 steps. The trained voice "
        "detector holds about as many."
    ),
    sources=(
        (RESEMBLYZER, "the speaker encoder: three LSTMs of 256 units; its weights and its 160 frames"),
        (SILERO, "the voice detector: an LSTM of 128 units over frames of 32 ms, and its probabilities"),
        (G2P, "the speller: the GRU of 256 units that reads the letters, below the one that says the phonemes"),
        (HOCHREITER, "why a gate that is open carries an error over many steps"),
    ),
    shows="trained",
)
