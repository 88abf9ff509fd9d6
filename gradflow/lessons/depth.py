"""Lesson 5, where vanishing does hurt."""

import math
from dataclasses import replace

import numpy as np

from gradflow.lessons.evidence import SEEDS, pace, plain, typically
from gradflow.lessons.record import Evidence, Guess, Lesson, Verdict, stops
from gradflow.lessons.sources import HOCHREITER_91, SAXE
from gradflow.look import Look
from gradflow.reading import number, per_step_factor
from gradflow.scenario import Scenario

LAYERS = Scenario(cell="rnn-sigmoid", horizon=30)
ORTHOGONAL_LAYERS = replace(LAYERS, cell="rnn-linear", init="orthogonal", weight="bias_hh")


def bottom_share(measurement):
    """Log of the bottom layer's own term over the sum of all: what it gets if nothing is shared."""
    row = measurement.log_row
    last = int(np.flatnonzero(np.isfinite(row))[-1])
    return float(row[last] - measurement.reading.log_sum)


def _which_share(measurement):
    log = bottom_share(measurement)
    return 0 if log > math.log(0.3) else 1 if log > math.log(1e-6) else 2


def by_layer(activation, depth, width):
    """What a layer down multiplies by in feed-forward nets, medians over `SEEDS`: (‖δ‖, ‖dC/dW‖)."""
    from gradflow.flow import layer_gradients

    nets = [layer_gradients(activation, depth, width, seed=seed) for seed in SEEDS]
    down = lambda log: per_step_factor(log[::-1]).factor
    return tuple(float(np.median([down(getattr(net, name)) for net in nets])) for name in ("log_delta", "log_terms"))


def _own_weights():
    delta, term = by_layer("sigmoid", 32, 16)
    numbers = f"sigmoid, 32 layers of 16, own random weights: ‖δ‖ ×{plain(delta)} a layer down, ‖dC/dW‖ ×{plain(term)}"
    return Evidence(0.2 < delta < 0.3, numbers)


def _looks_flat():
    delta, term = by_layer("relu", 32, 64)
    numbers = f"ReLU, 32 layers of 64, scale 1: ‖δ‖ ×{plain(delta)} a layer down, ‖dC/dW‖ ×{plain(term)}"
    return Evidence(delta < 0.8 and abs(term - 1) < 0.05, numbers)


DEPTH = Lesson(
    title="Depth: where vanishing does hurt",
    stance="claim",
    claim="The classic vanishing problem is between layers: the lower layers do not get trained, only the upper ones.",
    prose=(
        "Read the same network upright: every step becomes a **layer**, and lag $u$ means $u$ layers below the top. "
        "Now untie the weights, so that each layer has a $W$ of its own, equal in value to the others. Then the "
        "**terms** $dC(t)/dW(t-u)$ in the picture do not change by a digit: the one at lag $u$ is now the whole "
        "gradient of layer $t-u$. What changes is that nobody adds them up. In time, the one shared $W$ got the sum "
        "on the right. In depth, each layer has to live on its own point on the left. These are sigmoid units at an "
        "ordinary scale."
    ),
    scenario=LAYERS,
    look=Look(),
    controls=("gain", "horizon"),
    guess=Guess(
        "The tied weight gets the sum. What part of that does the bottom layer get when nothing is shared?",
        _which_share,
        ("About as much", "Something like a thousandth", "Less than a millionth"),
    ),
    reveal=lambda m, look: (
        f"Each layer down multiplies by {plain(pace(m))}. Tied, W gets {number(m.reading.log_sum)}; untied, the "
        f"lowest layer that has a state to read gets {number(bottom_share(m))} of that."
    ),
    conclusion="Tied, the gradient is the sum. Untied, each layer has but its own term: the bottom one starves.",
    verdicts=(
        Verdict(
            "true",
            "for the network untied",
            typically(
                LAYERS, pace, lambda median, *_: 0.15 < median < 0.35, "sigmoid, gain 1, eight draws: ×{} a layer"
            ),
        ),
        Verdict("true", "for a plain feed-forward net, each layer with random weights of its own", _own_weights),
        Verdict(
            "false when",
            "the forward signal fades upwards as fast as ‖δ‖ does downwards: then all layers' gradients are of one "
            "size, and ‖δ‖ alone shows what fades",
            _looks_flat,
        ),
        Verdict(
            "false when",
            "each layer passes on all it gets: linear units with orthogonal weights",
            typically(
                ORTHOGONAL_LAYERS,
                pace,
                lambda median, *_: abs(median - 1) < 0.01,
                "linear units, orthogonal weights: ×{} a layer",
            ),
        ),
    ),
    examples=(
        stops(ORTHOGONAL_LAYERS, "Linear layers with orthogonal weights: the bottom layer gets what the top one gets."),
    ),
    try_this="Raise the gain until the bottom layer gets a tenth. How wide is the range of gains that works?",
    sources=(
        (HOCHREITER_91, "vanishing gradients, in time and in depth"),
        (SAXE, "orthogonal weights between layers"),
    ),
    ends_in="layers",
)
