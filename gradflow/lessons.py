"""The argument, as eight lessons: a claim, a prediction, what is measured, and where the claim stops holding.

A lesson is data. Its numbers are computed when they are asked for, on the engine, never stored: the reveal by the
present scenario, each verdict by medians over `SEEDS` draws of weights and inputs where it speaks of typical networks.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from gradflow.compare import in_every_cell
from gradflow.fields import Range
from gradflow.look import Look, place
from gradflow.reading import number, per_step_factor, share
from gradflow.scenario import CHOICES, PRESETS, Scenario

SEEDS = range(8)


class Guess(NamedTuple):
    """What a person predicts before anything is shown: one of `options`, or a number of `range`."""

    question: str
    answer: Callable  # measurement -> index of the option, or the number
    options: tuple[str, ...] = ()
    range: Range | None = None
    near: float = 0.0  # a number this close counts as right


class Evidence(NamedTuple):
    """Whether a verdict is true, and the numbers it rests on."""

    true: bool
    numbers: str


class Example(NamedTuple):
    """Another network to look at, by a button."""

    label: str
    scenario: Scenario
    says: str  # what there is to see


class Verdict(NamedTuple):
    """How the claim fares, and in which case."""

    word: str  # "holds", "holds if", "fails when", "fails"; of a remedy "cost of"
    case: str
    evidence: Callable  # () -> Evidence


@dataclass(frozen=True)
class Lesson:
    """One claim, from judging it to knowing where it ends; texts are Markdown."""

    title: str
    claim: str
    prose: str  # 60 to 120 words
    scenario: Scenario
    look: Look
    controls: tuple[str, ...]  # the ranges that stay live
    guess: Guess
    reveal: Callable  # (measurement, look) -> what was measured, in plain words
    conclusion: str
    verdicts: tuple[Verdict, ...]
    examples: tuple[Example, ...]  # the last is the counter-example
    try_this: str
    sources: tuple[tuple[str, str], ...]  # (what, what was taken from it)
    remedies: tuple[Verdict, ...] = ()  # what people do about it, and the bias it costs
    curves: tuple[str, ...] = ()  # of what these change in the gradient: "clipping", "truncation"
    ends_in: str = ""  # what else there is to try: "layers", "learning"


BENGIO = "Bengio, Simard & Frasconi 1994, Learning long-term dependencies with gradient descent is difficult"
HOCHREITER = "Hochreiter & Schmidhuber 1997, Long short-term memory"
GERS = "Gers, Schmidhuber & Cummins 2000, Learning to forget"
PASCANU = "Pascanu, Mikolov & Bengio 2013, On the difficulty of training recurrent neural networks"
SAXE = "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning"
WERBOS = "Werbos 1990, Backpropagation through time: what it does and how to do it"
HOCHREITER_91 = "Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen"
JOZEFOWICZ = "Jozefowicz, Zaremba & Sutskever 2015, An empirical exploration of recurrent network architectures"
TALLEC = "Tallec & Ollivier 2018, Can recurrent neural networks warp time?"
CHO = "Cho et al. 2014, Learning phrase representations using RNN encoder–decoder"


WORDS = {  # explained wherever a lesson uses them
    "cell path": "the way back through an LSTM's cell state alone, not through its gates",
    "chaotic": "the smallest difference grows until it decides everything",
    "clipping": "a gradient that is longer than a limit is cut to that length",
    "cosine": "1 where two gradients point the same way, 0 where they are at a right angle",
    "draw": "one throw of the dice for weights and inputs",
    "gain": "the scale of the recurrent weights; twice the gain makes each of them twice as large",
    "healthy": "neither next to nothing nor huge",
    "horizon": "how many steps the network runs",
    "initialisation": "the weights as they are drawn, before any training",
    "jax.grad": "the derivative that the library JAX takes of the whole computation, as training would",
    "lstm": "a recurrent cell with gates, numbers from 0 to 1 that multiply what passes",
    "orthogonal": "said of weights that turn the state and keep its length",
    "recurrent": "said of a network that reads one input a step and hands its state on to the next step",
    "truncating": "going back only so many lags, and leaving out what comes from before",
    "‖δ‖": "the size of the error as it arrives at a layer",
    "‖dC/dW‖": "the size of a gradient: the root of the sum of the squares of its entries",
}


def explained(*texts):
    """The `WORDS` that these texts use: "**gain**: the scale …" each."""
    used = lambda word: re.search(rf"(?:^|\W){word}s?(?:\W|$)", " ".join(texts), re.IGNORECASE)
    return [f"**{word}**: {meaning}" for word, meaning in WORDS.items() if used(word)]


def stops(scenario, says):
    """The counter-example: where the claim stops holding."""
    return Example("Show where it stops", scenario, says)


def drawn(scenario):
    """The scenario with other weights and inputs, measured; one for each of `SEEDS`."""
    return [replace(scenario, seed=seed).measure() for seed in SEEDS]


def typical(scenario, value):
    """(median, lowest, highest) of value(measurement) over `SEEDS`."""
    values = [value(measurement) for measurement in drawn(scenario)]
    return float(np.median(values)), min(values), max(values)


def typically(scenario, value, true, words):
    """Evidence by a median: true(median, lowest, highest), and the numbers in place of {} in the words."""

    def evidence():
        found = typical(scenario, value)
        return Evidence(bool(true(*found)), words.format(three(*found)))

    return evidence


def three(median, low, high):
    """A median and its range, as text."""
    return f"{plain(median)} ({plain(low)} to {plain(high)})"


def plain(value):
    """A number as text: "0.832", "1.3e-7"."""
    return "0" if value == 0 else ("−" if value < 0 else "") + number(math.log(abs(value)))


def factor(measurement):
    return measurement.reading.factor


def cancellation(measurement):
    return measurement.reading.cancellation


# ------------------------------------------------------------------------------------------ 1, the sum over lags


def added_up(measurement, row=None, col=None):
    """(sum of the terms, what `jax.grad` gives) of one entry; without a row, of the one with the largest gradient."""
    field = measurement.field["weight"]
    if row is None:
        row, col = measurement.lags.largest_entry(**measurement.field)
    sign, log = measurement.lags.entry(field, row, col)
    whole = getattr(measurement.whole, field)
    return float(np.sum(sign * np.exp(log))), float(whole[row] if col is None else whole[row, col])


def _reveal_sum(measurement, look):
    _, row, col = place(measurement, look)
    total, whole = added_up(measurement, row, col)
    return (
        f"The {measurement.t + 1} terms of this weight add up to {plain(total)}; jax.grad of the shared weight "
        f"gives {plain(whole)}."
    )


def _sums_agree():
    worst = 0.0
    for cell in CHOICES["cell"]:
        for measurement in drawn(Scenario(cell=cell, horizon=60)):
            total, whole = added_up(measurement)
            worst = max(worst, abs(total - whole) / abs(whole))
    return Evidence(
        worst < 1e-3,
        f"six kinds of network, eight draws each: sum and jax.grad differ by at most {plain(worst)} of the value",
    )


CHAOS = Scenario(gain=12.0, horizon=256)


def _chaos():
    apart = [abs(total - whole) / max(abs(total), abs(whole)) for total, whole in map(added_up, drawn(CHAOS))]
    return Evidence(
        np.median(apart) > 0.5,
        f"gain 12, 256 steps: sum and jax.grad differ by {three(np.median(apart), min(apart), max(apart))} of the "
        "larger",
    )


SUM = Lesson(
    title="A sum over lags",
    claim="A recurrent network uses one weight many times, so its gradient is a sum with one term for each use.",
    prose=(
        "At every step the network multiplies its state by the same matrix $W$. Give each use its own name: $W(t-u)$ "
        "is the copy that worked **$u$ steps before** time $t$, and $u$ is called the **lag**. Change one copy alone "
        "by a little: how much the error at time $t$, $C(t)$, then changes is that copy's **term**, $dC(t)/dW(t-u)$. "
        "The bars show the terms of one single weight, the nearest twelve lags one by one and all earlier ones "
        "together. Blue adds to the sum, red takes away from it, and each bar starts where the one before it ended."
    ),
    scenario=Scenario(),
    look=Look(closer=True, show="entry", row=40, col=1),  # the largest gradient of all
    controls=("row", "col", "horizon"),
    guess=Guess(
        "Training changes the one shared weight by its gradient. How does that compare with the sum of all the terms?",
        lambda measurement: 1,
        (
            "It is less: the far terms get lost on the way",
            "It is the sum, to the last digit that the arithmetic holds",
            "It is their average, the sum divided by the number of steps",
        ),
    ),
    reveal=_reveal_sum,
    conclusion="The gradient of a shared weight is the sum of its terms: $dC(t)/dW = \\sum_u dC(t)/dW(t-u)$.",
    verdicts=(
        Verdict("holds", "for every cell, to rounding", _sums_agree),
        Verdict(
            "fails when",
            "the network is chaotic, in the arithmetic alone: rounding errors grow as the terms do",
            _chaos,
        ),
    ),
    examples=(
        stops(
            CHAOS,
            "Weights so large that the network is chaotic: two computations that round differently soon follow "
            "different paths, and agree on no gradient.",
        ),
    ),
    try_this="Move the row until the sum is smaller than the largest bar. Which bars did that?",
    sources=((WERBOS, "the sum over the copies of a shared weight"),),
)


# -------------------------------------------------------------------------------- 2, vanishing terms, healthy sum


def in_first_terms(measurement):
    """‖Σ‖ in units of the nearest term."""
    return math.exp(min(measurement.reading.log_sum - measurement.log_row[0], 700))


def _reveal_healthy(measurement, look):
    near, far, lag = *measurement.log_row[[0, -1]], max(measurement.t, 1)
    return (
        f"Each step back multiplies by {number((far - near) / lag)}; the term at lag {lag} is {number(far - near)} of "
        f"the nearest. The sum, {number(measurement.reading.log_sum)}, is {plain(in_first_terms(measurement))} times "
        f"the nearest, {number(near)}."
    )


def _geometric():
    ratios = [in_first_terms(replace(PRESETS["Vanishing"], gain=rho).measure()) for rho in (0.5, 0.8, 0.9)]
    true = all(abs(ratio * (1 - rho) - 1) < 1e-3 for ratio, rho in zip(ratios, (0.5, 0.8, 0.9), strict=True))
    return Evidence(true, "ρ = 0.5, 0.8, 0.9: " + ", ".join(map(plain, ratios)) + " times the nearest term")


TURNING = Scenario(cell="rnn-linear", init="orthogonal", weight="bias_hh", gain=0.98)


HEALTHY = Lesson(
    title="Vanishing terms, healthy sum",
    claim="Terms that vanish with the lag are no disease: the weight still gets a proper gradient, for it is the sum.",
    prose=(
        "Here is the smallest network there is: one linear unit, a number that keeps a share $\\rho$, the gain, of "
        "itself at every step. $W$ is the bias that it adds. Each step back multiplies the **term**, $dC(t)/dW(t-u)$, "
        "by $\\rho = 0.8$; on the left the terms fall on a straight line, because the axis counts powers of ten. The "
        "hundredth term is less than a billionth of the first. People call this the vanishing gradient, and conclude "
        "that the weight does not learn. But no single term is what the weight gets. It gets what is drawn on the "
        "right: their **running sum**."
    ),
    scenario=PRESETS["Vanishing"],
    look=Look(),
    controls=("gain", "horizon"),
    guess=Guess(
        "How many times the nearest term is the whole sum?",
        in_first_terms,
        range=Range(0.0, 20.0, 0.5),
        near=0.5,
    ),
    reveal=_reveal_healthy,
    conclusion="A geometric series: $1 + \\rho + \\rho^2 + \\dots = 1/(1-\\rho)$, which is 5 for $\\rho = 0.8$.",
    verdicts=(
        Verdict("holds", "for one linear unit: the sum is 1/(1−ρ)", _geometric),
        Verdict(
            "holds",
            "for a typical LSTM at initialisation",
            typically(
                Scenario(),
                in_first_terms,
                lambda median, *_: median > 1,
                "LSTM at initialisation, eight draws: {} times the nearest term",
            ),
        ),
        Verdict(
            "holds if",
            "the terms do not cancel; where weights turn the state, most of them do",
            typically(
                TURNING,
                cancellation,
                lambda median, *_: median < 0.2,
                "orthogonal weights, gain 0.98: {} of the terms' total is left",
            ),
        ),
    ),
    examples=(
        Example("Show a real network", Scenario(), "An LSTM of 16 units as training finds it: the same picture."),
        stops(
            TURNING, "Sixteen linear units that turn their state: each step keeps 0.98, but most of the sum cancels."
        ),
    ),
    try_this="Set the gain to 0.95, then 0.99. How many lags must you add before the sum stops growing?",
    sources=(
        (BENGIO, "why the terms shrink"),
        (WERBOS, "the sum over the copies of a shared weight"),
    ),
)


# ------------------------------------------------------------------------------ 3, not vanishing is not exploding


def doubling(measurement):
    """What doubling the horizon multiplies ‖Σ‖ / ‖dC/dh‖ by, at the present horizon."""
    ratio = measurement.log_sums - measurement.log_residual
    return math.exp(min(float(ratio[-1] - ratio[len(ratio) // 2 - 1]), 700))


def _which_growth(measurement):
    ratio = doubling(measurement)
    return 0 if ratio < 1.4 else 1 if ratio < 2.8 else 2


def _linear():
    ratios = [doubling(replace(PRESETS["Constant"], horizon=horizon).measure()) for horizon in (50, 100, 200)]
    return Evidence(max(abs(r - 2) for r in ratios) < 0.01, f"ρ = 1: twice the horizon, ×{plain(ratios[-1])}")


def _explodes():
    reading = replace(PRESETS["Constant"], gain=1.05, horizon=200).measure().reading
    return Evidence(reading.growth.shape == "exponential", "ρ = 1.05: exponential")


LIMITS = 2.0 ** np.arange(-4, 4.5, 0.5)  # of clipping, in medians of ‖g_i‖


@lru_cache(maxsize=2 * len(SEEDS))
def gradients(scenario):
    """dC(t)/dW_hh of each sequence of `SEEDS` for the same weights, f64[8, ·]."""
    from gradflow.flow import whole_gradient

    problem, t = scenario.problem(), min(scenario.time, scenario.horizon - 1)
    sequences = [replace(scenario, seed=seed).data() for seed in SEEDS]
    each = [problem | {"inputs": data.inputs, "targets": data.targets} for data in sequences]
    return np.array([np.ravel(whole_gradient(**one, t=t).weight_hh) for one in each], float)


def clipped(rows, limit):
    """Clipping by norm, over sequences: (what it changes, cosine).

    Compared are the means of g_i min(1, c / ‖g_i‖) and of g_i, the rows, with c so many times the median of ‖g_i‖.
    What it changes is the norm of their difference over that of the latter.
    """
    norms = np.linalg.norm(rows, axis=1)
    full = np.mean(rows, axis=0)
    cut = np.mean(rows * np.minimum(1, limit * np.median(norms) / norms)[:, None], axis=0)
    size = np.linalg.norm(full)
    return float(np.linalg.norm(cut - full) / size), float(cut @ full / size / np.linalg.norm(cut))


def clipping_curve(gain):
    """By limit, of `LIMITS`: (log of what clipping changes, cosine), medians over `SEEDS` draws of the weights."""
    draws = [gradients(Scenario(gain=gain, horizon=60, seed=seed)) for seed in SEEDS]
    found = np.median([[clipped(rows, limit) for limit in LIMITS] for rows in draws], axis=0)
    with np.errstate(divide="ignore"):  # nothing is changed
        return np.log(found[:, 0]), found[:, 1]


def _clipping(gain):
    def evidence():
        logs, cosines = clipping_curve(gain)
        (at,) = np.flatnonzero(LIMITS == 1)
        changed, cosine = float(np.exp(logs[at])), float(cosines[at])
        numbers = f"gain {gain:g}: the mean changes by {plain(changed)} of its size and turns, cosine {plain(cosine)}"
        return Evidence(changed < 0.6 and cosine > 0.9 if gain < 2 else changed > 0.9 and cosine < 0.8, numbers)

    return evidence


ORTHOGONAL = replace(TURNING, gain=1.0, horizon=256)


def _cancels():
    left, *ends = typical(ORTHOGONAL, cancellation)
    flat, *_ = typical(ORTHOGONAL, factor)
    numbers = f"each step back ×{plain(flat)}, and of the total size {three(left, *ends)} is left"
    return Evidence(abs(flat - 1) < 0.01 and left < 0.1, numbers)


GROWTH = Lesson(
    title="Not vanishing is not exploding",
    claim="If the terms did not vanish, the sum would explode.",
    prose=(
        "Let $\\rho$ be what one step back multiplies the **term** by. Below one the terms vanish and the sum "
        "settles, above one they grow and the sum explodes. This lesson is about the border, $\\rho = 1$: every copy "
        "of the weight, however far back, gets the same term, $dC(t)/dW(t-u)$. The picture shows the size of the sum "
        "at every time $t$: in purple as it is, in blue divided by the error at $t$. Beside it are three shapes: one "
        "that stays, one in straight proportion (under the blue), and one that multiplies at every step. The axis "
        "counts powers of ten, on which a straight proportion bends over."
    ),
    scenario=PRESETS["Constant"],
    look=Look(closer=True, show="growth", relative=True),
    controls=("gain", "horizon"),
    guess=Guess(
        "Run the network twice as long. What happens to the sum?",
        _which_growth,
        ("It stays about the same", "It doubles", "It explodes: many times more than double"),
    ),
    reveal=lambda m, look: (
        f"Divided by the error, the sum grows by ×{plain(doubling(m))} from {m.t // 2 + 1} to {m.t + 1} steps."
    ),
    conclusion="At $\\rho = 1$ equal terms add up in proportion to their number: that is growth, and no explosion.",
    verdicts=(
        Verdict("fails when", "every step keeps exactly what it gets: the sum grows in proportion", _linear),
        Verdict("fails when", "the terms keep their size and turn: they cancel", _cancels),
        Verdict("holds if", "the terms grow from lag to lag", _explodes),
    ),
    examples=(
        Example(
            "Show factors above one",
            replace(PRESETS["Constant"], gain=1.05),
            "Each step back multiplies by 1.05: now the sum explodes.",
        ),
        stops(ORTHOGONAL, "Orthogonal weights: no term vanishes, and hardly anything is left of their sum."),
    ),
    try_this="Find the gain at which the last sum is a thousand times the error. It is closer to 1 than you think.",
    sources=(
        (PASCANU, "the condition for exploding gradients is necessary, not sufficient; clipping by norm"),
        (SAXE, "orthogonal weights keep the size of what they carry"),
    ),
    remedies=(
        Verdict(
            "cost of",
            "clipping the gradients of eight sequences to their median size, where nothing explodes: it hardly turns "
            "their mean",
            _clipping(1.0),
        ),
        Verdict(
            "cost of",
            "the same where terms explode: a few huge gradients set the mean, which now points elsewhere",
            _clipping(8.0),
        ),
    ),
    curves=("clipping", "truncation"),
)


# ------------------------------------------------------------------------------------- 4, LSTMs are sure to vanish

CELL_PATH = Scenario(gates="pinned", forget=0.9, cell_path_only=True)


def _gate_sets_the_pace():
    found = {f: typical(replace(CELL_PATH, forget=f), factor) for f in (0.5, 0.9, 0.95)}
    true = all(abs(median - f) < 0.02 for f, (median, *_) in found.items())
    return Evidence(true, "; ".join(f"gate {f:g}: ×{plain(median)} a step" for f, (median, *_) in found.items()))


LSTM = Lesson(
    title="“LSTMs are sure to vanish”",
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
        factor,
        range=Range(0.0, 1.2, 0.01),
        near=0.02,
    ),
    reveal=lambda m, look: (
        f"The forget gate stands at {m.scenario.forget:g}; each step back multiplies by {plain(factor(m))}. What else "
        "differs from lag to lag is what each step starts with."
    ),
    conclusion="Right at initialisation, for a wrong reason: on the cell path the factor is the forget gate's *value*. "
    "All paths together, in grey, have a pace of their own, which the weights set.",
    verdicts=(
        Verdict(
            "holds",
            "at ordinary initialisation",
            typically(
                Scenario(horizon=80),
                factor,
                lambda median, low, high: high < 1,
                "gain 1, forget gate 0.73, eight draws: ×{} a step",
            ),
        ),
        Verdict(
            "fails when",
            "the forget gate is 1: the constant error carousel",
            typically(
                replace(CELL_PATH, forget=1.0),
                factor,
                lambda median, *_: 0.98 < median < 1.02,
                "forget gate 1, cell path: ×{} a step",
            ),
        ),
        Verdict(
            "fails when",
            "the recurrent weights are large: the other paths then multiply by more than one",
            typically(
                Scenario(gain=12.0, horizon=80),
                factor,
                lambda median, *_: median > 1,
                "gain 12, eight draws: ×{} a step",
            ),
        ),
        Verdict("fails", "as a reason: the gate's value sets the pace, not a derivative", _gate_sets_the_pace),
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


# ------------------------------------------------------------------------------------------------------- 5, depth

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
        f"Each layer down multiplies by {plain(factor(m))}. Tied, W gets {number(m.reading.log_sum)}; untied, the "
        f"lowest layer that has a state to read gets {number(bottom_share(m))} of that."
    ),
    conclusion="Tied, the gradient is the sum. Untied, each layer has but its own term: the bottom one starves.",
    verdicts=(
        Verdict(
            "holds",
            "for the network untied",
            typically(
                LAYERS, factor, lambda median, *_: 0.15 < median < 0.35, "sigmoid, gain 1, eight draws: ×{} a layer"
            ),
        ),
        Verdict("holds", "for a plain feed-forward net, each layer with random weights of its own", _own_weights),
        Verdict(
            "fails when",
            "the forward signal fades upwards as fast as ‖δ‖ does downwards: then all layers' gradients are of one "
            "size, and ‖δ‖ alone shows what fades",
            _looks_flat,
        ),
        Verdict(
            "fails when",
            "each layer passes on all it gets: linear units with orthogonal weights",
            typically(
                ORTHOGONAL_LAYERS,
                factor,
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


# ------------------------------------------------------------------------------------- 6, any RNN; gates choose


def factors_by_cell(measurement):
    """Cell -> what each step back multiplies a term by, everything else being equal."""
    return {cell: factor(one) for cell, one in in_every_cell(measurement).items()}


def _reveal_cells(measurement, look):
    found = factors_by_cell(measurement)
    low, high = min(found, key=found.get), max(found, key=found.get)
    return (
        f"In this draw the terms of {low} fall fastest: each step back multiplies them by {plain(found[low])}. Those "
        f"of {high} last longest: by {plain(found[high])}."
    )


def _typical_factors():
    found = {cell: typical(Scenario(cell=cell, horizon=80), factor)[0] for cell in CHOICES["cell"]}
    true = all(value < 1 for value in found.values()) and min(found, key=found.get) == "rnn-sigmoid"
    return Evidence(
        true, "medians of eight draws: " + "; ".join(f"{cell} ×{plain(value)}" for cell, value in found.items())
    )


def _gates_choose():
    keep = typical(Scenario(cell="gru", update=0.95, gain=0.4), factor)[0]
    drop = typical(Scenario(cell="gru", update=0.1, gain=0.4), factor)[0]
    return Evidence(keep > drop + 0.2, f"GRU, keep gate 0.1: ×{plain(drop)} a step; 0.95: ×{plain(keep)}")


ANY = Lesson(
    title="Any RNN; gates choose",
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


# ------------------------------------------------------------------------ 7, the output that ignores ten inputs

EVERY = 12
STRIPE = replace(PRESETS["Ignores ten inputs"], cell_path_only=True, time=95)


def mean_shares(measurement):
    """The share of each lag, averaged over all times of whole periods; the first period has no earlier state."""
    k = measurement.scenario.write_every
    whole = len(measurement.cost) // k * k
    shares = []
    for t in range(k, whole):
        row = measurement.log_terms[t, : t + 1]
        held = share(row)
        one = held - np.append(held[1:], 0.0)
        shares.append(np.pad(one, (0, whole - len(one))))
    return np.mean(shares, axis=0)


def _reveal_stripe(measurement, look):
    shares = mean_shares(measurement)
    k = measurement.scenario.write_every
    inside, after = shares[:k], shares[k : 2 * k]
    return (
        f"At t = {measurement.t} lag {int(np.argmax(measurement.log_row))} carries everything. On average each of the "
        f"lags 0 to {k - 1} holds {plain(float(inside.min()))} to {plain(float(inside.max()))}, and the "
        f"{k} lags after them {plain(float(after.sum()))} together."
    )


def _twelfth():
    shares = np.mean([mean_shares(measurement) for measurement in drawn(STRIPE)], axis=0)
    off = float(np.abs(shares[:EVERY] - 1 / EVERY).max())
    return Evidence(
        off < 1e-6 and shares[EVERY:].max() == 0,
        f"eight sequences: 1/12 to rounding (off by at most {plain(off)}), then an exact 0",
    )


def _reappears():
    shares = [mean_shares(measurement) for measurement in drawn(replace(STRIPE, cell_path_only=False))]
    later = [float(each[EVERY:].sum()) for each in shares]
    return Evidence(
        min(later) > 0, f"full path, eight sequences: {three(np.median(later), min(later), max(later))} beyond"
    )


IGNORES = Lesson(
    title="The output that ignores ten inputs",
    claim="An output may ignore the last ten inputs and depend on the one eleven steps back: that lag has not faded.",
    prose=(
        "Once in twelve steps this LSTM **writes**: its forget gate shuts, which wipes the state, and its input gate "
        "opens and takes in one input. Between, the state is kept as it is. Just before a write, the last write is "
        "**eleven steps** back: the present input and the ten before it do not count, lag 11 has not faded. One step "
        "later a new write has come, lag 11 is an exact zero and everything comes from lag 0. In the map each row is "
        "a time $t$, each column a lag $u$, and the colour is the size of the term, $dC(t)/dW(t-u)$, which changes "
        "with the error at $t$: a stripe that moves one lag at a time."
    ),
    scenario=STRIPE,
    look=Look(closer=True, lag=11),
    controls=("time", "write_every"),
    guess=Guess(
        "Average over all times: what share of the gradient does lag 11 hold?",
        lambda m: float(mean_shares(m)[11]),
        range=Range(0.0, 1.0, 0.01),
        near=0.02,
    ),
    reveal=_reveal_stripe,
    conclusion="Each lag takes its turn: the mean share is $1/12$ up to lag 11, and nothing beyond. It averages out.",
    verdicts=(
        Verdict("holds", "on the cell path: 1/12 for each lag up to 11, then nothing", _twelfth),
        Verdict("fails when", "the other paths count: earlier writes reappear, smaller", _reappears),
    ),
    examples=(
        stops(
            replace(STRIPE, cell_path_only=False),
            "All paths together: the write before the last one is seen as well, twelve lags further back.",
        ),
    ),
    try_this="Move the time by one step at a time past a multiple of 12, and watch the lit lag.",
    sources=((HOCHREITER, "input gates that protect what is stored"),),
)


# ----------------------------------------------------------------------------------------- 8, what the sum hides

SHORT = PRESETS["LSTM at initialisation"]
LONG = replace(SHORT, forget=0.97)


def _which_reach(measurement):
    far = measurement.reading.far_share
    return 0 if far > 0.25 else 1 if far > 0.01 else 2


def _reach(scenario, reaches):
    def evidence():
        sums = typical(scenario, lambda measurement: math.exp(measurement.reading.log_sum))
        median, *ends = typical(scenario, lambda measurement: measurement.reading.far_share)
        true = 0.1 < sums[0] < 10 and (median > 0.2 if reaches else median < 1e-3)
        return Evidence(true, f"sum {three(*sums)}; share of the lags from 50 on {three(median, *ends)}")

    return evidence


def truncated(measurement, kept):
    """What truncated backpropagation that keeps so many lags leaves out: ‖Σ_{u≥kept}‖ / ‖Σ‖."""
    return math.exp(measurement.log_missing[kept])


HIDES = Lesson(
    title="What the sum hides",
    claim="If the sum is healthy, all is well.",
    prose=(
        "A network is to learn something that lies fifty steps back. Its weight has a healthy gradient: the sum on "
        "the right is neither tiny nor huge. But a sum does not say where it comes from. Its **terms**, "
        "$dC(t)/dW(t-u)$, on the left do: the share of their total size that comes from lags of 50 and more is the "
        "**credit** that reaches back that far. If it is nearly nothing, the weight moves all the same, and learns "
        "what the last few steps teach it. In grey there is the same network but for one thing, a forget gate at 0.97 "
        "instead of 0.73."
    ),
    scenario=SHORT,
    look=Look(closer=True, kept=LONG, lag=50),
    controls=("forget", "gain"),
    guess=Guess(
        "What share of the total size of the blue network's terms comes from the far half of the lags, 50 and more?",
        _which_reach,
        ("More than a quarter", "Some per cent", "Less than one per cent"),
    ),
    reveal=lambda m, look: (
        f"The sum is {number(m.reading.log_sum)}. The far half of the lags holds {plain(m.reading.far_share)} of the "
        f"terms' total size; in the grey network {plain(LONG.measure().reading.far_share)}."
    ),
    conclusion="A healthy sum can be all short lags. Credit that reaches back is needed to learn a long dependency.",
    verdicts=(
        Verdict("fails when", "the forget gate rests at 0.73: a healthy sum without reach", _reach(SHORT, False)),
        Verdict("holds if", "the forget gate rests at 0.97: a healthy sum with reach", _reach(LONG, True)),
    ),
    examples=(
        stops(LONG, "The network in grey: nearly half of the terms' total size comes from the far half of the lags."),
    ),
    try_this="Find the smallest forget gate at which a tenth of the credit comes from the far half.",
    sources=(
        (BENGIO, "credit that fades makes long dependencies hard to learn"),
        (PASCANU, "necessary, not sufficient"),
        (JOZEFOWICZ, "a forget bias of 1"),
        (TALLEC, "a forget bias of log k for a dependency of k steps"),
    ),
    remedies=(
        Verdict(
            "cost of",
            "truncating after 20 lags, in the network without reach: little is missing",
            typically(
                SHORT,
                lambda m: truncated(m, 20),
                lambda median, *_: median < 0.1,
                "{} of the whole gradient is missing",
            ),
        ),
        Verdict(
            "cost of",
            "the same in the network with reach: most of the gradient is missing",
            typically(
                LONG, lambda m: truncated(m, 20), lambda median, *_: median > 0.5, "{} of the whole gradient is missing"
            ),
        ),
    ),
    curves=("truncation",),
    ends_in="learning",
)

LESSONS = (SUM, HEALTHY, GROWTH, LSTM, DEPTH, ANY, IGNORES, HIDES)
