"""Lesson 5, where vanishing does hurt."""

import math
from dataclasses import replace

import numpy as np

from gradflow.app.lessons.evidence import SEEDS, log_sum, pace, plain, typically
from gradflow.app.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.app.lessons.sources import BENGIO, DU, HOCHREITER, HOCHREITER_91, SAXE
from gradflow.app.measurement import Measurement
from gradflow.app.ranges import Range
from gradflow.app.scenario import Scenario
from gradflow.app.view import View
from gradflow.reading import number, per_step_factor

LAYERS = Scenario(cell="rnn-sigmoid", horizon=30)
ORTHOGONAL_LAYERS = replace(LAYERS, cell="rnn-linear", init="orthogonal", weight="bias_hh")
HUNDREDTH = math.log(0.01)


def shares(measurement: Measurement) -> np.ndarray:
    """Log of each layer's own term over the sum of all, from the top down: what it gets if nothing is shared."""
    return measurement.log_row - log_sum(measurement)


def lowest(measurement: Measurement) -> tuple[int, float]:
    """(lag, log share) of the lowest layer whose term is no zero."""
    here = np.flatnonzero(np.isfinite(measurement.log_row))
    return int(here[-1]), float(shares(measurement)[here[-1]])


def _how_many(measurement):
    """Layers that get a hundredth of the sum or more."""
    return int(np.sum(shares(measurement) >= HUNDREDTH))


def by_layer(activation: str, depth: int, width: int) -> tuple[float, ...]:
    """What a layer down multiplies by in feed-forward nets, medians over `SEEDS`: (‖δ‖, ‖dC/dW‖)."""
    from gradflow.feedforward import layer_gradients

    nets = [layer_gradients(activation, depth, width, seed=seed) for seed in SEEDS]
    down = lambda log: per_step_factor(log[::-1]).factor
    return tuple(float(np.median([down(getattr(net, name)) for net in nets])) for name in ("log_delta", "log_terms"))


def _own_weights():
    delta, term = by_layer("sigmoid", 32, 16)
    numbers = f"sigmoid, 32 layers of 16, own random weights: ‖δ‖ ×{plain(delta)} a layer down, ‖dC/dW‖ ×{plain(term)}"
    return Evidence(0.2 < delta < 0.3, numbers)


def _history():
    """Read, not measured: the abstracts of 1994 and 1997, the latter on the thesis of 1991."""
    return Evidence(
        True,
        "Hochreiter 1991, as Hochreiter & Schmidhuber 1997 sum it up, and Bengio, Simard & Frasconi 1994 analyse "
        "the error that vanishes on its way back through time",
    )


def alike(activation: str, gain: float) -> float:
    """How far ⟨W, dC/dW⟩ of 32 layers of 64 units is from one number: its range over its size, the worst of `SEEDS`."""
    from gradflow.feedforward import scale_gradients

    each = [scale_gradients(activation, 32, 64, gain=gain, seed=seed) for seed in SEEDS]
    return max(float(np.ptp(one) / np.abs(one).max()) for one in each)


def size(activation: str, gain: float) -> list[float]:
    """‖dC/dW‖ of 32 layers of 64 units, medians over `SEEDS`: (bottom layer, top layer)."""
    from gradflow.feedforward import layer_gradients

    logs = [layer_gradients(activation, 32, 64, gain=gain, seed=seed).log_terms for seed in SEEDS]
    return [math.exp(np.median([log[end] for log in logs])) for end in (0, -1)]


def _together():
    apart, sizes = alike("relu", 1.0), {gain: size("relu", gain) for gain in (1.0, 1.4, 2.0)}
    said = "; ".join(f"{gain:g}: {plain(bottom)} and {plain(top)}" for gain, (bottom, top) in sizes.items())
    even = all(1 / 3 < bottom / top < 3 for bottom, top in sizes.values())
    return Evidence(
        apart < 1e-3 and even and sizes[1.0][0] < 1e-3,
        f"ReLU, 32 layers of 64, eight draws: ⟨W, dC/dW⟩ is one number, to {plain(apart)} of it. ‖dC/dW‖ of "
        f"bottom and top layer at scale {said}",
    )


def _prose(scenario):
    return (
        "Turn the network upright: each of its steps is a **layer**, which also reads an input of its own, and lag $u$ "
        "is the layer $u$ below the top. Now untie the weights: every layer has a $W$ of its own, equal in value to "
        "the others. No **term** $dC(t)/dW(t-u)$ in the picture changes by a digit, but nobody adds them up. In time, "
        "the one $W$ got the sum on the right; in depth, each layer lives on its own point on the left. (✕: below the "
        f"lowest layer there is no state, so its $W$ gets 0.) These are {scenario.horizon} layers of sigmoid units."
    )


def _reveal(measurement, view):
    if not np.isfinite(measurement.log_row).any():
        return measurement.reading.verdict
    lag, share = lowest(measurement)
    below = ", the lowest with a state below it," if lag < measurement.t else ", the lowest,"
    tied, layers = number(log_sum(measurement)), measurement.t + 1
    return (
        f"Untied, {_how_many(measurement)} of {layers} layers get a hundredth or more of the {tied} that W gets tied. "
        f"The layer {lag} below the top{below} gets {number(share)} of it."
    )


DEPTH = Lesson(
    title="Depth: where vanishing does hurt",
    stance="claim",
    claim="The classic vanishing problem is between layers: the lower layers do not get trained, only the upper ones.",
    prose=_prose,
    scenario=LAYERS,
    view=View(),
    controls=("gain", "horizon"),
    guess=Guess(
        "Tied, the one $W$ gets the sum. How many layers get a hundredth of that or more when nothing is shared?",
        _how_many,
        range=Range(0, 30, 1),
        near=1.0,
    ),
    reveal=_reveal,
    conclusion="Tied, the gradient is the sum. Untied, each layer has its own term alone: here the lower ones starve.",
    verdicts=(
        Verdict(
            "true",
            "of sizes, in this network untied: what arrives shrinks layer by layer (nothing is trained here)",
            typically(
                LAYERS,
                pace,
                lambda median, *_: 0.15 < median < 0.3,
                "sigmoid, gain 1, eight draws: each layer down multiplies the error by {} on average",
            ),
        ),
        Verdict(
            "true",
            "of sizes, in a feed-forward net of sigmoids, each layer with random weights of its own",
            _own_weights,
        ),
        Verdict("false", "as history: the classic analyses are of recurrent networks, in time", _history),
        Verdict(
            "false when",
            "the layers are ReLU or linear without biases: none starves before another, but all of them or none",
            _together,
        ),
        Verdict(
            "false when",
            "each layer passes on all it gets: linear units with orthogonal weights",
            typically(
                ORTHOGONAL_LAYERS,
                pace,
                lambda _, low, high: low > 0.999 and high < 1.001,
                "linear units, orthogonal weights, eight draws: ×{} a layer",
            ),
        ),
    ),
    examples=(
        stops(
            ORTHOGONAL_LAYERS,
            "Linear layers with orthogonal weights: the error, and so each layer's bias gradient, is of one size from "
            "top to bottom. $W$ is the bias here.",
        ),
    ),
    try_this=(
        "Set the horizon to 12, for twelve layers, and raise the gain until the lowest layer with a state below it "
        "gets a tenth of the sum. Then try it with 30 layers: does any gain do?"
    ),
    sources=(
        (HOCHREITER_91, "the first analysis of vanishing gradients"),
        (HOCHREITER, "a summary of that analysis, of recurrent networks"),
        (BENGIO, "vanishing gradients in recurrent networks"),
        (SAXE, "orthogonal weights between layers"),
        (DU, "what is the same in every layer of a homogeneous net"),
    ),
    ends_in="layers",
)
