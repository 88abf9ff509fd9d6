"""Checks the arguments of `gradient_map`: one record, or a `ValueError` of one sentence."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gradflow.cells import CELLS, Cell, Pin
from gradflow.weights import Weights


class SquaredError(NamedTuple):
    """C(t) = ½ ‖y(t) − target(t)‖², y(t) = readout · h(t) + readout_bias."""

    readout: np.ndarray  # [k, n]
    targets: np.ndarray  # [T, k]; NaN masks
    readout_bias: np.ndarray | None = None  # [k]


class CrossEntropy(NamedTuple):
    """C(t) = −log softmax(y(t)) at the target."""

    readout: np.ndarray  # [k, n]
    targets: np.ndarray  # bool[T, k], one of each row; none masks
    readout_bias: np.ndarray | None = None  # [k]


class BinaryCrossEntropy(NamedTuple):
    """C(t) = −Σ_k target log σ(y) + (1 − target) log σ(−y)."""

    readout: np.ndarray  # [k, n]
    targets: np.ndarray  # [T, k], in [0, 1]; NaN masks
    readout_bias: np.ndarray | None = None  # [k]


class GivenCotangents(NamedTuple):
    """C(t) is not known, its derivative is."""

    cotangents: Any  # dC(t)/dh(t), [T, n]


LOSSES = {"squared": SquaredError, "cross-entropy": CrossEntropy, "binary-cross-entropy": BinaryCrossEntropy}


class Problem(NamedTuple):
    """A layer, its sequence and its cost; arrays of any kind, in the shapes the engine works in."""

    cell: Cell
    weights: Weights
    inputs: np.ndarray  # [T, m]
    cost: SquaredError | CrossEntropy | BinaryCrossEntropy | GivenCotangents | None
    pins: dict[str, Pin]  # every pinnable gate -> mask and value, [T]
    carry: tuple[np.ndarray, ...]  # each [n]
    starts: np.ndarray | None  # steps that begin with the initial carry, bool[T]; None where only the first does
    dtype: np.dtype  # the result type of all arrays given


def check(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    readout: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    *,
    cotangents: ArrayLike | None = None,
    starts: ArrayLike | None = None,
    loss: str = "squared",
    readout_bias: ArrayLike | None = None,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
    cell_path_only: bool = False,
) -> Problem:
    """Check the arguments of `gradient_map` (see there) and bring them into one `Problem`.

    Raises:
        ValueError: names the field, what it is and what it must be.
    """
    cost = _given_cost(readout, targets, cotangents, loss, readout_bias)
    return _check(cell, weights, inputs, cost, starts, pins, carry, cell_path_only)


def check_layer(
    cell: str | Cell,
    weights: Weights,
    inputs: ArrayLike,
    *,
    starts: ArrayLike | None = None,
    pins: Mapping[str, ArrayLike] | None = None,
    carry: Iterable[ArrayLike] | None = None,
) -> Problem:
    """`check` of a layer that has no cost."""
    return _check(cell, weights, inputs, None, starts, pins, carry, False)


def _check(cell, weights, inputs, cost, starts, pins, carry, cell_path_only):
    cell = _cell(cell)
    pins = _check_pinned(cell, pins)
    if cell_path_only and not cell.has_cell_path:
        raise ValueError(f"cell_path_only is True; only an lstm has a cell path, {cell.name} has none")
    inputs = _array("inputs", inputs)
    if inputs.ndim != 2 or 0 in inputs.shape:
        raise ValueError(f"inputs has shape {list(inputs.shape)}; it must be [T, m], neither of them 0")
    steps, m = inputs.shape
    weights = _fields(weights)
    n = _check_weights(cell, weights, steps, m)
    pins = {gate: _array(f"pins[{gate!r}]", value) for gate, value in pins.items()}
    carry = None if carry is None else tuple(_array("carry", state) for state in carry)
    dtype = _dtype(*weights, inputs, *(cost or ()), *(carry or ()), *pins.values())
    cost = None if cost is None else _check_cost(cost, steps, n)
    pins, carry = _pins(cell, pins, steps), _carry(cell, carry, n, dtype)
    return Problem(cell, weights, inputs, cost, pins, carry, _starts(starts, steps), dtype)


def check_network(
    cell: str | Cell,
    layers: Sequence[Sequence[Weights]],
    inputs: ArrayLike,
    cotangents: ArrayLike,
    carry: Sequence[Sequence[Any]] | None,
    pins: Sequence[Sequence[Any]] | None,
) -> tuple[np.ndarray, np.ndarray, list[list[dict[str, np.ndarray]]]]:
    """Check what the layers of a network have in common (see `network_map`), and give the inputs and cotangents in
    the result type of all arrays, and the pins [layer][direction] as arrays."""
    cell = _cell(cell)
    directions = [len(layer) for layer in layers]
    if not directions or any(count not in (1, 2) or count != directions[0] for count in directions):
        raise ValueError(
            f"layers have {', '.join(map(str, directions)) or 'no'} directions; each must be (Weights,), or each "
            "(Weights, backward Weights)"
        )
    for name, given, one in (("carry", carry, "a carry"), ("pins", pins, "a mapping of gates")):
        of = [len(layer) if hasattr(layer, "__len__") else 0 for layer in given or ()]
        if given is not None and of != directions:
            raise ValueError(f"{name} is of {of} directions; the layers are of {directions}, each with {one} or None")
    pins = [count * [None] for count in directions] if pins is None else pins
    held = [
        [{gate: _array(f"pins[{gate!r}]", x) for gate, x in _check_pinned(cell, each).items()} for each in layer]
        for layer in pins
    ]
    inputs, cotangents = _array("inputs", inputs), _array("cotangents", cotangents)
    _check_finite("cotangents", cotangents)
    fields = [each for layer in layers for weights in layer for each in _fields(weights)]
    values = [value for layer in held for each in layer for value in each.values()]
    dtype = _dtype(*fields, inputs, cotangents, *values)
    return np.asarray(inputs, dtype), np.asarray(cotangents, dtype), held


def check_time(t: int | None, steps: int) -> int:
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


def _host(value):
    """Integers or truth values on the host, of a tensor too."""
    return np.array(value.detach().cpu().numpy() if hasattr(value, "detach") else value)


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


def _given_cost(readout, targets, cotangents, loss, readout_bias):
    """What was given of the cost, as arrays in one of the four records."""
    if cotangents is not None:
        others = {"readout": readout, "targets": targets, "readout_bias": readout_bias}
        also = [name for name, value in others.items() if value is not None] + ["loss"] * (loss != "squared")
        if also:
            raise ValueError(
                f"{also[0]} is given and so are cotangents, which take the place of the whole cost; give one of them"
            )
        return GivenCotangents(_array("cotangents", cotangents))
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss is {loss!r}; it must be one of {', '.join(LOSSES)}, or give cotangents instead")
    for name, value in (("readout", readout), ("targets", targets)):
        if value is None:
            raise ValueError(f"{name} is None; give a readout and targets, or cotangents [T, n] instead of both")
    targets = _host(targets) if loss == "cross-entropy" else _array("targets", targets)
    bias = None if readout_bias is None else _array("readout_bias", readout_bias)
    return LOSSES[loss](_array("readout", readout), targets, bias)


def _check_cost(cost, steps, n):
    """The cost with readout [k, n], targets [T, k] and readout_bias [k]."""
    if isinstance(cost, GivenCotangents):
        if cost.cotangents.shape != (steps, n):
            raise ValueError(f"cotangents has shape {list(cost.cotangents.shape)}; it must be [T, n] = [{steps}, {n}]")
        _check_finite("cotangents", cost.cotangents)
        return cost
    readout, targets, bias = cost
    if isinstance(cost, CrossEntropy):
        targets = _one_hot(readout, targets, steps, n)
    elif readout.shape == (n,) and targets.shape == (steps,):
        readout, targets = readout[None, :], targets[:, None]
        bias = bias.reshape(1) if bias is not None and bias.shape == () else bias
    if readout.ndim != 2 or readout.shape[1] != n or targets.shape != (steps, readout.shape[0]):
        raise ValueError(
            f"readout has shape {list(readout.shape)} and targets {list(targets.shape)}; they must be "
            f"[{n}] with [{steps}], or [k, {n}] with [{steps}, k]"
        )
    if bias is not None and bias.shape != (len(readout),):
        raise ValueError(f"readout_bias has shape {list(bias.shape)}; it must be [{len(readout)}], a number an output")
    _check_finite("readout", readout)
    if bias is not None:
        _check_finite("readout_bias", bias)
    if not isinstance(cost, CrossEntropy):
        _check_finite("targets", targets, masks=True)
    if isinstance(cost, BinaryCrossEntropy):
        host = np.asarray(targets)
        wrong = host[(host < 0) | (host > 1)]
        if wrong.size:
            raise ValueError(f"targets holds {wrong[0]:g}; binary-cross-entropy takes numbers in [0, 1], NaN masks one")
    return type(cost)(readout, targets, bias)


def _check_finite(name, values, masks=False):
    host = np.asarray(values)
    bad = np.isinf(host) | (np.isnan(host) & (not masks))
    if bad.any():
        where, extra = np.argwhere(bad)[0].tolist(), " or NaN, which masks its cost" if masks else ""
        raise ValueError(f"{name}{where} is {host[tuple(where)]}; every entry must be finite{extra}")


def _one_hot(readout, targets, steps, n):
    """The classes int[T] as bool[T, k]; −1 is none of them."""
    if readout.ndim != 2 or readout.shape[1] != n or len(readout) < 2:
        raise ValueError(f"readout has shape {list(readout.shape)}; cross-entropy needs [k, {n}], k of at least 2")
    if targets.shape != (steps,) or targets.dtype.kind not in "iu":
        raise ValueError(
            f"targets is {targets.dtype} of shape {list(targets.shape)}; cross-entropy takes whole numbers, the class "
            f"of each step [{steps}], −1 where there is none"
        )
    wrong = targets[(targets < -1) | (targets >= len(readout))]
    if wrong.size:
        raise ValueError(
            f"targets holds {wrong[0]}; cross-entropy takes classes in [0, {len(readout) - 1}], or −1, which masks"
        )
    return targets[:, None] == np.arange(len(readout))


def _starts(starts, steps):
    """bool[T], or None where no step but the first begins afresh."""
    if starts is None:
        return None
    starts = _host(starts)
    if starts.shape != (steps,) or starts.dtype != bool:
        raise ValueError(
            f"starts is {starts.dtype} of shape {list(starts.shape)}; it must be bool [{steps}], true at each step "
            "that begins with a fresh state"
        )
    later = starts & (np.arange(steps) > 0)
    return later if later.any() else None


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
