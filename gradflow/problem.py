"""Checks the arguments of `gradient_map`: one record, or a `ValueError` of one sentence."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradflow.cells import CELLS, Cell, Pin
from gradflow.weights import Weights


class Problem(NamedTuple):
    """A layer, its sequence and its cost; arrays of any kind, in the shapes the engine works in."""

    cell: Cell
    weights: Weights
    inputs: np.ndarray  # [T, m]
    readout: np.ndarray  # [k, n]
    targets: np.ndarray  # [T, k]
    pins: dict[str, Pin]  # every pinnable gate -> mask and value, [T]
    carry: tuple[np.ndarray, ...]  # each [n]
    dtype: np.dtype  # the result type of all arrays given


def check(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    readout: ArrayLike,
    targets: ArrayLike,
    pins: Mapping[str, ArrayLike] | None,
    carry: Iterable[ArrayLike] | None,
    cell_path_only: bool,
) -> Problem:
    """Check the arguments of `gradient_map` (see there) and bring them into one `Problem`.

    Raises:
        ValueError: names the field, what it is and what it must be.
    """
    cell = _cell(cell)
    pins = _check_pinned(cell, pins)
    if cell_path_only and not cell.has_cell_path:
        raise ValueError(f"cell_path_only is True; only an lstm has a cell path, {cell.name} has none")
    inputs, readout, targets = _array("inputs", inputs), _array("readout", readout), _array("targets", targets)
    if inputs.ndim != 2 or 0 in inputs.shape:
        raise ValueError(f"inputs has shape {list(inputs.shape)}; it must be [T, m], neither of them 0")
    steps, m = inputs.shape
    weights = _fields(weights)
    n = _check_weights(cell, weights, steps, m)
    pins = {gate: _array(f"pins[{gate!r}]", value) for gate, value in pins.items()}
    carry = None if carry is None else tuple(_array("carry", state) for state in carry)
    dtype = _dtype(*weights, inputs, readout, targets, *(carry or ()), *pins.values())
    readout, targets = _check_cost(readout, targets, steps, n)
    return Problem(
        cell, weights, inputs, readout, targets, _pins(cell, pins, steps), _carry(cell, carry, n, dtype), dtype
    )


def check_time(t: int, steps: int) -> int:
    """The chosen time as an int in [0, T−1]."""
    if isinstance(t, bool) or not isinstance(t, (int, np.integer)) or not 0 <= t < steps:
        raise ValueError(f"t is {t!r}; it must be a whole number between 0 and {steps - 1}")
    return int(t)


def check_selection(cell: Cell, weight: str, gate: str | None) -> None:
    """Refuse an unknown weight field or gate."""
    if weight not in (*Weights._fields, "all"):
        raise ValueError(f"weight is {weight!r}; it must be one of {', '.join(Weights._fields)}, all")
    if gate is not None and gate not in cell.gates:
        raise ValueError(f"gate is {gate!r}; the gates of {cell.name} are {', '.join(cell.gates)}")


def check_entry(weights: Weights, weight: str, row: int, col: int | None) -> None:
    """Refuse a weight that is not one single entry of its field."""
    if weight not in Weights._fields:
        raise ValueError(f"weight is {weight!r}; one entry lies in one of {', '.join(Weights._fields)}")
    matrix = weight.startswith("weight")
    if matrix != (col is not None):
        raise ValueError(
            f"col is {col!r}; {weight} {'is a matrix and needs one' if matrix else 'is a vector and has none'}"
        )
    *_, rows, cols = getattr(weights, weight).shape if matrix else (*getattr(weights, weight).shape, 1)
    for name, value, size in (("row", row, rows), ("col", col or 0, cols)):
        if not isinstance(value, (int, np.integer)) or not 0 <= value < size:
            raise ValueError(f"{name} is {value!r}; in {weight} it must be a whole number between 0 and {size - 1}")


def _cell(cell: str | Cell) -> Cell:
    if isinstance(cell, Cell):
        return cell
    if cell not in CELLS:
        raise ValueError(f"cell is {cell!r}; it must be a Cell or one of {', '.join(CELLS)}")
    return CELLS[cell]


def _array(name: str, value: Any) -> np.ndarray:
    """An array as it is, on whatever device; a PyTorch tensor as a copy on the host; a list as an array.

    A tensor of 16 bits comes in float32, which holds it exactly: NumPy has no bfloat16.

    Raises:
        ValueError: a tensor of integers.
    """
    if hasattr(value, "detach"):
        if not value.is_floating_point():
            raise ValueError(f"{name} is a tensor of {value.dtype}; it must be of floating point, as .float() makes it")
        value = value.detach().cpu()
        return np.array((value.float() if value.element_size() < 4 else value).numpy())  # training changes the tensor
    return value if hasattr(value, "dtype") and hasattr(value, "ndim") else _PythonNumbers(value)


def _fields(weights):
    """The four fields as arrays; a bias that is missing or None is zero."""
    weights = Weights(*weights)
    weight_ih, weight_hh = _array("weight_ih", weights.weight_ih), _array("weight_hh", weights.weight_hh)
    zero = _PythonNumbers(np.zeros(weight_hh.shape[:-1]))
    bias = lambda name, value: zero if value is None else _array(name, value)
    return Weights(weight_ih, weight_hh, bias("bias_ih", weights.bias_ih), bias("bias_hh", weights.bias_hh))


class _PythonNumbers(np.ndarray):
    """Marks arrays made from plain Python numbers, so that they do not promote the dtype."""

    def __new__(cls, value):
        return np.asarray(value, float).view(cls)


def _dtype(*values):
    """The result type of all arrays given, at least float32; plain Python numbers do not count."""
    kinds = [v.dtype for v in values if hasattr(v, "dtype") and not isinstance(v, _PythonNumbers)]
    return np.result_type(np.float32, *(kind for kind in kinds if np.issubdtype(kind, np.floating)))


def _check_weights(cell, weights, steps, m):
    """The number of units n, once all four shapes agree."""
    G = len(cell.gates)
    shape = weights.weight_hh.shape
    lead = (steps,) if len(shape) == 3 else ()
    n = shape[-1] if shape else 0
    shapes = {
        "weight_ih": (*lead, G * n, m),
        "weight_hh": (*lead, G * n, n),
        "bias_ih": (*lead, G * n),
        "bias_hh": (*lead, G * n),
    }
    units = shape[-2] // G if len(shape) > 1 else 0
    if cell.name == "lstm" and 0 < n < units and weights.weight_ih.shape[-2:-1] == (G * units,):
        raise ValueError(
            f"weight_hh has shape {list(shape)}, that of {units} units projected to {n} (proj_size); an lstm has no "
            f"projection and needs {[*shape[:-1], units]}"
        )
    for name, expected in {"weight_hh": shapes["weight_hh"], **shapes}.items():
        given = getattr(weights, name).shape
        if given != expected or n == 0:
            raise ValueError(
                f"{name} has shape {list(given)}; {cell.name} with n = {n}, m = {m} and T = {steps} needs "
                f"{list(expected)} (G·n rows, G = {G}; a leading axis T on all four fields when untied)"
            )
    return n


def _check_cost(readout: np.ndarray, targets: np.ndarray, steps: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Readout as [k, n] and targets as [T, k]."""
    if readout.shape == (n,) and targets.shape == (steps,):
        readout, targets = readout[None, :], targets[:, None]
    if readout.ndim != 2 or readout.shape[1] != n or targets.shape != (steps, readout.shape[0]):
        raise ValueError(
            f"readout has shape {list(readout.shape)} and targets {list(targets.shape)}; they must be "
            f"[{n}] with [{steps}], or [k, {n}] with [{steps}, k]"
        )
    for name, values, extra in (("readout", readout, ""), ("targets", targets, " or NaN, which masks its cost")):
        host = np.asarray(values)
        bad = np.isinf(host) | (np.isnan(host) & (name == "readout"))
        if bad.any():
            where = np.argwhere(bad)[0].tolist()
            raise ValueError(f"{name}{where} is {host[tuple(where)]}; every entry must be finite{extra}")
    return readout, targets


def _check_pinned(cell, pins):
    """The pins as a mapping, of gates that can be pinned."""
    pins = {} if pins is None else pins
    if not isinstance(pins, Mapping):
        raise ValueError(f"pins is {pins!r}; it must map gate names to values in [0, 1]")
    for gate in pins:
        if gate not in cell.pinnable:
            names = ", ".join(each for each in cell.gates if each in cell.pinnable) or "none"
            raise ValueError(f"pins names {gate!r}; the gates of {cell.name} that can be pinned: {names}")
    return pins


def _pins(cell, pins, steps):
    """Every pinnable gate's mask and value over time, on the host, so that NaN never enters the arithmetic."""
    checked = {}
    for gate in cell.pinnable:
        value = np.asarray(pins.get(gate, np.nan), float)
        if value.shape not in ((), (steps,)):
            raise ValueError(f"pins[{gate!r}] has shape {list(value.shape)}; it must be one number or [{steps}]")
        wrong = value[~np.isnan(value) & ~((value >= 0) & (value <= 1))]
        if wrong.size:
            raise ValueError(
                f"pins[{gate!r}] holds {wrong.flat[0]:g}; a pinned gate lies between 0 and 1, "
                "NaN leaves it to the network"
            )
        value = np.broadcast_to(value, (steps,))
        checked[gate] = Pin(~np.isnan(value), np.nan_to_num(value))
    return checked


def _carry(cell, carry, n, dtype):
    if carry is None:
        return tuple(np.zeros(n, dtype) for _ in cell.carry)
    if [state.shape for state in carry] != [(n,)] * len(cell.carry):
        given = ", ".join(str(list(state.shape)) for state in carry)
        raise ValueError(f"carry has shapes {given}; {cell.name} needs ({', '.join(cell.carry)}), each [{n}]")
    return carry
