"""What the controls set: one flat record, its ranges and choices, and the problem it stands for.

Every shape is that of `MAX_HORIZON`, of which the horizon takes the first blocks and slices, as causality allows:
one compilation serves every horizon and every time.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from gradflow.app.ranges import Range
from gradflow.cells import CELLS
from gradflow.sequences import SEQUENCES, Sequence, sequence
from gradflow.weights import INITS, SET_BIASES, Weights, draw

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
    "cell": tuple(CELLS),
    "gates": ("pinned", "learned"),
    "init": tuple(INITS),
    "hidden": (1, 2, 4, 8, 16, 32, 64),
    "sequence": tuple(SEQUENCES),
    "weight": ("weight_hh", "weight_ih", "bias_hh", "bias_ih", "all"),
}
GATE_FIELDS = tuple(dict.fromkeys(gate for cell in CELLS.values() for gate in cell.pinnable))  # None: as initialised
TEXT_LENGTH = MAX_HORIZON


def gate_names(cell: str) -> tuple[str, ...]:
    """The gates whose rows can be shown alone; a plain RNN has but one block of rows."""
    return CELLS[cell].gates


def pinnable_gates(cell: str) -> tuple[str, ...]:
    """The sigmoid gates that have a slider."""
    return CELLS[cell].pinnable


def weight_names(cell: str) -> tuple[str, ...]:
    """The weights that a step of the cell uses, and all."""
    return tuple(str(name) for name in CHOICES["weight"] if name not in CELLS[cell].unused)


@dataclass(frozen=True)
class Scenario:
    """Everything a link carries. `parse` makes valid ones out of anything; `Scenario(...)` raises on a bad field.

    A weight that the cell does not use, whose terms are all zero, becomes its like at the input.
    """

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
        object.__setattr__(self, "weight", CELLS[self.cell].used(self.weight))

    @property
    def rows(self) -> dict[str, Any]:
        """The weight and gate that are chosen, as the engine's methods take them."""
        return {"weight": self.weight, "gate": None if self.gate == "all" else self.gate}

    @property
    def kind(self) -> tuple[str, int, bool]:
        """What one compilation serves: a cell, a size, and whether the cell path stands alone."""
        return self.cell, self.hidden, self.truncated

    @property
    def truncated(self) -> bool:
        """Whether the cell path stands alone, which only a cell that has one can do."""
        return self.cell_path_only and CELLS[self.cell].has_cell_path

    def weights(self) -> Weights:
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

    def at_rest(self, gate: str) -> float:
        """How open a gate is without input and state: its number; if None, the mean of σ(bias) over the units."""
        value = getattr(self, gate)
        if value is not None:
            return value
        weights, k = self.weights(), gate_names(self.cell).index(gate)
        bias = np.asarray(weights.bias_ih + weights.bias_hh, float)[k * self.hidden : (k + 1) * self.hidden]
        return float(np.mean(1 / (1 + np.exp(-bias))))

    def pins(self) -> dict[str, np.ndarray]:
        """The gates it holds fixed, name -> f[MAX_HORIZON]; NaN where the network decides, as it does with None.

        A write every k steps opens the way in at s = 0, k, 2k … and shuts it between: lstm input (its slider, then
        0) and forget (0, then its slider); gru update, which keeps (0, then its slider).
        """
        held = {gate: getattr(self, gate) if self.gates == "pinned" else None for gate in pinnable_gates(self.cell)}
        pins = {gate: np.full(MAX_HORIZON, np.nan if value is None else value) for gate, value in held.items()}
        if self.write_every > 1:
            writes = np.arange(MAX_HORIZON) % self.write_every == 0
            cell = CELLS[self.cell]
            for gate, shut in ((cell.write_gate, ~writes), (cell.keep_gate, writes)):
                if gate is not None:
                    pins[gate][shut] = 0.0
        return pins

    def readout(self) -> np.ndarray:
        """How C(t) reads h(t), f[n] ~ N(0, 1/n); one unit is read as it is.

        Of a `shift` unit 11 alone is read, or the last if there are fewer: at gains of 1 the output of a linear delay
        line at t is its first input at t − 11.
        """
        n = self.hidden
        if n == 1 or self.init == "shift":
            return np.eye(n, dtype=np.float32)[min(DELAY, n - 1)]
        return _normal(self.seed, n) / np.float32(np.sqrt(n))

    def problem(self) -> dict[str, Any]:
        """The arguments of `gradient_map` by name, all of MAX_HORIZON steps."""
        data = self.data()
        return {
            "cell": self.cell,
            "weights": self.weights(),
            "inputs": data.inputs,
            "readout": self.readout(),
            "targets": data.targets,
            "pins": self.pins(),
            "cell_path_only": self.truncated,
        }

    def data(self) -> Sequence:
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


def defaults(init: str) -> dict[str, Any]:
    """Field -> the value of what a link or a file with this `init` leaves out.

    It is fixed but for the gates: where the init sets biases they are None, as initialised.
    """
    return vars(Scenario()) | (dict.fromkeys(GATE_FIELDS) if init in SET_BIASES else {})


def with_init(scenario: Scenario, init: str) -> Scenario:
    """The scenario drawn otherwise: all gates as initialised where the init sets biases, elsewhere none."""
    fixed = defaults(init)
    gates = {name: fixed[name] for name in GATE_FIELDS if None in (fixed[name], getattr(scenario, name))}
    return replace(scenario, init=init, **gates)
