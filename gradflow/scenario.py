"""What the controls set: one flat record, its ranges, its presets, its way into a link and back, its measurement.

Every shape is that of `MAX_HORIZON`, of which the horizon takes the first blocks and slices, as causality allows:
one compilation serves every horizon and every time.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from threading import Lock

import numpy as np

from gradflow.fields import Range, read, short, write
from gradflow.sequences import SEQUENCES, sequence
from gradflow.weights import INITS, SET_BIASES, draw

MAX_HORIZON = 256
INPUTS = 4  # inputs a step, for every sequence
RECALL_LAG = 20  # steps between a cue and its recall
DELAY = 11  # the unit of a delay line that is read: steps from its input to its output


RANGES = {
    "forget": Range(0.0, 1.0, 0.005),
    "input": Range(0.0, 1.0, 0.005),
    "output": Range(0.0, 1.0, 0.005),
    "reset": Range(0.0, 1.0, 0.005),
    "update": Range(0.0, 1.0, 0.005),
    "gain": Range(0.0, 12.0, 0.001),
    "input_gain": Range(0.0, 4.0, 0.002),
    "horizon": Range(2, MAX_HORIZON, 1),
    "time": Range(0, MAX_HORIZON - 1, 1),
    "write_every": Range(1, 32, 1),
    "seed": Range(0, 999, 1),
}
CHOICES = {
    "cell": ("rnn-tanh", "rnn-relu", "rnn-sigmoid", "rnn-linear", "lstm", "gru"),
    "gates": ("pinned", "learned"),
    "init": tuple(INITS),
    "hidden": (1, 2, 4, 8, 16, 32, 64),
    "sequence": tuple(SEQUENCES),
    "weight": ("weight_hh", "weight_ih", "bias_hh", "bias_ih", "all"),
}
GATES = {  # gate rows a person can single out, by cell
    "lstm": ("input", "forget", "cell", "output"),
    "gru": ("reset", "update", "new"),
}
PINNABLE = {"lstm": ("forget", "input", "output"), "gru": ("reset", "update")}
GATE_FIELDS = sum(PINNABLE.values(), ())  # fields that are a number, or None: as initialised
TEXT_LENGTH = MAX_HORIZON


def gate_names(cell):
    """The gates whose rows can be shown alone; a plain RNN has but one block of rows."""
    return GATES.get(cell, ("hidden",))


def pinnable_gates(cell):
    """The sigmoid gates that have a slider."""
    return PINNABLE.get(cell, ())


# Visitors measure in turns: side by side they would all wait for the interpreter's lock, and all be late. Who measures
# a kind for the first time compiles for seconds, and keeps only others of such kinds waiting.
_TURN, _FIRST, _MEASURED = Lock(), Lock(), set()
KINDS = 16  # that stay compiled, at about 10 MB each; then all go, and come again from the disk as they are asked for


def measured_kinds():
    """The kinds of scenario that are compiled in this process."""
    return frozenset(_MEASURED)


@dataclass(frozen=True)
class Scenario:
    """Everything a link carries. `parse` makes valid ones out of anything; `Scenario(...)` raises on a bad field."""

    cell: str = "lstm"
    gates: str = "learned"
    forget: float | None = 0.73  # of a gate, None: as initialised
    input: float | None = 0.5
    output: float | None = 0.5
    reset: float | None = 0.5
    update: float | None = 0.5
    gain: float = 1.0
    input_gain: float = 1.0
    init: str = "normal"
    hidden: int = 16
    horizon: int = 100
    time: int = MAX_HORIZON - 1
    write_every: int = 1
    sequence: str = "noise"
    text: str = "the cat that the dogs chased was black"
    seed: int = 0
    weight: str = "weight_hh"
    gate: str = "all"
    cell_path_only: bool = False  # lstm; other cells have no such path

    def __post_init__(self):
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(map(str, allowed))}")
        for name, (low, high, _) in RANGES.items():
            value = getattr(self, name)
            if value is None and name in GATE_FIELDS:
                continue
            if not isinstance(value, (int, float)) or not low <= value <= high:
                raise ValueError(f"{name} is {value!r}; it must be a number between {low:g} and {high:g}")
        if not isinstance(self.cell_path_only, bool):
            raise ValueError(f"cell_path_only is {self.cell_path_only!r}; it must be True or False")
        if self.gate not in ("all", *gate_names(self.cell)):
            raise ValueError(f"gate is {self.gate!r}; a {self.cell} has all, {', '.join(gate_names(self.cell))}")
        if not 1 <= len(self.text) <= TEXT_LENGTH:
            raise ValueError(f"text has {len(self.text)} characters; it must have 1 to {TEXT_LENGTH}")

    @property
    def rows(self):
        """The weight and gate that are chosen, as the engine's methods take them."""
        return {"weight": self.weight, "gate": None if self.gate == "all" else self.gate}

    def measure(self):
        """Compute what the page shows of this scenario, a `Measurement`.

        The first of its `kind` compiles: whoever asks for the same meanwhile waits instead of compiling it too.
        """
        if self.kind in _MEASURED:
            with _TURN:
                return _measure(self)
        with _FIRST:
            if self.kind not in _MEASURED and len(_MEASURED) >= KINDS:
                _forget_compiled()
            measurement = _measure(self)
            _MEASURED.add(self.kind)
            return measurement

    @property
    def kind(self):
        """What one compilation serves: a cell, a size, and for an lstm whether the cell path stands alone."""
        return self.cell, self.hidden, self.cell_path_only and self.cell == "lstm"

    def weights(self):
        """The weights it draws: a learned gate rests where its slider stands, bias_ih = logit(openness), bias_hh = 0.

        A gate that is None or pinned has the biases that `init` draws.
        """
        gates = pinnable_gates(self.cell) if self.gates == "learned" else ()
        biases = {gate: _logit(getattr(self, gate)) for gate in gates if getattr(self, gate) is not None}
        return draw(
            gate_names(self.cell),
            self.hidden,
            INPUTS,
            init=self.init,
            gain=self.gain,
            input_gain=self.input_gain,
            biases=biases,
            seed=self.seed,
        )

    def at_rest(self, gate):
        """How open a gate is without input and state: its number; if None, the mean of σ(bias) over the units."""
        value = getattr(self, gate)
        if value is not None:
            return value
        weights, k = self.weights(), gate_names(self.cell).index(gate)
        bias = np.float64(weights.bias_ih + weights.bias_hh)[k * self.hidden : (k + 1) * self.hidden]
        return float(np.mean(1 / (1 + np.exp(-bias))))

    def pins(self):
        """The gates it holds fixed, name -> f[MAX_HORIZON]; NaN where the network decides, as it does with None.

        A write every k steps opens the way in at s = 0, k, 2k … and shuts it between: lstm input (its slider, then
        0) and forget (0, then its slider); gru update, which keeps (0, then its slider).
        """
        held = {gate: getattr(self, gate) if self.gates == "pinned" else None for gate in pinnable_gates(self.cell)}
        pins = {gate: np.full(MAX_HORIZON, np.nan if value is None else value) for gate, value in held.items()}
        if self.write_every > 1:
            writes = np.arange(MAX_HORIZON) % self.write_every == 0
            for gate, shut in (("input", ~writes), ("forget", writes), ("update", writes)):
                if gate in pins:
                    pins[gate][shut] = 0.0
        return pins

    def readout(self):
        """How C(t) reads h(t), f[n] ~ N(0, 1/n); one unit is read as it is.

        Of a `shift` unit 11 alone is read, or the last if there are fewer: at gains of 1 the output of a linear delay
        line at t is its first input at t − 11.
        """
        n = self.hidden
        if n == 1 or self.init == "shift":
            return np.eye(n, dtype=np.float32)[min(DELAY, n - 1)]
        return _normal(self.seed, n) / np.float32(np.sqrt(n))

    def problem(self):
        """The arguments of `gradient_map` by name, all of MAX_HORIZON steps."""
        data = self.data()
        return {
            "cell": self.cell,
            "weights": self.weights(),
            "inputs": data.inputs,
            "readout": self.readout(),
            "targets": data.targets,
            "pins": self.pins(),
            "cell_path_only": self.cell_path_only and self.cell == "lstm",
        }

    def data(self):
        """Its inputs, targets and labels, a `Sequence` of MAX_HORIZON steps."""
        return _data(self.sequence, self.seed, self.text)


@lru_cache(maxsize=8)
def _data(name, seed, text):
    return sequence(name, MAX_HORIZON, INPUTS, seed, lag=RECALL_LAG, text=text)


def _logit(openness):
    p = min(max(openness, 0.001), 0.999)
    return math.log(p / (1 - p))


def _normal(seed, n):
    return np.random.default_rng([seed, 1]).standard_normal(n).astype(np.float32)


_UNIT = {"cell": "rnn-linear", "hidden": 1, "weight": "bias_hh"}

PRESETS: dict[str, Scenario] = {
    "LSTM at initialisation": Scenario(),
    "LSTM that remembers": Scenario(forget=0.99, gain=0.4),
    "LSTM that explodes": Scenario(init="orthogonal", forget=0.9, gain=0.7, input_gain=0.002),  # too small to saturate
    "Chaotic LSTM": Scenario(gain=12.0),
    "GRU": Scenario(cell="gru"),
    "Vanishing": Scenario(**_UNIT, gain=0.8),
    "Constant": Scenario(**_UNIT, gain=1.0),
    "Exploding": Scenario(**_UNIT, gain=1.1),
    "Ignores ten inputs": Scenario(
        gates="pinned", forget=1.0, input=1.0, output=1.0, write_every=12, gate="cell", horizon=96, gain=0.5
    ),
}
DEFAULT_PRESET = "LSTM at initialisation"
CUSTOM = "Custom"


def preset_of(scenario):
    """The name of the preset that has exactly these values, or "Custom"."""
    return next((name for name, preset in PRESETS.items() if preset == scenario), CUSTOM)


def defaults(init):
    """Field -> the value of what a link or a file with this `init` leaves out.

    It is fixed but for the gates: where the init sets biases they are None, as initialised.
    """
    return vars(Scenario()) | (dict.fromkeys(GATE_FIELDS) if init in SET_BIASES else {})


def with_init(scenario, init):
    """The scenario drawn otherwise: all gates as initialised where the init sets biases, elsewhere none."""
    fixed = defaults(init)
    gates = {name: fixed[name] for name in GATE_FIELDS if None in (fixed[name], getattr(scenario, name))}
    return replace(scenario, init=init, **gates)


def to_params(scenario, preset=None):
    """Every field as the text a link carries; `parse` gives the same scenario back, to the last digit."""
    params = {name: write(value) for name, value in vars(scenario).items()}
    return {"preset": preset or preset_of(scenario), **params}


def parse(params: Mapping[str, str]):
    """Read a link. A missing field has its default, see `defaults`; a preset alone stands for its own values.

    Args:
        params: raw text by name; other names than a scenario's are left alone.

    Returns:
        (scenario, preset name or "Custom", notices): a bad value becomes the default, a number out of range or off
        the steps the nearest that is neither, and each gives one sentence in `notices`. Never raises.
    """
    notices = []
    name = params.get("preset", CUSTOM)
    given = {field: params[field] for field in vars(Scenario()) if field in params}
    if not given and name in PRESETS:
        return PRESETS[name], name, ()
    values = {}
    fixed = defaults(given.get("init", Scenario.init))
    for field, raw in given.items():
        values[field], notice = _read(field, str(raw), fixed[field])
        if notice:
            notices.append(notice)
    allowed = ("all", *gate_names(values.get("cell", Scenario.cell)))
    if values.get("gate", "all") not in allowed:
        notices.append(f"gate “{short(values.pop('gate'))}” is not one of {', '.join(allowed)}; it is now all.")
    scenario = Scenario(**fixed | values)
    preset = preset_of(scenario)
    if name not in (*PRESETS, CUSTOM):
        notices.append(f"preset “{short(name)}” is not one of {', '.join(PRESETS)}; it is now {preset}.")
    elif name not in (preset, CUSTOM):
        notices.append(f"preset “{name}” has other values than are given beside it, which count; it is now {preset}.")
    return scenario, preset, tuple(notices)


def _read(field, raw, default):
    """One field from its text: (value, notice or None)."""
    if field == "gate":
        return raw, None  # depends on the cell
    if field == "text":
        if not raw:
            return default, f"text is empty; it is now “{default}”."
        whole = raw.encode("utf-8", "replace").decode()  # a link cannot carry half a character
        cut = whole[:TEXT_LENGTH]
        said = f"text has {len(raw)} characters; the first {TEXT_LENGTH} are used." if cut != whole else ""
        return cut, said or (None if cut == raw else "text has halves of characters; each is now “?”.")
    return read(field, raw, default, CHOICES.get(field) or RANGES.get(field), optional=field in GATE_FIELDS)


# ------------------------------------------------------------------------------------------------ measurement


@dataclass(frozen=True, eq=False)
class Measurement:
    """What the page shows of a scenario, sliced to its horizon T; t is the chosen time; logarithms are natural.

    −inf is an exact zero, NaN marks the rows from the step at which the forward pass overflows.
    """

    scenario: Scenario
    t: int
    log_terms: np.ndarray  # log ‖dC(t)/dW(t−u)‖ at [t, u], f64[T, T]
    log_sums: np.ndarray  # log ‖Σ_u dC(t)/dW(t−u)‖, f64[T]
    log_residual: np.ndarray  # log ‖dC(t)/dh(t)‖, f64[T]
    cost: np.ndarray  # C(t), [T]
    log_row: np.ndarray  # the terms of the chosen t by lag, f64[t+1]
    log_partial: np.ndarray  # log ‖Σ_{u'≤u} dC(t)/dW(t−u')‖, f64[t+1]
    gates: dict  # mean openness of each sigmoid gate over the units, name -> f[T]
    labels: tuple  # what was read at each step
    overflow: int | None  # first step whose forward pass is not finite
    underflow: int | None  # first step at which a state was flushed to zero
    reading: "Reading"  # noqa: F821
    lags: "LagTerms"  # noqa: F821  the terms of the chosen t, to ask for more: entries, factors, chains
    gmap: "GradientMap"  # noqa: F821

    @property
    def field(self):
        """What is chosen, for what needs one field: weight_hh where all four are."""
        rows = self.scenario.rows
        return rows | ({"weight": "weight_hh"} if rows["weight"] == "all" else {})

    @cached_property
    def chaos_checked(self):
        """The reading, once it is asked whether the forward pass is chaotic; `Reading`."""
        from gradflow.reading import read

        numbers = self.log_row, self.lags.log_delta(**self.scenario.rows), self.log_partial, self.log_sums
        return read(*numbers, self.log_residual, self.overflow, self.underflow, self.t, self.gmap.divergence)

    def said(self, at_rest=True):
        """The sentence; at rest it is asked whether the network is chaotic, which takes a second forward pass."""
        return (self.chaos_checked if at_rest else self.reading).verdict

    @cached_property
    def chains(self):
        """The chains that are taken for dC(t)/dW(t−u): name -> natural log by lag, f[t+1]."""
        return {
            f"‖dh(t)/d{'(h,c)' if self.scenario.cell == 'lstm' else 'h'}(t−u)‖": self.lags.log_state_sensitivity(),
            "‖dC(t)/dx(t−u)‖": self.lags.log_input_sensitivity(),
        }

    @cached_property
    def log_missing(self):
        """Log ‖Σ_{u≥k}‖ / ‖Σ‖ by the number k of lags kept, f[t+2]; at k = t+1 nothing is missing."""
        with np.errstate(invalid="ignore"):
            return np.append(self.lags.log_tail_sums(**self.scenario.rows), -np.inf) - self.log_partial[-1]

    @cached_property
    def whole(self):
        """dC(t)/dW of the shared weights, by `jax.grad` alone; `Weights`."""
        from gradflow.flow import whole_gradient

        return whole_gradient(**self.scenario.problem(), t=self.t)

    @cached_property
    def float32(self):
        """The same with what plain float32 reports for terms and running sum: −inf a zero, NaN an inf or a NaN."""
        rows = self.scenario.rows
        plain = self.gmap.unscaled_terms(**rows, horizon=len(self.cost))
        return replace(
            self,
            log_terms=np.where(np.tri(*plain.shape, dtype=bool), _plain_logs(plain), -np.inf),
            log_row=_plain_logs(self.lags.unscaled_terms(**rows)),
            log_partial=_plain_logs(self.lags.unscaled_partial_sums(**rows)),
        )


def _forget_compiled():
    from gradflow.flow import forget_compiled

    _MEASURED.clear()
    forget_compiled()


def _plain_logs(values):
    values = np.asarray(values, float)
    with np.errstate(divide="ignore"):
        return np.log(np.where(np.isfinite(values), values, np.nan))


@lru_cache(maxsize=8)
def _measure(scenario):
    from gradflow.reading import read

    horizon, t = scenario.horizon, min(scenario.time, scenario.horizon - 1)
    rows = scenario.rows
    core = replace(scenario, horizon=MAX_HORIZON, time=MAX_HORIZON - 1, weight="weight_hh", gate="all")
    gmap, (log_terms, log_sums) = _gradient_map(core), _all_times(core, horizon, **rows)
    lags = _lag_terms(core, t)
    before = lambda step: step if step is not None and step < horizon else None
    overflow, underflow = before(gmap.overflow), before(gmap.underflow)
    log_residual = gmap.log_residual[:horizon]
    log_row, log_partial = lags.log_terms(**rows), lags.log_partial_sums(**rows)
    return Measurement(
        scenario=scenario,
        t=t,
        log_terms=log_terms,
        log_sums=log_sums,
        log_residual=log_residual,
        cost=gmap.cost[:horizon],
        log_row=log_row,
        log_partial=log_partial,
        gates={name: gate[:horizon].mean(axis=1) for name, gate in gmap.gates.items()},
        labels=core.data().labels[:horizon],
        overflow=overflow,
        underflow=underflow,
        reading=read(log_row, lags.log_delta(**rows), log_partial, log_sums, log_residual, overflow, underflow, t),
        lags=lags,
        gmap=gmap,
    )


@lru_cache(maxsize=8)
def _gradient_map(scenario):
    """The map of a scenario, whatever its horizon, time, weight and gate."""
    from gradflow.flow import gradient_map, select_device

    select_device()
    return gradient_map(**scenario.problem())


@lru_cache(maxsize=8)
def _all_times(scenario, horizon, weight, gate):
    """(log_terms, log_sums) of a map, which another time alone does not change."""
    gmap, of = _gradient_map(scenario), {"weight": weight, "gate": gate, "horizon": horizon}
    log_sums = gmap.log_sums(**of)  # first: its sweep has the norms as well
    return gmap.log_terms(**of), log_sums


@lru_cache(maxsize=8)
def _lag_terms(scenario, t):
    return _gradient_map(scenario).lags(t)
