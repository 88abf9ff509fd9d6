"""Problems for the engine: of every cell and kind with the oracle's answer, and one unit that a formula answers."""

from functools import cache

import numpy as np
import pytest

import gradflow as gf
from support import oracle

CELLS = tuple(gf.CELLS)
WEIGHTS = (*gf.Weights._fields, "all")
STEPS = 9
VARIANTS = (
    "plain",
    "two outputs",
    "carry",
    "masked target",
    "untied",
    "pinned",
    "pinned now and then",
    "cell path only",
    "cell path only, pinned",
    "all at once",
)


def applies(cell, variant):
    if "cell path" in variant:
        return gf.CELLS[cell].has_cell_path
    return "pinned" not in variant or cell in oracle.SIGMOID_GATES


CASES = [(cell, variant) for cell in CELLS for variant in VARIANTS if applies(cell, variant)]
FEW_CASES = [
    *((cell, "plain") for cell in CELLS),
    ("lstm", "all at once"),
    ("gru", "all at once"),
    ("lstm", "cell path only, pinned"),
]
TIME = STEPS - 2  # the t that is asked for most often
LONG = 120, 1, 2  # steps, units, inputs in float32: one shape for many tests, since each one compiles

every_case = pytest.mark.parametrize(
    ("cell", "variant"),
    [pytest.param(*case, marks=() if case[1] in ("plain", "all at once") else pytest.mark.slow) for case in CASES],
)
every_few = pytest.mark.parametrize(("cell", "variant"), FEW_CASES)
every_cell = pytest.mark.parametrize("cell", CELLS)
double = pytest.mark.usefixtures("float64")


def pins_of(cell, variant):
    """Gate name -> pin; the second gate is left to the network, so that both kinds meet."""
    gates = oracle.SIGMOID_GATES[cell]
    if variant in ("pinned", "cell path only, pinned"):
        return {gate: value for gate, value in zip(gates, (0.3, 0.9, 0.0), strict=False) if gate != "update"}
    now_and_then = np.where(np.arange(STEPS) % 3 == 1, np.nan, np.linspace(0, 1, STEPS))
    return {gates[-1]: now_and_then} if len(gates) == 1 else {gates[0]: 0.25, gates[1]: now_and_then}


def problem(cell, variant):
    """Positional and keyword arguments of `gradient_map`."""
    options = {}
    if variant in ("carry", "all at once"):
        options["carry"] = oracle.draw_carry(cell)
    if variant.startswith("cell path only"):
        options["cell_path_only"] = True
    if "pinned" in variant or (variant == "all at once" and cell in oracle.SIGMOID_GATES):
        options["pins"] = pins_of(cell, variant)
    outputs = 2 if variant in ("two outputs", "all at once") else None
    copies = STEPS if variant in ("untied", "all at once") else None
    weights, inputs, readout, targets = oracle.draw(cell, STEPS, outputs=outputs, copies=copies)
    if variant in ("masked target", "all at once"):
        targets[[0, 4]] = np.nan
    if outputs:
        targets[6, 1] = np.nan  # one output without a target masks the whole t
    return (weights, inputs, readout, targets), options


@cache
def solve(cell, variant):
    """The engine's map and the oracle's answer, once for all tests that ask."""
    arrays, options = problem(cell, variant)
    return gf.gradient_map(cell, *arrays, **options), oracle.Answer(cell, *arrays, **options)


@cache
def follow(cell, variant, t):
    arrays, options = problem(cell, variant)
    return gf.lag_terms(cell, *arrays, t, **options)


def rows(cell):
    return (None, *gf.CELLS[cell].gates)


def assert_logs(actual, desired, atol=1e-9):
    """Equal logarithms; exact zeros (−inf) must sit in the same places."""
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == np.float64
    np.testing.assert_allclose(actual, desired, atol=atol, rtol=0)


def unit(w, steps=256, *, cell="rnn-linear", bias=0.0, inputs=None, target=-1.0):
    """One unit h(s) = f(w h(s−1) + x(s) + bias), read out as it is, in float32.

    With no input and no bias a linear unit stays at 0, so that dC(t)/dh(t) = −target for all t.
    """
    weights = gf.Weights(*(np.float32(value) for value in ([[1]], [[w]], [bias], [0])))
    inputs = np.zeros((steps, 1), np.float32) if inputs is None else np.float32(inputs)
    return cell, weights, inputs, np.ones(1, np.float32), np.full(len(inputs), target, np.float32)


# Where one unit rests so that every step multiplies by the same number: its weight_hh, its bias, what it carries;
# ‖dh(t)/d carry(t−1)‖, and by what one more step multiplies that.
EXPLODING = {
    "rnn-tanh": ([3], [0], [0], 3, 3),
    "rnn-relu": ([3], [0], [1e-30], 3, 3),
    "rnn-sigmoid": ([12], [-6], [0.5], 3, 3),  # σ′(0) = ¼
    "rnn-linear": ([3], [0], [0], 3, 3),
    # h -> c by ½ · 12, c -> c by ½, c -> h by ½: h from h by 3, and from c by ½ · ½, in proportion from then on
    "lstm": ([0, 0, 12, 0], [0] * 4, [0, 0], np.hypot(3, 0.25), 3.5),
    "gru": ([0, 0, 12], [0] * 3, [0], 3.5, 3.5),  # (1 − ½) · ½ · 12 + ½
}
CANNOT_EXPLODE = {"mingru"}  # without W_hh a step multiplies the state by the keep gate alone, which is at most one


def explode(cell):
    """Arguments of `gradient_map` in float32, with dC/dh(t) = h(t) + 1."""
    recurrent, bias, carry, *_ = EXPLODING[cell]
    steps, units, inputs = LONG
    weights = np.zeros((len(bias), inputs)), np.reshape(recurrent, (-1, units)), bias, np.zeros(len(bias))
    arrays = np.zeros((steps, inputs)), np.ones(units), np.full(steps, -1)
    options = {"carry": tuple(np.float32([state]) for state in carry)}
    return (cell, gf.Weights(*map(np.float32, weights)), *map(np.float32, arrays)), options


def kept(cell, keep):
    """What a step keeps of a state beside W, its keep gate at `keep` and nothing coming in: the largest derivative."""
    nothing, gate = np.zeros(len(gf.CELLS[cell].gates)), gf.CELLS[cell].keep_gate
    pins = dict.fromkeys(oracle.SIGMOID_GATES.get(cell, ()), np.nan) | ({gate: keep} if gate else {})
    after = lambda carry: np.array(oracle.step(np, cell, nothing, nothing, tuple(carry[:, None]), pins))
    nudges = 1e-6 * np.eye(len(gf.CELLS[cell].carry))
    return max(np.abs(after(nudge) - after(0 * nudge)).max() for nudge in nudges) / 1e-6


def log_geometric(w, count):
    """log |1 + w + … + w^(count−1)| for any w: the larger end of the sum is factored out."""
    count = np.asarray(count, float)
    if w == 1:
        return np.log(count)
    if abs(w) > 1:
        return (count - 1) * np.log(abs(w)) + log_geometric(1 / w, count)
    return np.log(np.abs(1 - np.sign(w) ** count * np.abs(w) ** count)) - np.log(1 - w)
