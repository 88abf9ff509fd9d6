"""Inputs and targets: noise, an impulse, recall, the sunspot numbers, a sentence.

Every sequence is causal: its first T steps are the same whatever the length, so a shorter horizon is a slice
of a longer one. Each has as many inputs a step as asked for, so no shape depends on which one it is.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

SUNSPOTS = Path(__file__).with_name("sunspots.csv")  # its source and licence are in its first lines


class Sequence(NamedTuple):
    """What the network reads, what it should say, and what to write under the time axis."""

    inputs: np.ndarray  # f32[T, m]
    targets: np.ndarray  # f32[T]; NaN: no target at this step
    labels: tuple[str, ...]  # T of them, "" where a step has no name


def sequence(
    name: str, length: int, inputs: int = 4, seed: int = 0, *, lag: int = 10, text: str = "the cat sat on the mat"
) -> Sequence:
    """The sequence called `name`, one of `SEQUENCES`.

        noise      x(s) ~ N(0, 1), target ~ N(0, 1), independent of x
        impulse    x(0) = (1, 0, …), x(s) = 0 after; target 2, far from the zero most states return to, so the
                   residual stays when the state has gone
        recall     x(s) ~ N(0, 1); target(s) = first input at s − lag; no target (NaN) before s = lag
        sunspots   first input = the number of the year 1700 + s, less the mean and over the deviation of
                   1700–2008, other inputs zero; target = next year's number; label = the year
        sentence   x(s) = code of letter s, drawn from N(0, 1) once for each letter and seed, upper and lower
                   case alike; target = first entry of the next letter's code; label = the letter. A text
                   that is shorter than `length` starts over, a longer one is cut

    Args:
        name: which sequence.
        length: steps T, at least 1; at most 308 for sunspots.
        inputs: numbers m a step, at least 1.
        seed: integer ≥ 0; impulse and sunspots do not depend on it.
        lag: delay of recall, at least 1.
        text: the sentence, any characters; code points count as letters.

    Returns:
        Sequence of inputs f32[T, m], targets f32[T] and T labels.

    Raises:
        ValueError: an argument is outside what is said above.

    Source: recall: Jaeger 2001 (memory capacity); sunspots: SIDC, Royal Observatory of Belgium, via NOAA.
    """
    if name not in SEQUENCES:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(SEQUENCES)}")
    whole = {"length": (length, 1), "inputs": (inputs, 1), "seed": (seed, 0), "lag": (lag, 1)}
    for field, (value, low) in whole.items():
        if not isinstance(value, (int, np.integer)) or value < low:
            raise ValueError(f"{field} is {value!r}; it must be a whole number, at least {low}")
    x, targets, labels = SEQUENCES[name](length, inputs, seed, lag, text)
    return Sequence(np.asarray(x, np.float32), np.asarray(targets, np.float32), labels)


def _noise(length, inputs, seed, lag, text):
    targets = np.random.default_rng([seed, 1]).standard_normal(length)
    return _normal(length, inputs, seed), targets, ("",) * length


def _impulse(length, inputs, seed, lag, text):
    x = np.zeros((length, inputs))
    x[0, 0] = 1
    return x, np.full(length, 2), ("",) * length


def _recall(length, inputs, seed, lag, text):
    x = _normal(length, inputs, seed)
    return x, np.concatenate([np.full(lag, np.nan), x[:, 0]])[:length], ("",) * length


def _sunspots(length, inputs, seed, lag, text):
    years, numbers = _sunspot_record()
    if length >= len(years):
        raise ValueError(f"length is {length}; sunspots have 1 to {len(years) - 1} steps")
    standard = (numbers - numbers.mean()) / numbers.std()
    x = np.zeros((length, inputs))
    x[:, 0] = standard[:length]
    return x, standard[1 : length + 1], tuple(f"{year:.0f}" for year in years[:length])


def _sentence(length, inputs, seed, lag, text):
    if not text:
        raise ValueError("text is ''; it must have at least one character")
    letters = [text[s % len(text)] for s in range(length + 1)]
    code = {letter: _code(letter, inputs, seed) for letter in set(letters)}
    x = np.stack([code[letter] for letter in letters])
    return x[:-1], x[1:, 0], tuple(map(drawn, letters[:-1]))


def _normal(length, inputs, seed):
    return np.random.default_rng([seed, 0]).standard_normal((length, inputs))  # drawn row by row: causal


def _code(letter, inputs, seed):
    return np.random.default_rng([seed, 2, *map(ord, letter.casefold())]).standard_normal(inputs)


def drawn(letter: str) -> str:
    """A letter that can be drawn: "␣" for white space, "�" for what has no shape of its own."""
    return "␣" if letter.isspace() else letter if letter.isprintable() else "�"


@cache
def _sunspot_record():
    return np.loadtxt(SUNSPOTS, delimiter=",", skiprows=4, unpack=True)


SEQUENCES = {"noise": _noise, "impulse": _impulse, "recall": _recall, "sunspots": _sunspots, "sentence": _sentence}
